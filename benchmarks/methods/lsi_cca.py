"""CCA of principal components (RNA) and latent semantic indexing (ATAC) on the pairs; settings by held-out pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from benchmarks.clock import Stopwatch
from benchmarks.features import choose, folds, options, pair_rows
from benchmarks.methods._cca import CCA
from benchmarks.methods._lsi import atac_components, rna_components
from benchmarks.task import Output
from scvcell.score import match_scores

if TYPE_CHECKING:
    from benchmarks.task import Task

TABLES = ("chromatin",)
GRID = {"n": (10, 20), "shrinkage": (0.01, 0.1, 0.5), "weighted": (False, True)}


def run(task: Task, seed: int) -> Output:
    """Fit on all pairs, place all cells."""
    watch = Stopwatch()
    x, y = rna_components(task, 30, seed), atac_components(task, 30, seed)
    src, tgt = pair_rows(task)
    if len(src) == 0:
        raise ValueError("no pairs: CCA needs some")

    def mismatch(option: dict) -> float:
        losses = []
        for train, test in folds(len(src), seed):
            model = CCA(**option).fit(x[src[train]], y[tgt[train]])
            losses.append(match_scores(*model.transform(x[src[test]], y[tgt[test]]))["foscttm"])
        return float(np.mean(losses))

    best = choose(options(GRID), mismatch)
    a, b = CCA(**best).fit(x[src], y[tgt]).transform(x, y)
    placed = {"rna": pd.DataFrame(a, index=task.names("rna")), "atac": pd.DataFrame(b, index=task.names("atac"))}
    return watch.stamp(Output(embedding=placed, notes=best))

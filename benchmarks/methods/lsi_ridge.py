"""Ridge regression from latent semantic indexing (ATAC) to principal components of RNA, on the pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.linear_model import Ridge

from benchmarks.clock import Stopwatch
from benchmarks.features import choose, folds, options, pair_rows
from benchmarks.methods._lsi import atac_components, rna_components
from benchmarks.task import Output
from scvcell.score import match_scores

if TYPE_CHECKING:
    from benchmarks.task import Task

TABLES = ("chromatin",)
GRID = {"alpha": (1.0, 10.0, 100.0, 1000.0, 10000.0), "n": (10, 30)}


def run(task: Task, seed: int) -> Output:
    """Fit on all pairs; RNA stays where it is, ATAC goes where its RNA is predicted."""
    watch = Stopwatch()
    y, x = rna_components(task, 30, seed), atac_components(task, 30, seed)
    tgt, src = pair_rows(task)
    if len(src) == 0:
        raise ValueError("no pairs: a regression needs some")

    def mismatch(option: dict) -> float:
        losses, n = [], option["n"]
        for train, test in folds(len(src), seed):
            model = Ridge(option["alpha"]).fit(x[src[train]], y[tgt[train], :n])
            losses.append(match_scores(model.predict(x[src[test]]), y[tgt[test], :n], "cosine")["foscttm"])
        return float(np.mean(losses))

    best = choose(options(GRID), mismatch)
    placed = Ridge(best["alpha"]).fit(x[src], y[tgt, : best["n"]]).predict(x)
    embedding = {
        "rna": pd.DataFrame(y[:, : best["n"]], index=task.names("rna")),
        "atac": pd.DataFrame(placed, index=task.names("atac")),
    }
    return watch.stamp(Output(embedding=embedding, notes=best))

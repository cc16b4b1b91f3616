"""Canonical correlation analysis of paired cells in principal components, shared by `cca` and `cca_tuned`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from benchmarks.clock import Stopwatch
from benchmarks.features import choose, components, folds, options, pair_rows, source_components, target_centred
from benchmarks.task import Output
from scvcell._stats import cca
from scvcell.score import match_scores

if TYPE_CHECKING:
    from benchmarks.task import Task


@dataclass
class CCA:
    """Directions of greatest correlation, with shrinkage of both covariances towards a multiple of the identity.

    Parameters
    ----------
    n
        Number of directions.
    shrinkage
        Added to the diagonal, in units of the mean variance; 0 is the textbook method.
    weighted
        Multiply each direction by its canonical correlation, so that noise directions count less.
    """

    n: int = 10
    shrinkage: float = 0.0
    weighted: bool = False

    def fit(self, x: np.ndarray, y: np.ndarray) -> CCA:
        """Fit on rows that are the same cells."""
        self.means = x.mean(0), y.mean(0)
        self.maps = cca(x, y, self.n, self.shrinkage, weighted=self.weighted)
        return self

    def transform(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Place cells of either modality."""
        return (x - self.means[0]) @ self.maps[0], (y - self.means[1]) @ self.maps[1]


def run_cca(task: Task, seed: int, grid: dict[str, tuple]) -> Output:
    """Choose settings of `grid` by FOSCTTM of held-out pairs, fit on all pairs, place all cells."""
    watch = Stopwatch()
    src, tgt = pair_rows(task)
    x = {s: source_components(task, 30, seed, scaled=s) for s in grid["scaled"]}
    y = {s: components(target_centred(task, scaled=s), 30, seed) for s in grid["target_scaled"]}

    def views(option: dict[str, Any]) -> tuple[CCA, np.ndarray, np.ndarray]:
        model = CCA(option["n"], option["shrinkage"], option["weighted"])
        return model, x[option["scaled"]], y[option["target_scaled"]]

    def mismatch(option: dict[str, Any]) -> float:
        model, a, b = views(option)
        a, b = a[src], b[tgt]
        losses = []
        for train, test in folds(len(src), seed):
            placed = model.fit(a[train], b[train]).transform(a[test], b[test])
            losses.append(match_scores(*placed)["foscttm"])
        return float(np.mean(losses))

    best = choose(options(grid), mismatch)
    model, a, b = views(best)
    placed_a, placed_b = model.fit(a[src], b[tgt]).transform(a, b)
    out = Output(
        embedding={
            task.source: pd.DataFrame(placed_a, index=task.names(task.source)),
            task.target: pd.DataFrame(placed_b, index=task.names(task.target)),
        },
        joint=pd.DataFrame((placed_a[src] + placed_b[tgt]) / 2, index=task.paired),
        notes=best,
    )
    return watch.stamp(out)

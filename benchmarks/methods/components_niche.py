"""30 principal components of cells, and their means over the nearest 6, 18 and 36: shares, root, genes z-scored."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.decomposition import PCA

from benchmarks.clock import Stopwatch
from benchmarks.methods._niche import classified, means, scaled
from benchmarks.task import Output

if TYPE_CHECKING:
    from benchmarks.task import Task

TABLES = ("niche",)
N_COMPONENTS = 30


def components(task: Task, seed: int) -> np.ndarray:
    """Principal components of roots of shares over the eighth root of the mean share, z-scored within section."""
    x = task.counts("rna").astype(float)
    share = x / np.maximum(x.sum(1, keepdims=True), 1)
    value = np.sqrt(share) / np.maximum(share.mean(0), 1e-12) ** 0.125
    for name in np.unique(task.batch("rna")):
        here = task.batch("rna") == name
        value[here] = (value[here] - value[here].mean(0)) / np.maximum(value[here].std(0), 1e-9)
    return PCA(N_COMPONENTS, svd_solver="randomized", random_state=seed).fit_transform(value)


def run(task: Task, seed: int) -> Output:
    """Labels by the cell and what surrounds it."""
    watch = Stopwatch()
    own = components(task, seed)
    found = classified(task, scaled(task, [own, *(mean @ own for mean in means(task))]), seed)
    out = watch.stamp(Output(labels=found))
    out.alternatives["own"] = classified(task, scaled(task, [own]), seed)
    return out

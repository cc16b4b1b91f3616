"""Simple predictors of genes that a panel lacks: mean profile, nearest reference cells, ridge regression, with depth.

Neighbours and ridge read 30 components of log1p counts per median depth of the visible panel; the ridge reads log depth
as well. ``x depth``: counts per panel count of the reference, times the cell's own panel depth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.neighbors import NearestNeighbors

from benchmarks.clock import Stopwatch
from benchmarks.task import Output
from scvcell.score import dense

if TYPE_CHECKING:
    from benchmarks.task import Task

TABLES = ("imputation",)
N_COMPONENTS, N_NEIGHBOURS, PENALTY = 30, 30, 30.0


def run(task: Task, seed: int) -> Output:
    """All of them; the method's own row is plain nearest neighbours."""
    watch = Stopwatch()
    reference, tissue = task.mdata["rna"], task.mdata["tissue"]
    hidden = reference.var_names[~reference.var_names.isin(tissue.var_names)]
    ours, theirs = dense(reference[:, tissue.var_names].X), dense(tissue.X)
    y = dense(reference[:, hidden].X)
    depth, own = (np.maximum(x.sum(1, keepdims=True), 1) for x in (ours, theirs))
    scale = np.median(depth)
    log, other = np.log1p(ours / depth * scale), np.log1p(theirs / own * scale)
    components = PCA(N_COMPONENTS, random_state=seed).fit(log)
    a, b = components.transform(log), components.transform(other)
    near = NearestNeighbors(n_neighbors=N_NEIGHBOURS).fit(a).kneighbors(b, return_distance=False)
    rates = y / depth

    def frame(values: np.ndarray) -> pd.DataFrame:
        return pd.DataFrame(values, index=tissue.obs_names, columns=hidden)

    def ridge(values: np.ndarray) -> np.ndarray:
        one, two = (np.column_stack([part, np.log(d)]) for part, d in ((a, depth), (b, own)))
        mean, sd = one.mean(0), one.std(0)
        return Ridge(PENALTY).fit((one - mean) / sd, values).predict((two - mean) / sd)

    free = np.log1p(rates * scale)
    by_depth, knn = np.log1p(rates[near].mean(1) * own), free[near].mean(1)
    flat = np.broadcast_to(rates.mean(0), (len(theirs), len(hidden)))
    found = {
        "": (np.log1p(y)[near].mean(1), knn),
        "mean profile x depth": (np.log1p(flat * own), np.log1p(flat * scale)),
        "neighbours x depth": (by_depth, knn),
        "ridge": (ridge(np.log1p(y)), ridge(free)),
    }
    found["neighbours x depth + ridge"] = tuple(
        (first + second) / 2 for first, second in zip(found["neighbours x depth"], found["ridge"], strict=True)
    )
    out = Output(imputation={name: (frame(pair[0]), frame(pair[1])) for name, pair in found.items()})
    return watch.stamp(out)

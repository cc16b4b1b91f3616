"""Simple effects on treated cells: difference of the means, and the nearest controls in components.

The row of the method itself is the difference of the means, the same for every cell. ``nearest``: each cell less the
mean of its 10 nearest controls in 20 principal components; ``denoised``: with values rebuilt from the components;
``zero``: no effect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from benchmarks.clock import Stopwatch
from benchmarks.task import Output
from scvcell.score import log_cp10k

if TYPE_CHECKING:
    from benchmarks.task import Task

TABLES = ("matching",)
COMPONENTS, NEIGHBOURS = 20, 10


def run(task: Task, seed: int) -> Output:
    """Answer every question by every baseline."""
    adata, keys = task.mdata[task.source], task.perturbation
    watch = Stopwatch()
    values = log_cp10k(task.counts(task.source))
    pca = PCA(COMPONENTS, random_state=seed)
    states = pca.fit_transform(values)
    rebuilt = pca.inverse_transform(states)
    controls = np.flatnonzero(adata.obs[keys.target] == keys.control)
    nearest = NearestNeighbors(n_neighbors=NEIGHBOURS).fit(states[controls])
    out = watch.stamp(Output())
    for name, (_, cells, _) in task.questions.items():
        rows = adata.obs_names.get_indexer(cells)
        matched = controls[nearest.kneighbors(states[rows], return_distance=False)]
        found = {
            "zero": np.zeros((len(rows), adata.n_vars)),
            "mean": np.tile(values[rows].mean(0) - values[controls].mean(0), (len(rows), 1)),
            "nearest": values[rows] - values[matched].mean(1),
            "nearest, denoised": rebuilt[rows] - rebuilt[matched].mean(1),
        }
        for kind, value in found.items():
            place = out.counterfactual if kind == "mean" else out.alternatives.setdefault(kind, {})
            place[name] = pd.DataFrame(value, index=cells, columns=adata.var_names)
    return out

"""BANKSY (pybanksy 1.3): own and neighbours' expression at lambda .8, 20 components, and the head of all methods."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anndata
import numpy as np
from banksy.embed_banksy import generate_banksy_matrix
from banksy.initialize_banksy import initialize_banksy
from sklearn.decomposition import PCA

from benchmarks.clock import Stopwatch
from benchmarks.methods._niche import classified, scaled
from benchmarks.task import Output

if TYPE_CHECKING:
    from benchmarks.task import Task

TABLES = ("niche",)
LAMBDA, N_NEIGHBOURS, MAX_M, N_COMPONENTS = 0.8, 15, 1, 20


def run(task: Task, seed: int) -> Output:
    """Labels by the matrix of each section, reduced together."""
    watch = Stopwatch()
    rna, batch, x = task.mdata["rna"], task.batch("rna"), task.counts("rna").astype(float)
    x = np.log1p(x / np.maximum(x.sum(1, keepdims=True), 1) * np.median(x.sum(1)))
    found = None
    for name in np.unique(batch):
        here = np.flatnonzero(batch == name)
        part = anndata.AnnData(x[here], obs=rna.obs.iloc[here].copy(), var=rna.var.copy())
        part.obsm["spatial"] = np.asarray(rna.obsm["spatial"])[here]
        part.obs["x"], part.obs["y"] = part.obsm["spatial"].T
        quiet = {"plt_edge_hist": False, "plt_nbr_weights": False, "plt_theta": False}
        state = initialize_banksy(part, ("x", "y", "spatial"), N_NEIGHBOURS, max_m=MAX_M, **quiet)
        _, matrix = generate_banksy_matrix(part, state, [LAMBDA], MAX_M, verbose=False)
        values = np.asarray(matrix.X, dtype=np.float32)
        found = np.zeros((len(batch), values.shape[1]), np.float32) if found is None else found
        found[here] = values
    reduced = PCA(N_COMPONENTS, svd_solver="randomized", random_state=seed).fit_transform(found)
    return watch.stamp(Output(labels=classified(task, scaled(task, [reduced]), seed)))

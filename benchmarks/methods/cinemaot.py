"""CINEMA-OT of pertpy with its defaults: log counts per 10,000, 20 components, threshold .15, smoothness 1e-4.

``weighted`` is its resampling against differential abundance (CINEMA-OT-W); treated cells that it leaves out take the
effect of the nearest one that it keeps, in components. ``denoised``: the same matching, on values rebuilt from the
components.
Runs in an environment of its own (``--python``), with pertpy, ott-jax and igraph.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pertpy
import scanpy as sc
from sklearn.neighbors import NearestNeighbors

from benchmarks.clock import Stopwatch
from benchmarks.task import Output

if TYPE_CHECKING:
    from anndata import AnnData

    from benchmarks.task import Task

TABLES = ("matching",)
COMPONENTS = 20


def run(task: Task, seed: int) -> Output:
    """One matching per question, plain and weighted."""
    adata, keys = task.mdata[task.source].copy(), task.perturbation
    watch = Stopwatch()
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    out = Output()
    label = adata.obs[keys.target].astype(str)
    for name in task.questions:
        part = adata[label.isin([name, keys.control])].copy()
        sc.pp.pca(part, n_comps=COMPONENTS, random_state=seed)
        out.counterfactual[name], out.alternatives.setdefault("denoised", {})[name] = _effect(part, keys, seed)
        found = _effect(part, keys, seed, weighted=True)
        for kind, frame in zip(("weighted", "weighted, denoised"), found, strict=True):
            out.alternatives.setdefault(kind, {})[name] = frame
    return watch.stamp(out)


def _effect(adata: AnnData, keys, seed: int, weighted: bool = False) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Effect on every treated cell: as measured, and with values rebuilt from the components."""
    tool = pertpy.tl.Cinemaot()
    given = {"pert_key": keys.target, "control": keys.control, "dim": COMPONENTS, "return_matching": True}
    if weighted:
        used, found = tool.causaleffect_weighted(adata.copy(), random_state=seed, **given)
    else:
        used, found = adata, tool.causaleffect(adata.copy(), random_state=seed, **given)
    odds = np.asarray(found.obsm["ot"])
    rebuilt = used.obsm["X_pca"] @ used.varm["PCs"].T
    control = (used.obs[keys.target] == keys.control).to_numpy()
    denoised = rebuilt[~control] - odds / odds.sum(1, keepdims=True) @ rebuilt[control]
    treated = adata[adata.obs[keys.target] != keys.control]
    nearest = NearestNeighbors(n_neighbors=1).fit(used.obsm["X_pca"][~control])
    row = nearest.kneighbors(treated.obsm["X_pca"], return_distance=False)[:, 0]
    frames = (pd.DataFrame(np.asarray(x)[row], treated.obs_names, adata.var_names) for x in (found.X, denoised))
    return tuple(frames)

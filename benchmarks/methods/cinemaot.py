"""CINEMA-OT of pertpy with its defaults: log counts per 10,000, 20 components, threshold .15, smoothness 1e-4.

``weighted`` is its resampling against differential abundance (CINEMA-OT-W); treated cells that it leaves out take the
effect of the nearest one that it keeps, in components. ``threshold .5`` keeps more components as confounders, as in its
documentation (with its smoothness of 1e-5). ``denoised``: the same matching, on values rebuilt from the components.
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
VARIANTS = {"": {}, "threshold .5": {"thres": 0.5, "smoothness": 1e-5}, "weighted": {}}


def run(task: Task, seed: int) -> Output:
    """One matching per question and variant."""
    adata, keys = task.mdata[task.source].copy(), task.perturbation
    watch = Stopwatch()
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    out = Output()
    label = adata.obs[keys.target].astype(str)
    for name in task.questions:
        part = adata[label.isin([name, keys.control])].copy()
        sc.pp.pca(part, n_comps=COMPONENTS, random_state=seed)
        for variant, options in VARIANTS.items():
            for kind, given in {"": part, "denoised": _rebuilt(part)}.items():
                found = _effect(given, keys, seed, variant == "weighted", options)
                title = ", ".join(filter(None, (variant, kind)))
                place = out.alternatives.setdefault(title, {}) if title else out.counterfactual
                place[name] = found
    return watch.stamp(out)


def _rebuilt(adata: AnnData) -> AnnData:
    """The same cells with values rebuilt from their components."""
    out = adata.copy()
    values = adata.obsm["X_pca"] @ adata.varm["PCs"].T
    out.X = values + np.asarray(adata.X.mean(0)).ravel()
    return out


def _effect(adata: AnnData, keys, seed: int, weighted: bool, options: dict) -> pd.DataFrame:
    """Effect on every treated cell."""
    tool, given = pertpy.tl.Cinemaot(), {"pert_key": keys.target, "control": keys.control, "dim": COMPONENTS}
    treated = adata[adata.obs[keys.target] != keys.control]
    if not weighted:
        found = tool.causaleffect(adata.copy(), random_state=seed, **given, **options)
        return pd.DataFrame(np.asarray(found.X), index=found.obs_names, columns=adata.var_names)
    _, found = tool.causaleffect_weighted(adata.copy(), random_state=seed, **given, **options)
    kept = treated[found.obs_names]
    nearest = NearestNeighbors(n_neighbors=1).fit(kept.obsm["X_pca"])
    row = nearest.kneighbors(treated.obsm["X_pca"], return_distance=False)[:, 0]
    return pd.DataFrame(np.asarray(found.X)[row], index=treated.obs_names, columns=adata.var_names)

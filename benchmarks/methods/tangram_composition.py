"""Tangram 1.0.4, clusters (its own row) and cells, with its defaults and uniform density."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anndata
import numpy as np
import pandas as pd
import tangram

from benchmarks.clock import Stopwatch
from benchmarks.task import Output

if TYPE_CHECKING:
    from benchmarks.task import Task

TABLES = ("deconvolution",)


def run(task: Task, seed: int) -> Output:
    """Shares of types: of mapped clusters, and of mapped cells."""
    watch = Stopwatch()
    out = Output()
    for mode in ("clusters", "cells"):
        cells, spots = task.mdata["rna"], task.mdata["spots"]
        obs = pd.DataFrame({"kind": cells.obs["kind"].astype(str).to_numpy()}, index=cells.obs_names)
        reference = anndata.AnnData(cells.X.copy(), obs=obs, var=pd.DataFrame(index=cells.var_names))
        target = anndata.AnnData(spots.X.copy(), obs=pd.DataFrame(index=spots.obs_names), var=reference.var.copy())
        tangram.pp_adatas(reference, target, genes=None)
        density = np.full(target.n_obs, 1 / target.n_obs).tolist()  # names of densities fail with this torch
        found = tangram.map_cells_to_space(
            reference,
            target,
            mode=mode,
            cluster_label="kind" if mode == "clusters" else None,
            density_prior=density,
            random_state=seed,
            verbose=False,
            device="cpu",
        )
        kinds = sorted(obs["kind"].unique())
        label = found.obs["kind"].astype(str).to_numpy()
        weight = np.stack([np.asarray(found.X)[label == kind].sum(0) for kind in kinds], 1)
        if mode == "clusters":
            weight = weight * obs["kind"].value_counts()[kinds].to_numpy()
        shares = pd.DataFrame(weight / weight.sum(1, keepdims=True), index=target.obs_names, columns=kinds)
        if mode == "clusters":
            out.composition = shares
        else:
            out.alternatives["cells"] = shares
    return watch.stamp(out)

"""scVelo 0.3: its tutorial's recipe, stochastic model.

2,000 variable genes with at least 20 shared counts (fewer where there are fewer), 30 components, 30 neighbours. Runs in
an environment of its own (``--python``) with numpy below 2.4. Its dynamical model does not run with pandas 3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scanpy as sc
import scvelo as scv
from anndata import AnnData

from benchmarks.clock import Stopwatch
from benchmarks.task import Output

if TYPE_CHECKING:
    from benchmarks.task import Task

TABLES = ("velocity",)


def prepared(task: Task) -> AnnData:
    """Filtered and normalised, with moments."""
    mature, nascent = np.split(task.counts("kinetics"), 2, 1)
    names = [name.rpartition(":")[0] for name in task.features[: mature.shape[1]]]
    adata = AnnData(mature, pd.DataFrame(index=task.names("kinetics")), pd.DataFrame(index=names))
    adata.layers["spliced"], adata.layers["unspliced"] = mature, nascent
    scv.settings.verbosity = 0
    scv.pp.filter_genes(adata, min_shared_counts=20)
    scv.pp.normalize_per_cell(adata)
    sc.pp.log1p(adata)
    if adata.n_vars > 2000:
        sc.pp.highly_variable_genes(adata, n_top_genes=2000, subset=True)
    sc.pp.pca(adata, n_comps=30)
    sc.pp.neighbors(adata, n_neighbors=30, n_pcs=30)
    scv.pp.moments(adata, n_pcs=None, n_neighbors=None)
    return adata


def walked(adata: AnnData, out: Output, name: str, keep: np.ndarray) -> None:
    """Transition matrix of the velocity graph, and gene velocities where there are some."""
    scv.tl.velocity_graph(adata, n_jobs=1, show_progress_bar=False)
    out.steps[name] = scv.utils.get_transition_matrix(adata).tocsr()
    frame = pd.DataFrame(np.asarray(adata.layers["velocity"]), columns=adata.var_names)
    out.gene_velocity[name] = frame.loc[:, keep & frame.notna().all().to_numpy()]


def run(task: Task, seed: int) -> Output:
    """Velocity and its graph."""
    watch = Stopwatch()
    adata = prepared(task)
    scv.tl.velocity(adata, mode="stochastic")
    out = watch.stamp(Output())
    walked(adata, out, "", adata.var["velocity_genes"].to_numpy(bool))
    return out

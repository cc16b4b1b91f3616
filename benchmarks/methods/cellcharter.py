"""CellCharter 0.3: three layers of a Delaunay graph, aggregated; 30 components, and the head of all methods."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cellcharter
import numpy as np
import squidpy

from benchmarks.clock import Stopwatch
from benchmarks.methods._niche import classified, scaled
from benchmarks.methods.components_niche import components
from benchmarks.task import Output

if TYPE_CHECKING:
    from benchmarks.task import Task

TABLES = ("niche",)
N_LAYERS = 3


def run(task: Task, seed: int) -> Output:
    """Labels by aggregated neighbours."""
    watch = Stopwatch()
    adata = task.mdata["rna"].copy()
    adata.obs["batch"] = adata.obs["batch"].astype("category")
    adata.obsm["X_components"] = components(task, seed).astype(np.float32)
    squidpy.gr.spatial_neighbors(adata, library_key="batch", coord_type="generic", delaunay=True)
    cellcharter.gr.remove_long_links(adata)
    cellcharter.gr.aggregate_neighbors(adata, n_layers=N_LAYERS, use_rep="X_components", sample_key="batch")
    x = np.asarray(adata.obsm["X_cellcharter"], dtype=float)
    width = x.shape[1] // (N_LAYERS + 1)
    parts = [x[:, i * width : (i + 1) * width] for i in range(N_LAYERS + 1)]
    return watch.stamp(Output(labels=classified(task, scaled(task, parts), seed)))

"""scvi-tools VELOVI with its defaults, on scVelo's moments; 25 samples of velocity, its velocity graph by scVelo.

Genes as its tutorial has them: those with a steady-state fit of positive slope and R2 above 0. Runs in an environment
of its own (``--python``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scvelo as scv
import scvi
from scvi.external import VELOVI

from benchmarks.clock import Stopwatch
from benchmarks.methods.scvelo import prepared, walked
from benchmarks.task import Output

if TYPE_CHECKING:
    from benchmarks.task import Task

TABLES = ("velocity",)


def run(task: Task, seed: int) -> Output:
    """Fit, sample velocities, walk."""
    scvi.settings.seed = seed
    scvi.settings.verbosity = 30
    watch = Stopwatch()
    adata = prepared(task)
    for key in ("Ms", "Mu"):
        low, high = adata.layers[key].min(0), adata.layers[key].max(0)
        adata.layers[key] = (adata.layers[key] - low) / np.maximum(high - low, 1e-12)
    scv.tl.velocity(adata, mode="deterministic")
    keep = (adata.var["velocity_gamma"] > 0) & (adata.var["velocity_r2"] > 0)
    adata = adata[:, keep.to_numpy()].copy()
    VELOVI.setup_anndata(adata, spliced_layer="Ms", unspliced_layer="Mu")
    model = VELOVI(adata)
    model.train(max_epochs=task.epochs or 500, accelerator="cpu", enable_progress_bar=False)
    out = watch.stamp(Output(epochs=len(model.history["elbo_train"])))
    time = model.get_latent_time(n_samples=25)
    velocity = model.get_velocity(n_samples=25, velo_statistic="mean")
    scaling = 20 / np.maximum(np.asarray(time).max(0), 1e-12)
    adata.layers["velocity"] = np.asarray(velocity) / scaling
    walked(adata, out, "", np.ones(adata.n_vars, bool))
    return out

"""Cell2location 0.1.5, its tutorial's settings but for fewer epochs: a quarter of them for the spots.

Signatures of types come from its negative binomial regression (250 epochs). Spots: 8 cells each, as they have here,
detection alpha 20, 8,000 of its 30,000 epochs, since all of them take hours on one core: its row is a lower bound.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import anndata
import numpy as np
import pandas as pd
import scvi
from cell2location.models import Cell2location, RegressionModel

from benchmarks.clock import Stopwatch
from benchmarks.task import Output

if TYPE_CHECKING:
    from benchmarks.task import Task

TABLES = ("deconvolution",)
EPOCHS_REFERENCE, EPOCHS = 250, 8000
CELLS_PER_SPOT = 8
QUIET = {"accelerator": "cpu", "enable_progress_bar": False}


def run(task: Task, seed: int) -> Output:
    """Shares of the 5 % quantile of its abundances, as its authors draw them, and of their means."""
    scvi.settings.seed = seed
    logging.disable(logging.INFO)
    watch = Stopwatch()
    cells, spots = task.mdata["rna"], task.mdata["spots"]
    obs = cells.obs[["batch", "kind"]].astype(str)
    reference = anndata.AnnData(cells.X.copy(), obs=obs, var=pd.DataFrame(index=cells.var_names))
    RegressionModel.setup_anndata(reference, batch_key="batch", labels_key="kind")
    model = RegressionModel(reference)
    model.train(max_epochs=task.epochs or EPOCHS_REFERENCE, **QUIET)
    reference = model.export_posterior(reference, sample_kwargs={"num_samples": 500, "batch_size": 2500})
    kinds = list(reference.uns["mod"]["factor_names"])
    name = "means_per_cluster_mu_fg"
    signatures = reference.varm[name][[f"{name}_{kind}" for kind in kinds]].set_axis(kinds, axis=1)
    target = anndata.AnnData(spots.X.copy(), obs=pd.DataFrame(index=spots.obs_names), var=reference.var[[]].copy())
    Cell2location.setup_anndata(target)
    lift = Cell2location(target, cell_state_df=signatures, N_cells_per_location=CELLS_PER_SPOT, detection_alpha=20)
    lift.train(max_epochs=task.epochs or EPOCHS, batch_size=None, train_size=1, **QUIET)
    target = lift.export_posterior(target, sample_kwargs={"num_samples": 500, "batch_size": target.n_obs})

    def shares(statistic: str) -> pd.DataFrame:
        found = np.asarray(target.obsm[f"{statistic}_cell_abundance_w_sf"])
        return pd.DataFrame(found / found.sum(1, keepdims=True), index=spots.obs_names, columns=kinds)

    out = Output(composition=shares("q05"), alternatives={"means": shares("means")}, epochs=task.epochs or EPOCHS)
    return watch.stamp(out)

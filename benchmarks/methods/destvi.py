"""DestVI (scviva-tools 0.1.7) with its defaults: 300 epochs of its model of cells, 2,000 of that of spots."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import anndata
import pandas as pd
import scvi
from scviva.model import DestVI

from benchmarks.clock import Stopwatch
from benchmarks.task import Output

if TYPE_CHECKING:
    from benchmarks.task import Task

TABLES = ("deconvolution",)
EPOCHS_REFERENCE, EPOCHS = 300, 2000
QUIET = {"accelerator": "cpu", "enable_progress_bar": False}


def run(task: Task, seed: int) -> Output:
    """Shares of types."""
    scvi.settings.seed = seed
    logging.disable(logging.INFO)
    watch = Stopwatch()
    cells, spots = task.mdata["rna"], task.mdata["spots"]
    obs = cells.obs[["batch", "kind"]].astype(str)
    reference = anndata.AnnData(cells.X.copy(), obs=obs, var=pd.DataFrame(index=cells.var_names))
    scvi.model.CondSCVI.setup_anndata(reference, labels_key="kind")
    model = scvi.model.CondSCVI(reference, weight_obs=False)
    model.train(max_epochs=task.epochs or EPOCHS_REFERENCE, **QUIET)
    target = anndata.AnnData(spots.X.copy(), obs=pd.DataFrame(index=spots.obs_names), var=reference.var[[]].copy())
    DestVI.setup_anndata(target)
    lift = DestVI.from_rna_model(target, model)
    lift.train(max_epochs=task.epochs or EPOCHS, **QUIET)
    found = lift.get_proportions(target)
    found = found.div(found.sum(1), axis=0).reindex(columns=sorted(obs["kind"].unique())).fillna(0)
    return watch.stamp(Output(composition=found, epochs=task.epochs or EPOCHS))

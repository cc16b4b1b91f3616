"""Tangram 1.0.4, cells onto cells: 500 epochs, all genes of the panel.

``x depth``: the same mapping, of counts per panel count of the reference, times the cell's own panel depth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import tangram
import torch

from benchmarks.clock import Stopwatch
from benchmarks.task import Output
from scvcell.score import dense

if TYPE_CHECKING:
    from benchmarks.task import Task

TABLES = ("imputation",)
EPOCHS = 500


def run(task: Task, seed: int) -> Output:
    """Map reference cells to cells of the tissue, project hidden genes."""
    torch.manual_seed(seed)
    reference, tissue = task.mdata["rna"].copy(), task.mdata["tissue"].copy()
    hidden = reference.var_names[~reference.var_names.isin(tissue.var_names)]
    watch = Stopwatch()
    tangram.pp_adatas(reference, tissue, genes=list(tissue.var_names), gene_to_lowercase=False)
    found = tangram.map_cells_to_space(
        reference,
        tissue,
        mode="cells",
        device="cpu",
        num_epochs=task.epochs or EPOCHS,
        density_prior=[1 / tissue.n_obs] * tissue.n_obs,  # names of priors fail with torch 2.15
        random_state=seed,
        verbose=False,
    )
    weight = np.asarray(found.X).T  # cells of the tissue x reference cells
    weight = weight / np.maximum(weight.sum(1, keepdims=True), 1e-12)
    y, deep = dense(reference[:, hidden].X), np.maximum(dense(reference[:, tissue.var_names].X).sum(1), 1)
    own = np.maximum(dense(tissue.X).sum(1, keepdims=True), 1)
    rates = weight @ (y / deep[:, None])

    def frame(values: np.ndarray) -> pd.DataFrame:
        return pd.DataFrame(np.log1p(values), index=tissue.obs_names, columns=hidden)

    free = frame(rates * np.median(own))
    out = Output(imputation={"": (frame(weight @ y), free), "x depth": (frame(rates * own), free)})
    return watch.stamp(out)

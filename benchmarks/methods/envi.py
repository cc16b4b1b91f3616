"""ENVI (scenvi 0.4.6) with its defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from jax import random
from scenvi import ENVI

from benchmarks.clock import Stopwatch
from benchmarks.task import Output
from scvcell.score import dense

if TYPE_CHECKING:
    from benchmarks.task import Task

TABLES = ("imputation",)
STEPS = 10_000


def run(task: Task, seed: int) -> Output:
    """Mean counts of the reference's platform; ``x depth``: their shares times the cell's own depth."""
    reference, tissue = task.mdata["rna"].copy(), task.mdata["tissue"].copy()
    hidden = reference.var_names[~reference.var_names.isin(tissue.var_names)]
    for table in (reference, tissue):
        table.X = dense(table.X).astype(np.float32)
    del tissue.obs["batch"]
    watch = Stopwatch()
    model = ENVI(spatial_data=tissue, sc_data=reference)
    model.train(training_steps=task.epochs or STEPS, key=random.key(seed))
    model.latent_rep()
    model.impute_genes()
    every = model.spatial_data.obsm["imputation"]
    panel = every.loc[:, tissue.var_names].to_numpy().sum(1, keepdims=True)
    values = every.loc[:, hidden].to_numpy()
    own = np.maximum(dense(tissue.X).sum(1, keepdims=True), 1)
    rates = values / np.maximum(panel, 1e-9)

    def frame(x: np.ndarray) -> pd.DataFrame:
        return pd.DataFrame(np.log1p(np.maximum(x, 0)), index=tissue.obs_names, columns=hidden)

    free = frame(rates * np.median(own))
    out = Output(
        epochs=task.epochs or STEPS, imputation={"": (frame(values), free), "x depth": (frame(rates * own), free)}
    )
    return watch.stamp(out)

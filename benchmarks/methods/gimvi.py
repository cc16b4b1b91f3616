"""gimVI (scviva-tools 0.1.7) with the defaults of its tutorial: 200 epochs, no batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scvi
from scviva.model import GIMVI

from benchmarks.clock import Stopwatch
from benchmarks.task import Output

if TYPE_CHECKING:
    from benchmarks.task import Task

TABLES = ("imputation",)
EPOCHS = 200


def run(task: Task, seed: int) -> Output:
    """Counts decoded at the cell's own size are its raw values, rates its depth-free ones."""
    scvi.settings.seed, scvi.settings.verbosity = seed, 30
    reference, tissue = task.mdata["rna"].copy(), task.mdata["tissue"].copy()
    hidden = reference.var_names[~reference.var_names.isin(tissue.var_names)]
    kept = np.asarray(tissue.X.sum(1)).ravel() > 0
    watch = Stopwatch()
    part = tissue[kept].copy()
    GIMVI.setup_anndata(reference)
    GIMVI.setup_anndata(part)
    model = GIMVI(reference, part)
    model.train(max_epochs=task.epochs or EPOCHS, accelerator="cpu", progress_bar_refresh_rate=0)
    values = [model.get_imputed_values(normalized=normalized)[1] for normalized in (False, True)]
    own = np.asarray(part.X.sum(1))
    at = reference.var_names.get_indexer(hidden)

    def frame(x: np.ndarray) -> pd.DataFrame:
        return pd.DataFrame(np.log1p(x), index=part.obs_names, columns=hidden).reindex(tissue.obs_names).fillna(0)

    counts, rates = (np.asarray(x)[:, at] for x in values)
    free = frame(rates * np.median(own))
    out = Output(
        epochs=task.epochs or EPOCHS, imputation={"": (frame(counts), free), "x depth": (frame(rates * own), free)}
    )
    return watch.stamp(out)

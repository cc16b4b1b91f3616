"""scvcell fitted to one assay at a time, with its defaults: what a joint fit must not fall below."""

from __future__ import annotations

from typing import TYPE_CHECKING

import mudata
import pandas as pd
import scvi
import torch  # noqa: F401  (imports are not timed)

import scvcell
from benchmarks.clock import Stopwatch
from benchmarks.task import Output

if TYPE_CHECKING:
    from benchmarks.task import Task

TABLES = ("paired",)


def run(task: Task, seed: int) -> Output:
    """Fit each assay."""
    scvi.settings.verbosity = 30
    watch = Stopwatch()
    train = scvcell.TrainConfig(max_epochs=task.epochs, accelerator="cpu", progress=False)
    out = Output()
    for modality in (task.source, task.target):
        one = mudata.MuData({modality: task.mdata.mod[modality].copy()})
        one.obs[task.batch_key] = task.batch(modality)
        scvcell.tl.fit(one, batch_key=task.batch_key, train=train, seed=seed)
        out.embedding[modality] = pd.DataFrame(one.obsm["X_csl"], index=one.obs_names)
    return watch.stamp(out)

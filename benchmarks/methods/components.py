"""Principal components of each assay alone: 20 of log-normalised RNA; LSI of chromatin, log1p of proteins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from benchmarks.clock import Stopwatch
from benchmarks.features import components, within_batch
from benchmarks.methods._lsi import atac_components, rna_components
from benchmarks.task import Output

if TYPE_CHECKING:
    from benchmarks.task import Task

TABLES = ("paired",)
N = 20


def run(task: Task, seed: int) -> Output:
    """Decompose each assay."""
    watch = Stopwatch()
    if task.target == "atac":
        target = atac_components(task, N, seed)
    else:
        centred = within_batch(task.scaled_target(), task.batch(task.target), scaled=False)
        target = components(centred, min(N, centred.shape[1] - 1), seed)
    found = {task.source: rna_components(task, N, seed), task.target: target}
    embedding = {m: pd.DataFrame(z, index=task.names(m)) for m, z in found.items()}
    return watch.stamp(Output(embedding=embedding))

"""Mean profile: every cell is predicted as the mean of the paired cells."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.features import pair_rows
from benchmarks.task import Output

if TYPE_CHECKING:
    from benchmarks.task import Task

TABLES = ("mosaic", "protein")


def run(task: Task, seed: int) -> Output:
    """Predict the mean of the pairs."""
    start = time.perf_counter()
    profile = task.scaled_target()[pair_rows(task)[1]].mean(0)
    seconds = time.perf_counter() - start
    return Output(prediction=task.frame(np.tile(profile, (len(task.query), 1))), fit_seconds=seconds)

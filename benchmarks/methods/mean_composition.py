"""Mean composition: every spot holds the types in the shares of the reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from benchmarks.clock import Stopwatch
from benchmarks.task import Output

if TYPE_CHECKING:
    from benchmarks.task import Task

TABLES = ("deconvolution",)


def run(task: Task, seed: int) -> Output:
    """The shares of the reference for every spot."""
    watch = Stopwatch()
    share = task.mdata["rna"].obs["kind"].value_counts(normalize=True).sort_index()
    spots = task.names("spots")
    frame = pd.DataFrame(np.tile(share.to_numpy(), (len(spots), 1)), index=spots, columns=share.index)
    return watch.stamp(Output(composition=frame))

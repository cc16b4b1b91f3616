"""FlashDeconv 0.2 with its defaults, given the places of the spots as well."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from flashdeconv import FlashDeconv

from benchmarks.clock import Stopwatch
from benchmarks.methods.nnls import rates
from benchmarks.task import Output

if TYPE_CHECKING:
    from benchmarks.task import Task

TABLES = ("deconvolution",)


def run(task: Task, seed: int) -> Output:
    """Shares of types."""
    watch = Stopwatch()
    mean, spots = rates(task), task.mdata["spots"]
    model = FlashDeconv(random_state=seed)
    model.fit(task.counts("spots"), mean.to_numpy(), np.asarray(spots.obsm["spatial"]), mean.index.to_numpy())
    found = np.asarray(model.get_cell_type_proportions())
    return watch.stamp(Output(composition=pd.DataFrame(found, index=spots.obs_names, columns=mean.index)))

"""Non-negative least squares on the mean counts of types; also with genes over the root of their mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.optimize import nnls

from benchmarks.clock import Stopwatch
from benchmarks.task import Output

if TYPE_CHECKING:
    from benchmarks.task import Task

TABLES = ("deconvolution",)


def rates(task: Task) -> pd.DataFrame:
    """Mean counts of a cell of each type, types x genes."""
    kind = task.mdata["rna"].obs["kind"].to_numpy()
    return pd.DataFrame(task.counts("rna"), columns=task.mdata["rna"].var_names).groupby(kind).mean()


def run(task: Task, seed: int) -> Output:
    """Both weightings of the genes."""
    watch = Stopwatch()
    mean, spots = rates(task), task.counts("spots")
    frames = {}
    for name, weight in (("", np.ones(mean.shape[1])), ("root mean", 1 / np.sqrt(mean.to_numpy().mean(0) + 1e-3))):
        found = np.array([nnls((mean.to_numpy() * weight).T, row * weight)[0] for row in spots])
        found /= np.maximum(found.sum(1, keepdims=True), 1e-12)
        frames[name] = pd.DataFrame(found, index=task.names("spots"), columns=mean.index)
    return watch.stamp(Output(composition=frames.pop(""), alternatives=frames))

"""Negative binomial of types by maximum likelihood (expectation-maximisation-like updates), no prior, no platform."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from benchmarks.clock import Stopwatch
from benchmarks.methods.nnls import rates
from benchmarks.task import Output

if TYPE_CHECKING:
    from benchmarks.task import Task

TABLES = ("deconvolution",)
UPDATES = 300
DISPERSION = 5.0
"""Inverse dispersion of every gene."""


def run(task: Task, seed: int) -> Output:
    """Weights of types, from even ones on."""
    watch = Stopwatch()
    mean, x = rates(task), task.counts("spots")
    rho = mean.to_numpy()
    w = np.repeat(x.sum(1, keepdims=True) / rho.sum(1).mean() / len(rho), len(rho), 1)
    for _ in range(UPDATES):
        mu = np.maximum(w @ rho, 1e-9)
        w *= (x / mu) @ rho.T / np.maximum(((x + DISPERSION) / (mu + DISPERSION)) @ rho.T, 1e-12)
    w /= np.maximum(w.sum(1, keepdims=True), 1e-12)
    return watch.stamp(Output(composition=pd.DataFrame(w, index=task.names("spots"), columns=mean.index)))

"""A random direction for each cell (its own row), and steady-state velocity (La Manno et al.) of 30-neighbour means.

Both walk among 30 neighbours in 30 components of log-normalised spliced counts, by scvcell's transition kernel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.neighbors import kneighbors_graph

from benchmarks.clock import Stopwatch
from benchmarks.task import Output
from scvcell._stats import neighbours, walk

if TYPE_CHECKING:
    from benchmarks.task import Task

TABLES = ("velocity",)


def run(task: Task, seed: int) -> Output:
    """Walks by a random velocity and by u - gamma s."""
    mature, nascent = np.split(task.counts("kinetics"), 2, 1)
    names = [name.rpartition(":")[0] for name in task.features[: mature.shape[1]]]
    watch = Stopwatch()
    s, u = (x / np.maximum(x.sum(1, keepdims=True), 1) * np.median(mature.sum(1)) for x in (mature, nascent))
    pca = PCA(30, random_state=0)
    space = pca.fit_transform(np.log1p(s))
    mean = kneighbors_graph(space, 30, include_self=True) / 30
    s, u = mean @ s, mean @ u
    low, high = np.quantile(s, [0.05, 0.95], axis=0)
    ends = (s <= low) | (s >= high)
    gamma = (ends * s * u).sum(0) / np.maximum((ends * s * s).sum(0), 1e-12)
    change = u - gamma * s
    ahead = (np.log1p(np.maximum(s + change, 0)) - np.log1p(s)) @ pca.components_.T
    out, graph = watch.stamp(Output()), neighbours(space)
    out.steps[""] = walk(space, np.random.default_rng(seed).standard_normal(space.shape), graph)
    out.steps["steady state"] = walk(space, ahead, graph)
    out.gene_velocity["steady state"] = pd.DataFrame(change, columns=names)
    return out

"""Median of the coordinates of the nearest located cells in principal components, of those of the same type, of all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.model_selection import KFold
from sklearn.neighbors import NearestNeighbors

from benchmarks.clock import Stopwatch
from benchmarks.methods._places import components, median_points, points, position
from benchmarks.task import Output
from scvcell.score import place_error

if TYPE_CHECKING:
    from benchmarks.task import Task

TABLES = ("mapping",)
GRID = (10, 20, 30, 50, 100)
"""Neighbours, chosen by the median error in five parts of the located cells."""


def nearest(known: np.ndarray, query: np.ndarray, k: int) -> np.ndarray:
    """Rows of the nearest cells."""
    return NearestNeighbors(n_neighbors=k).fit(known).kneighbors(query)[1]


def choose(known: np.ndarray, xy: np.ndarray) -> int:
    """The number of neighbours by which left-out cells are found best."""
    errors = {k: [] for k in GRID}
    for train, test in KFold(5, shuffle=True, random_state=0).split(known):
        near = nearest(known[train], known[test], max(GRID))
        for k in GRID:
            errors[k] += place_error(np.median(xy[train][near[:, :k]], 1), xy[test]).tolist()
    return min(GRID, key=lambda k: np.median(errors[k]))


def run(task: Task, seed: int) -> Output:
    """Neighbours, types, mean."""
    located = task.mdata["rna"]
    xy = located.obsm["spatial"]
    watch = Stopwatch()
    known, query = components(task)
    k = choose(known, xy)
    near = nearest(known, query, k)
    weights = np.zeros((len(query), len(xy)))
    np.put_along_axis(weights, near, 1 / k, 1)
    out = watch.stamp(Output(points=points(task, np.median(xy[near], 1)), position=position(task, weights)))
    kind, mine = (task.mdata[name].obs["kind"].to_numpy() for name in ("rna", "cells"))
    by_kind = (mine[:, None] == kind).astype(float)
    by_kind[by_kind.sum(1) == 0] = 1
    out.alternatives = {
        "geometric median": median_points(task, weights),
        "type": median_points(task, by_kind),
        "mean": points(task, np.tile(np.median(xy, 0), (len(query), 1))),
    }
    out.notes = {"k": k}
    return out

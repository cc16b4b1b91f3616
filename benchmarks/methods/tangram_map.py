"""Tangram 1.0.4, cells to voxels that are located cells, with its defaults; a cell's point is that of its row."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import tangram

from benchmarks.clock import Stopwatch
from benchmarks.methods._places import median_points, points, position
from benchmarks.task import Output

if TYPE_CHECKING:
    from benchmarks.task import Task

TABLES = ("mapping",)
EPOCHS = 1000


def run(task: Task, seed: int) -> Output:
    """Map of cells to located cells."""
    located, cells = (task.mdata[name].copy() for name in ("rna", "cells"))
    logging.disable(logging.INFO)  # it logs every entry of the density
    watch = Stopwatch()
    tangram.pp_adatas(cells, located, genes=None)
    epochs = task.epochs or EPOCHS
    even = [1 / located.n_obs] * located.n_obs  # a list: an array or its name fails with this version of torch
    found = tangram.map_cells_to_space(
        cells, located, device="cpu", num_epochs=epochs, density_prior=even, random_state=seed, verbose=False
    )
    weights = np.asarray(found.X, dtype=float)
    out = watch.stamp(Output(points=median_points(task, weights), position=position(task, weights), epochs=epochs))
    out.alternatives = {"most probable": points(task, task.mdata["rna"].obsm["spatial"][weights.argmax(1)])}
    return out

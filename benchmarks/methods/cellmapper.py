"""CellMapper 0.2.6: coordinates carried over by its weighted neighbours, with its defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scanpy as sc
from cellmapper import CellMapper

from benchmarks.clock import Stopwatch
from benchmarks.methods._places import median_points, points, position
from benchmarks.task import Output

if TYPE_CHECKING:
    from benchmarks.task import Task

TABLES = ("mapping",)


def run(task: Task, seed: int) -> Output:
    """Its point is the weighted mean of coordinates; its map gives a median as well."""
    located, cells = (task.mdata[name].copy() for name in ("rna", "cells"))
    watch = Stopwatch()
    for adata in (located, cells):
        sc.pp.normalize_total(adata)
        sc.pp.log1p(adata)
    mapper = CellMapper(cells, located)
    mapper.compute_neighbors(random_state=seed)
    mapper.compute_mapping_matrix()
    mapper.map_obsm("spatial")
    weights = np.asarray(mapper.mapping_operator.matrix.toarray(), dtype=float)
    out = watch.stamp(Output(points=median_points(task, weights), position=position(task, weights)))
    out.alternatives = {"weighted mean": points(task, np.asarray(cells.obsm["spatial_pred"]))}
    return out

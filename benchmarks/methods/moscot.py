"""moscot 0.5.2: fused Gromov-Wasserstein transport of cells onto located cells, with its defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scanpy as sc
from moscot.problems.space import MappingProblem

from benchmarks.clock import Stopwatch
from benchmarks.methods._places import median_points, points, position
from benchmarks.task import Output

if TYPE_CHECKING:
    from benchmarks.task import Task

TABLES = ("mapping",)


def run(task: Task, seed: int) -> Output:
    """Its plan is the map; its point is the geometric median of a cell's column."""
    located, cells = (task.mdata[name].copy() for name in ("rna", "cells"))
    watch = Stopwatch()
    for adata in (located, cells):
        sc.pp.normalize_total(adata)
        sc.pp.log1p(adata)
        sc.pp.pca(adata, n_comps=30, random_state=seed)
    problem = MappingProblem(adata_sc=cells, adata_sp=located)
    problem = problem.prepare(sc_attr={"attr": "obsm", "key": "X_pca"}, xy_callback="local-pca").solve()
    (solution,) = problem.solutions.values()
    weights = np.asarray(solution.transport_matrix, dtype=float).T
    if weights.shape != (cells.n_obs, located.n_obs):
        raise ValueError(f"The plan has shape {weights.shape}.")
    out = Output(points=median_points(task, weights), position=position(task, weights))
    out.alternatives = {"most probable": points(task, located.obsm["spatial"][weights.argmax(1)])}
    out.notes = {"converged": bool(solution.converged)}
    return watch.stamp(out)

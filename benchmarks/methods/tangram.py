"""Tangram 1.0.4: cells onto cells.

Table imputation: 500 epochs, all genes of the panel; ``x depth`` is the same mapping, of counts per panel count of the
reference, times the cell's own panel depth. Table mapping: its defaults; a cell's point is that of its row.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import tangram
import torch

from benchmarks.clock import Stopwatch
from benchmarks.methods._places import median_points, points, position
from benchmarks.task import Output
from scvcell.score import dense

if TYPE_CHECKING:
    from anndata import AnnData

    from benchmarks.task import Task

TABLES = ("imputation", "mapping")
EPOCHS = {"hidden": 500, "cells": 1000}


def run(task: Task, seed: int) -> Output:
    """Map cells to cells of the tissue."""
    torch.manual_seed(seed)
    logging.disable(logging.INFO)  # it logs every entry of the density
    return _impute(task, seed) if task.target == "hidden" else _map(task, seed)


def _fit(task: Task, seed: int, cells: AnnData, tissue: AnnData, genes: list[str] | None) -> Any:
    tangram.pp_adatas(cells, tissue, genes=genes, **({} if genes is None else {"gene_to_lowercase": False}))
    even = [1 / tissue.n_obs] * tissue.n_obs  # a list: an array or its name fails with this version of torch
    epochs = task.epochs or EPOCHS[task.target]
    found = tangram.map_cells_to_space(
        cells, tissue, device="cpu", num_epochs=epochs, density_prior=even, random_state=seed, verbose=False
    )
    return np.asarray(found.X, dtype=float)


def _impute(task: Task, seed: int) -> Output:
    """Project hidden genes."""
    reference, tissue = task.mdata["rna"].copy(), task.mdata["tissue"].copy()
    hidden = reference.var_names[~reference.var_names.isin(tissue.var_names)]
    watch = Stopwatch()
    weight = _fit(task, seed, reference, tissue, list(tissue.var_names)).T  # cells of the tissue x reference cells
    weight = weight / np.maximum(weight.sum(1, keepdims=True), 1e-12)
    y, deep = dense(reference[:, hidden].X), np.maximum(dense(reference[:, tissue.var_names].X).sum(1), 1)
    own = np.maximum(dense(tissue.X).sum(1, keepdims=True), 1)
    rates = weight @ (y / deep[:, None])

    def frame(values: np.ndarray) -> pd.DataFrame:
        return pd.DataFrame(np.log1p(values), index=tissue.obs_names, columns=hidden)

    free = frame(rates * np.median(own))
    out = Output(imputation={"": (frame(weight @ y), free), "x depth": (frame(rates * own), free)})
    return watch.stamp(out)


def _map(task: Task, seed: int) -> Output:
    """Map of cells to located cells."""
    located, cells = (task.mdata[name].copy() for name in ("rna", "cells"))
    watch = Stopwatch()
    weights = _fit(task, seed, cells, located, None)
    found = Output(points=median_points(task, weights), position=position(task, weights), epochs=task.epochs or 1000)
    out = watch.stamp(found)
    out.alternatives = {"most probable": points(task, task.mdata["rna"].obsm["spatial"][weights.argmax(1)])}
    return out

"""Squares of a frame, kernels around places, and points of maps: what baselines and peers need."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scanpy as sc
from sklearn.decomposition import PCA

from benchmarks.task import Position

if TYPE_CHECKING:
    from benchmarks.task import Task

N = 24
SMOOTHING = 1.5
"""Width of the kernel around a place, in squares."""
N_COMPONENTS = 30


def components(task: Task) -> tuple[np.ndarray, np.ndarray]:
    """Principal components of log counts of located cells, and of the others."""
    parts = []
    for name in ("rna", "cells"):
        adata = task.mdata[name].copy()
        sc.pp.normalize_total(adata, target_sum=100)
        sc.pp.log1p(adata)
        parts.append(adata.X.toarray())
    pca = PCA(N_COMPONENTS, random_state=0).fit(parts[0])
    return pca.transform(parts[0]), pca.transform(parts[1])


def squares(task: Task) -> tuple[np.ndarray, float]:
    """Centres of squares over the frame of the located cells, and their width (of one with their area)."""
    xy = task.mdata["rna"].obsm["spatial"]
    low, extent = xy.min(0), np.ptp(xy, 0)
    grid = np.stack(np.meshgrid(*[(np.arange(N) + 0.5) / N] * 2, indexing="ij"), -1).reshape(-1, 2)
    return low + extent * grid, float(np.sqrt(np.prod(extent)) / N)


def kernel(xy: np.ndarray, places: np.ndarray, width: float) -> np.ndarray:
    """Weights of places around coordinates, which sum to 1."""
    squared = ((xy[:, None] - places) ** 2).sum(-1)
    weight = np.exp(-(squared - squared.min(1, keepdims=True)) / (2 * width**2))
    return weight / weight.sum(1, keepdims=True)


def position(task: Task, weights: np.ndarray) -> Position:
    """The map of weights of located cells, ``(cells, located)``, each smoothed, a twentieth spread over all squares."""
    places, width = squares(task)
    p = weights @ kernel(task.mdata["rna"].obsm["spatial"], places, SMOOTHING * width)
    p = 0.95 * p / p.sum(1, keepdims=True) + 0.05 / len(places)
    order = np.cumsum(-np.sort(-p, axis=1), axis=1)
    region = (order < task.level).sum(1) + 1
    index = pd.Index([f"square{i}" for i in range(len(places))])
    return Position(
        pd.DataFrame(p, index=task.query, columns=index),
        pd.DataFrame(places, index=index, columns=["x", "y"]),
        width,
        pd.Series(region / len(places), index=task.query),
    )


def points(task: Task, xy: np.ndarray) -> pd.DataFrame:
    """Coordinates of the cells that are looked for."""
    return pd.DataFrame(xy, index=task.query, columns=["x", "y"])


def median_points(task: Task, weights: np.ndarray) -> pd.DataFrame:
    """Geometric median of the located cells by their weights: the best point that a map can be given."""
    xy = task.mdata["rna"].obsm["spatial"]
    weights = weights / weights.sum(1, keepdims=True)
    point = weights @ xy
    for _ in range(50):
        share = weights / np.sqrt(((point[:, None] - xy) ** 2).sum(-1) + 1e-3 * np.ptp(xy) ** 2 / len(xy))
        point = (share @ xy) / share.sum(1, keepdims=True)
    return points(task, point)

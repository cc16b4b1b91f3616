"""Features shared by the simple baselines: scaled source and target, principal components, folds of pairs."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.model_selection import KFold

from scvcell.score import log_cp10k

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.task import Task


def within_batch(values: np.ndarray, batch: np.ndarray, *, scaled: bool) -> np.ndarray:
    """Centre every feature within its batch, and divide by its standard deviation there if `scaled`."""
    out = values.copy()
    for name in np.unique(batch):
        rows = batch == name
        out[rows] -= out[rows].mean(0)
        if scaled:
            out[rows] /= np.maximum(out[rows].std(0), 1e-3)
    return out


def components(values: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Scores on the first n principal components."""
    return PCA(n, svd_solver="randomized", random_state=seed).fit_transform(values)


def source_components(task: Task, n: int, seed: int, *, scaled: bool) -> np.ndarray:
    """Principal components of the source (log counts or profiles) of every visible cell, centred within batch."""
    values = task.counts(task.source)
    values = values if task.scale == "identity" else log_cp10k(values)
    x = within_batch(values, task.batch(task.source), scaled=scaled)
    return components(x, min(n, x.shape[1] - 1), seed)


def target_centred(task: Task, *, scaled: bool) -> np.ndarray:
    """Target on the scored scale, centred (and scaled) within batch: what is matched, not what is predicted."""
    return within_batch(task.scaled_target(), task.batch(task.target), scaled=scaled)


def pair_rows(task: Task) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the paired cells in source and target."""
    return task.rows(task.source, task.paired), task.rows(task.target, task.paired)


def folds(n: int, seed: int, k: int = 5) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield training and test positions of k folds."""
    yield from KFold(k, shuffle=True, random_state=seed).split(np.arange(n))


def options(grid: dict[str, tuple]) -> list[dict[str, Any]]:
    """All combinations of a grid."""
    return [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]


def choose(settings: list[dict[str, Any]], loss: Callable[[dict[str, Any]], float]) -> dict[str, Any]:
    """Return the setting with the least cross-validated loss on pairs; a single setting costs nothing."""
    return settings[0] if len(settings) == 1 else min(settings, key=loss)

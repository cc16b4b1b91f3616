"""Predictions of an assay from a panel: rates of the nearest reference cells, and ridge regression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from sklearn.neighbors import NearestNeighbors
from sklearn.utils.extmath import randomized_svd

if TYPE_CHECKING:
    from scvcell._types import Array, Rows

N_COMPONENTS = 30
"""Components of the panel among which neighbours are sought."""
N_NEIGHBOURS = 60
"""Reference cells that a prediction is the mean of."""
DEPTH_STEP = 1.3
"""Factor between depths at which rates are taken to the logarithm; between them it is interpolated."""
MAX_INPUTS = 300
"""Features of a panel from which on the ridge reads as many components instead."""
DEPTH_SD = 5.0
"""Standard deviation of log depth among the inputs of the ridge, which is hardly shrunk so."""
PENALTIES = 10.0 ** np.arange(0, 6, 0.5)
"""Penalties of the ridge, of which generalised cross-validation takes one."""


@dataclass(frozen=True, eq=False, repr=False)
class Cells:
    """What the members are told of cells.

    Attributes
    ----------
    panel
        Standardised log rates of the panel's features, ``(cells, features)``.
    depth
        Counts of the panel, at least 1, ``(cells,)``.
    state
        States, ``(cells, latent)``; without columns where they may not be used.
    """

    panel: Array
    depth: Array
    state: Array

    def of(self, rows: Rows) -> Cells:
        """Some of the cells."""
        return Cells(self.panel[rows], self.depth[rows], self.state[rows])


def neighbours(known: Cells, asked: Cells) -> sp.csr_matrix:
    """Nearest reference cells of each cell, by components of the panel and by state, ``(cells, reference cells)``.

    Rows sum to one. Either space counts as much as the other.
    """
    mean = known.panel.mean(0)
    spread = known.panel - mean
    _, vectors = np.linalg.eigh(spread.T @ spread)
    axes = vectors[:, ::-1][:, :N_COMPONENTS]
    parts = []
    for here, there in ((spread @ axes, (asked.panel - mean) @ axes), (known.state, asked.state)):
        if here.shape[1]:
            size = np.sqrt(here.var(0).sum()) or 1.0
            parts.append((here / size, there / size))
    ours, theirs = (np.hstack(each) for each in zip(*parts, strict=True))
    k = min(N_NEIGHBOURS, len(ours))
    near = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(ours).kneighbors(theirs, return_distance=False)
    n = len(theirs)
    return sp.csr_matrix((np.full(n * k, 1 / k), near.ravel(), np.arange(0, n * k + 1, k)), (n, len(ours)))


def by_rates(near: sp.csr_matrix, y: sp.csr_matrix, known: Array, asked: Array) -> Array:
    """Mean over neighbours of the log1p counts that their rates give at a cell's own depth, ``(cells, features)``.

    Parameters
    ----------
    near
        Weights of reference cells.
    y
        Their counts.
    known, asked
        Depths of reference cells, and those at which cells are read.
    """
    rates = sp.csr_matrix(y, dtype=float, copy=True)
    rates.data /= np.repeat(known, np.diff(rates.indptr))
    place = np.log(asked) / np.log(DEPTH_STEP)
    step = np.floor(place).astype(int)
    out = np.zeros((near.shape[0], y.shape[1]), np.float32)
    for number in np.unique(np.concatenate([step, step + 1])):
        weight = np.maximum(1 - np.abs(place - number), 0)
        rows = np.flatnonzero(weight > 0)
        if len(rows):
            at_depth = rates.copy()
            at_depth.data = np.log1p(at_depth.data * DEPTH_STEP**number)
            out[rows] += weight[rows, None] * (near[rows] @ at_depth).toarray()
    return out


@dataclass(frozen=True, eq=False, repr=False)
class Ridge:
    r"""Ridge regression of many features, one penalty for all by generalised cross-validation.

    .. math:: \hat W = (A^\top A + \alpha I)^{-1} A^\top Y, \qquad
              \alpha = \arg\min \sum_g \frac{\|y_g - \hat y_g\|^2 / \|y_g\|^2}{(1 - \mathrm{df}(\alpha) / n)^2}

    with the panel and the log depth as A, all centred.

    References
    ----------
    Golub, Heath and Wahba, Generalized cross-validation as a method for choosing a good ridge parameter, Technometrics
    1979.
    """

    mean: Array
    weights: Array
    offset: Array
    log_depth: tuple[float, float]

    @classmethod
    def fit(cls, known: Cells, *values: Array | sp.csr_matrix) -> list[Ridge]:
        """Regress tables of values, ``(reference cells, features)`` each, on what is known of cells."""
        deep = np.log(known.depth)
        scale = float(deep.mean()), float(deep.std()) or 1.0
        a = _inputs(known, scale)
        mean = a.mean(0)
        value, vectors = np.linalg.eigh((a - mean).T @ (a - mean))
        return [cls._solve(a, mean, np.maximum(value, 0), vectors, y, scale) for y in values]

    @classmethod
    def _solve(
        cls, a: Array, mean: Array, value: Array, vectors: Array, y: Array | sp.csr_matrix, scale: tuple[float, float]
    ) -> Ridge:
        """One table, by the eigenvectors of the inputs."""
        offset = np.asarray(y.mean(0)).ravel()
        moved = vectors.T @ (np.asarray(y.T @ a).T - np.outer(mean * len(a), offset))
        square: Any = y.multiply(y) if isinstance(y, sp.csr_matrix) else y * y
        total = np.maximum(np.asarray(square.sum(0)).ravel() - len(a) * offset**2, 1e-9)
        kept, best = None, np.inf
        for penalty in PENALTIES:
            inverse = 1 / (value + penalty)
            left = total - ((2 * inverse - value * inverse**2)[:, None] * moved**2).sum(0)
            freedom = max(1 - ((value * inverse).sum() + 1) / len(a), 1e-3)
            error = float((left / total).mean() / freedom**2)
            if error < best:
                kept, best = inverse, error
        weights = vectors @ (np.asarray(kept)[:, None] * moved)
        return cls(mean, weights, offset, scale)

    def __call__(self, asked: Cells) -> Array:
        """Predicted values, ``(cells, features)``."""
        return (_inputs(asked, self.log_depth) - self.mean) @ self.weights + self.offset


def components(panel: Array) -> Array | None:
    """Leading axes of a standardised panel of many features, ``(features, axes)``; None of a small one."""
    if panel.shape[1] <= MAX_INPUTS:
        return None
    return randomized_svd(panel, MAX_INPUTS, random_state=0)[2].T  # type: ignore[no-any-return]


def _inputs(cells: Cells, scale: tuple[float, float]) -> Array:
    return np.column_stack([cells.panel, (np.log(cells.depth) - scale[0]) / scale[1] * DEPTH_SD])

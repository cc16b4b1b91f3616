"""Predictions of an assay from a panel: rates of the nearest reference cells, and ridge regression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from sklearn.neighbors import NearestNeighbors

if TYPE_CHECKING:
    from scvcell._types import Array, Rows

N_COMPONENTS = 30
"""Components of the panel among which neighbours are sought."""
N_NEIGHBOURS = 60
"""Reference cells that a prediction is the mean of."""
N_DEPTHS = 16
"""Depths at which rates are taken to the logarithm; between them it is interpolated."""
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
    depths = np.unique(np.geomspace(asked.min(), asked.max(), N_DEPTHS))
    upper = np.clip(np.searchsorted(depths, asked), 1, max(len(depths) - 1, 1))
    out = np.zeros((near.shape[0], y.shape[1]), np.float32)
    for step in np.unique(upper):
        rows = np.flatnonzero(upper == step)
        ends = depths[[step - 1, min(step, len(depths) - 1)]]
        share = np.log(asked[rows] / ends[0]) / max(np.log(ends[1] / ends[0]), 1e-12)
        for end, weight in zip(ends, (1 - share, share), strict=True):
            at_depth = rates.copy()
            at_depth.data = np.log1p(at_depth.data * end)
            out[rows] += weight[:, None] * (near[rows] @ at_depth).toarray()
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
    def fit(cls, known: Cells, y: Array | sp.csr_matrix) -> Ridge:
        """Regress values, ``(reference cells, features)``, on what is known of cells."""
        deep = np.log(known.depth)
        scale = float(deep.mean()), float(deep.std()) or 1.0
        a = _inputs(known, scale)
        mean, offset = a.mean(0), np.asarray(y.mean(0)).ravel()
        value, vectors = np.linalg.eigh((a - mean).T @ (a - mean))
        value = np.maximum(value, 0)
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


def _inputs(cells: Cells, scale: tuple[float, float]) -> Array:
    return np.column_stack([cells.panel, (np.log(cells.depth) - scale[0]) / scale[1] * DEPTH_SD])

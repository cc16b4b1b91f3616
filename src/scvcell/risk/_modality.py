"""Metrics of the modality axis: is the same cell found in another assay, and are its values predicted."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.stats import median_abs_deviation
from sklearn.neighbors import NearestNeighbors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.floating]

BLOCK = 1024
VOTES = 0.6
"""Share of votes from which a label is trusted."""
REACH = 0.99
"""Share of annotated cells whose neighbours are no farther than those of a cell that is given a trusted label."""
SPREAD = 1.5
"""Standard deviations above the query's median from which on a cell is unusually far from annotated ones."""


def foscttm(a: Array, b: Array) -> tuple[Array, Array]:
    """Fraction of samples closer than the true match, per cell and direction; 0 is best, .5 is chance.

    Parameters
    ----------
    a, b
        Latents of the same cells in two assays, each ``(cells, latent)``; row i of both is one cell. Distances are
        computed in blocks, ties count half.

    References
    ----------
    Liu et al., Jointly embedding multiple single-cell omics measurements, WABI 2019.
    """
    return _closer(a, b), _closer(b, a)


def _closer(a: Array, b: Array) -> Array:
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.shape != b.shape or len(a) < 2:
        raise ValueError(f"Two arrays of one shape with at least 2 cells are needed, not {a.shape} and {b.shape}.")
    square = (b**2).sum(1)
    out = np.empty(len(a))
    for start in range(0, len(a), BLOCK):
        rows = slice(start, min(start + BLOCK, len(a)))
        distance = square[None, :] - 2 * a[rows] @ b.T
        true = distance[np.arange(distance.shape[0]), np.arange(rows.start, rows.stop)][:, None]
        tied = (distance == true).sum(1) - 1
        out[rows] = ((distance < true).sum(1) + 0.5 * tied) / (len(b) - 1)
    return out


def match_recall(a: Array, b: Array, k: int = 1) -> float:
    """Share of cells whose true match is among the k nearest cells of the other assay, mean of both directions."""
    hits = []
    for query, reference in ((a, b), (b, a)):
        near = NearestNeighbors(n_neighbors=min(k, len(reference))).fit(reference).kneighbors(query)[1]
        hits.append((near == np.arange(len(query))[:, None]).any(1).mean())
    return float(np.mean(hits))


def mixing(a: Array, b: Array, k: int = 20) -> float:
    """How well two assays mix: share of the other assay among k neighbours, over what random mixing gives; 1 is best.

    Parameters
    ----------
    a, b
        Latents of cells in two assays.
    k
        Neighbours looked at.
    """
    both = np.concatenate([a, b])
    origin = np.repeat([0, 1], [len(a), len(b)])
    k = min(k, len(both) - 1)
    near = NearestNeighbors(n_neighbors=k + 1).fit(both).kneighbors(both)[1][:, 1:]
    other = (origin[near] != origin[:, None]).mean(1)
    expected = np.where(origin == 0, len(b), len(a)) / (len(both) - 1)
    return float((other / expected).mean())


class Votes(NamedTuple):
    """Of every cell the label that most of its nearest annotated cells have, its share of the votes, their distance."""

    label: NDArray[np.str_]
    share: Array
    distance: Array

    def reach(self, labels: NDArray[np.str_]) -> float:
        """Distance within which 99 % of the annotated cells that are given their own of `labels` find their voters."""
        right = self.label == labels
        return float(np.quantile(self.distance[right] if right.any() else self.distance, REACH))

    def near(self, reach: float) -> NDArray[np.bool_]:
        """Which cells are within reach of annotated ones, and not unusually far away for cells of this query."""
        if not len(self.distance):
            return np.zeros(0, dtype=bool)
        usual = np.median(self.distance) + SPREAD * median_abs_deviation(self.distance, scale="normal")
        return self.distance <= min(reach, usual)


def votes(query: Array | None, reference: Array, labels: NDArray[np.str_], k: int = 5) -> Votes:
    """Votes of the `k` nearest annotated cells for every cell of the query; without one, for the annotated cells.

    Parameters
    ----------
    query, reference
        Latents of cells, ``(cells, latent)``; annotated cells do not vote for themselves.
    labels
        Of the annotated cells.
    k
        Neighbours that vote.
    """
    names, code = np.unique(labels, return_inverse=True)
    if query is not None and not len(query):
        return Votes(labels[:0], np.zeros(0), np.zeros(0))
    distance, near = NearestNeighbors(n_neighbors=min(k, len(reference) - 1)).fit(reference).kneighbors(query)
    count = np.zeros((len(near), len(names)))
    for voter in near.T:
        count[np.arange(len(near)), code[voter]] += 1
    return Votes(names[count.argmax(1)], count.max(1) / near.shape[1], distance.mean(1))


def trusted(query: Array, reference: Array, labels: NDArray[np.str_], k: int = 5) -> NDArray[np.bool_]:
    """Which cells find a confident match among annotated ones, by the rule of `scvcell.tl.transfer_labels`.

    At least three of five of its k nearest neighbours are of one type; they are no farther away than 99 % of the
    annotated cells that are given their own label find theirs; and not unusually far for the query (the median and 1.5
    standard deviations, estimated from the median absolute deviation). The share of trusted cells of a type that the
    reference lacks is the over-correction canary (lower is better); its other side is the share of the types that it
    has (higher is better). Query the cells of all types at once: each is judged beside the others.

    Parameters
    ----------
    query
        Latent of cells of one assay, ``(cells, latent)``.
    reference, labels
        Latent and types of at least two cells of the other assay.
    k
        Neighbours that vote.

    Returns
    -------
    Mask ``(cells,)`` of the query.
    """
    found = votes(query, reference, labels, k)
    return (found.share >= VOTES) & found.near(votes(None, reference, labels, k).reach(labels))


def correlation(predicted: Array, true: Array) -> Array:
    """Pearson correlation of each column, shape ``(features,)``; 0 where a column is constant."""
    p, t = predicted - predicted.mean(0), true - true.mean(0)
    norm = np.sqrt((p**2).sum(0) * (t**2).sum(0))
    return np.divide((p * t).sum(0), norm, out=np.zeros_like(norm), where=norm > 1e-12)


def cca(x: Array, y: Array, n_components: int, ridge: float = 0.1) -> tuple[Array, Array]:
    """Regularised canonical correlation: maps of two views into one space, the linear baseline of alignment.

    Parameters
    ----------
    x, y
        Standardised features of paired cells.
    n_components
        Canonical components.
    ridge
        Added to the diagonal of both covariances, relative to the mean variance.

    Returns
    -------
    Two matrices ``(features, components)``; columns carry the canonical correlation as weight.
    """

    def whiten(c: Array) -> Array:
        value, vector = np.linalg.eigh(c + ridge * np.trace(c) / len(c) * np.eye(len(c)))
        return vector / np.sqrt(np.maximum(value, 1e-10)) @ vector.T

    x, y = x - x.mean(0), y - y.mean(0)
    n = len(x)
    wx, wy = whiten(x.T @ x / n), whiten(y.T @ y / n)
    u, s, vt = np.linalg.svd(wx @ (x.T @ y / n) @ wy)
    k = min(n_components, len(s))
    return wx @ u[:, :k] * s[:k], wy @ vt[:k].T * s[:k]

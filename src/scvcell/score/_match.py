"""Is the same cell found in another assay: ranks of true matches, mixing, labels by neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from scipy.stats import median_abs_deviation
from sklearn.neighbors import NearestNeighbors

from scvcell.score._base import metric

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from scvcell._types import Array, Mask, Rows


Distance = Literal["euclidean", "cosine"]

CELLS_AT_ONCE = 2048
"""Rows of a table of distances that are held at once; more is faster and takes more memory."""
ROUNDINGS = 16
"""Distances that differ by fewer roundings of their terms are the same: which is less hangs on the order of cells."""
VOTES = 0.6
"""Share of votes from which a label is trusted."""
REACH = 0.99
"""Share of annotated cells whose neighbours are no farther than those of a cell that is given a trusted label."""
SPREAD = 1.5
"""Standard deviations above the query's median from which on a cell is unusually far from annotated ones."""


class Ranks(NamedTuple):
    """Of each cell how many wrong cells of the other assay are nearer than its match, and how many are as near."""

    closer: Array
    tied: Array

    def share(self) -> Array:
        """Share of wrong cells that are nearer; one that is as near counts half, ``(cells,)``."""
        return (self.closer + 0.5 * self.tied) / max(len(self.closer) - 1, 1)  # type: ignore[no-any-return]

    def found(self, k: int = 1) -> Array:
        """Chance that the match is among the k nearest if those that are as near come in random order, ``(cells,)``."""
        return np.clip((k - self.closer) / (1.0 + self.tied), 0.0, 1.0)


def match_ranks(a: Array, b: Array, distance: Distance = "euclidean") -> tuple[Ranks, Ranks]:
    """Ranks of true matches among all cells of the other assay, from `a` to `b` and from `b` to `a`.

    Parameters
    ----------
    a, b
        Latents of the same cells in two assays, each ``(cells, latent)``; row i of both is one cell. Distances are
        computed in blocks.
    distance
        ``"euclidean"`` or ``"cosine"``.

    Raises
    ------
    ValueError
        If the two have not the same shape, there are fewer than two cells, or there is no such distance.
    """
    rounding = ROUNDINGS * max(_precision(a), _precision(b))
    a, b = _scaled(a, distance), _scaled(b, distance)
    if a.shape != b.shape or len(a) < 2:
        raise ValueError(f"Two arrays of one shape with at least 2 cells are needed, not {a.shape} and {b.shape}.")
    return _one_way(a, b, rounding), _one_way(b, a, rounding)


@metric(
    "foscttm",
    takes="states",
    better="lower",
    per="cell",
    scale="one space for both assays",
    formula="share of wrong cells nearer than the true match; ties count half; .5 is chance",
    source="Liu et al., WABI 2019",
    fooled_by="large differences between cell types: matches within a type count little",
)
def foscttm(a: Array, b: Array, distance: Distance = "euclidean") -> tuple[Array, Array]:
    """Fraction of samples closer than the true match, per cell and direction; 0 is best, .5 is chance.

    Parameters
    ----------
    a, b
        Latents of the same cells in two assays, each ``(cells, latent)``; row i of both is one cell. Distances are
        computed in blocks, ties count half.
    distance
        ``"euclidean"`` or ``"cosine"``.

    References
    ----------
    Liu et al., Jointly embedding multiple single-cell omics measurements, WABI 2019.
    """
    one, other = match_ranks(a, b, distance)
    return one.share(), other.share()


@metric(
    "match_recall",
    takes="states",
    better="higher",
    per="table",
    scale="one space for both assays",
    formula="share of cells whose match is among the k nearest; mean of both directions; k / cells is chance",
    source="recall at k of information retrieval",
    fooled_by="few cells: chance grows as their number falls",
)
def match_recall(a: Array, b: Array, k: int = 1, distance: Distance = "euclidean") -> float:
    """Share of cells whose true match is among the k nearest cells of the other assay, mean of both directions.

    Cells that are as near as the match come in random order: with one such cell beside it, a match counts one half.

    Parameters
    ----------
    a, b
        As for `foscttm`.
    k
        Neighbours looked at.
    distance
        ``"euclidean"`` or ``"cosine"``.
    """
    return float(np.mean([ranks.found(k).mean() for ranks in match_ranks(a, b, distance)]))


def match_scores(a: Array, b: Array, distance: Distance = "euclidean") -> dict[str, float]:
    """FOSCTTM and recall of the nearest, mean of both directions, from one table of distances.

    Returns
    -------
    ``foscttm`` (0 best, .5 chance) and ``top1`` (1 best, 1 / cells chance).
    """
    both = match_ranks(a, b, distance)
    return {
        "foscttm": float(np.mean([ranks.share().mean() for ranks in both])),
        "top1": float(np.mean([ranks.found().mean() for ranks in both])),
    }


def _precision(x: Array) -> float:
    """Rounding of a value, relative to it."""
    kind = np.asarray(x).dtype
    return float(np.finfo(kind if kind.kind == "f" else np.float64).eps)


def _one_way(a: Array, b: Array, rounding: float) -> Ranks:
    """Ranks of the rows of `b`; two that differ by less than the rounding of a squared distance are as near."""
    out, size = Ranks(np.empty(len(a)), np.empty(len(a))), (b**2).sum(1).max(initial=0.0)
    for rows in _blocks(len(a)):
        distance = _squared_distances(a[rows], b)
        own = distance[np.arange(len(distance)), np.arange(rows.start, rows.stop)][:, None]
        slack = rounding * ((a[rows] ** 2).sum(1)[:, None] + size)
        out.closer[rows] = (distance < own - slack).sum(1)
        out.tied[rows] = (np.abs(distance - own) <= slack).sum(1) - 1
    return out


def _blocks(n: int) -> Iterator[slice]:
    for start in range(0, n, CELLS_AT_ONCE):
        yield slice(start, min(start + CELLS_AT_ONCE, n))


def _scaled(x: Array, distance: Distance) -> Array:
    """Rows scaled so that the squared Euclidean distance orders cells as `distance` does."""
    x = np.asarray(x, dtype=np.float64)
    if distance == "euclidean":
        return x
    if distance == "cosine":
        return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    raise ValueError(f"distance must be 'euclidean' or 'cosine', not {distance!r}.")


def _squared_distances(a: Array, b: Array) -> Array:
    """Squared Euclidean distances, ``(rows of a, rows of b)``."""
    squared = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2.0 * a @ b.T
    return np.maximum(squared, 0.0)  # type: ignore[no-any-return]


def nearest(query: Array, reference: Array, k: int, *, exclude_self: bool = False) -> Rows:
    """Row numbers of the k nearest rows of `reference` (Euclidean), nearest first, ``(query, k)``.

    Parameters
    ----------
    query, reference
        Latents, ``(cells, latent)``.
    k
        Neighbours wanted.
    exclude_self
        Whether row i of both is one cell, which is not its own neighbour.
    """
    out = np.empty((len(query), k), dtype=np.int64)
    for rows in _blocks(len(query)):
        distance = _squared_distances(query[rows], reference)
        if exclude_self:
            distance[np.arange(len(distance)), np.arange(rows.start, rows.stop)] = np.inf
        part = np.argpartition(distance, k - 1, axis=1)[:, :k]
        order = np.argsort(np.take_along_axis(distance, part, 1), axis=1, kind="stable")
        out[rows] = np.take_along_axis(part, order, 1)
    return out


@metric(
    "mixing",
    takes="states",
    better="higher",
    per="table",
    scale="one space for both assays",
    formula="share of the other assay among the k nearest cells, over its share in random order; 1 is best",
    source="written here; the question is that of kBET (Buettner et al., Nat Methods 2019)",
    fooled_by="a latent that has lost the cells' differences: it mixes perfectly",
)
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

    def near(self, reach: float) -> Mask:
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
    if query is not None and not len(query):
        return Votes(labels[:0], np.zeros(0), np.zeros(0))
    distance, near = NearestNeighbors(n_neighbors=min(k, len(reference) - 1)).fit(reference).kneighbors(query)
    names, count = _tally(near, labels)
    return Votes(names[count.argmax(1)], count.max(1) / near.shape[1], distance.mean(1))


def vote(neighbours: Rows, labels: NDArray[np.str_]) -> NDArray[np.str_]:
    """Label that most of each row of `neighbours` have; a tie goes to the first in alphabetical order.

    Parameters
    ----------
    neighbours
        Row numbers of annotated cells, ``(cells, k)``, as `nearest` gives them.
    labels
        Of the annotated cells.
    """
    names, count = _tally(neighbours, np.asarray(labels, dtype=str))
    return names[count.argmax(1)]


def _tally(neighbours: Rows, labels: NDArray[np.str_]) -> tuple[NDArray[np.str_], Array]:
    """Names of labels, sorted, and how many of each row's neighbours have each, ``(cells, labels)``."""
    names, code = np.unique(labels, return_inverse=True)
    count = np.zeros((len(neighbours), len(names)))
    for voter in neighbours.T:
        count[np.arange(len(neighbours)), code[voter]] += 1
    return names, count


def trusted(query: Array, reference: Array, labels: NDArray[np.str_], k: int = 5) -> Mask:
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

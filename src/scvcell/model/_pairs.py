"""Pseudo-pairs: cells of different assays that are each other's nearest, taken for one cell in further training."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import scipy.sparse as sp
from sklearn.neighbors import NearestNeighbors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from scvcell._types import Array, Mask, Rows
    from scvcell.prior import Edges


N_NEIGHBOURS = 10
"""Neighbours whose mean similarity says how crowded it is around a cell."""
MAX_MATCHED_CELLS = 10_000
"""Cells of one batch and assay that are matched at most, drawn at random."""
MIN_MATCHED_CELLS = 20
"""Cells of either side below which a batch is not matched."""

MIN_CONFIDENCE = 0.5
"""What the least similar pair counts."""
N_SMOOTHING = 20
"""Components of an assay from which its linked features are smoothed."""
MAX_LINKED_FEATURES = 2000
"""Linked features by which cells are compared at most, those that vary most."""


class Matches(NamedTuple):
    """Pseudo-pairs: positions of both cells, and how far each can be relied on, in (0, 1]; each ``(pairs,)``."""

    one: Rows
    other: Rows
    confidence: NDArray[np.float32]


NO_MATCHES = Matches(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))
"""No pairs."""


class LowRank(NamedTuple):
    """An assay as cells x components times components x features.

    Attributes
    ----------
    cells
        Positions of the cells that have it, ``(some,)``.
    scores, loadings
        ``(some, components)`` and ``(features, components)``.
    """

    cells: Rows
    scores: Array
    loadings: Array


def graph_matches(
    views: Mapping[str, LowRank],
    sizes: Mapping[str, int],
    edges: Edges,
    batch: Rows,
    rng: np.random.Generator,
) -> Matches:
    r"""Mutual nearest neighbours between cells of assays that a guidance graph joins, before any model is fitted.

    Both assays are smoothed by their leading components. The features of the one with fewer linked ones are compared
    with the weighted, signed sum of those linked to each in the other, all standardised within batch; see
    `mutual_matches` for the rest.

    Parameters
    ----------
    views
        Each assay's cells and components.
    sizes
        Features of each assay, in the order of the nodes of `edges`.
    edges
        The graph.
    batch
        Batch codes of all cells.
    rng
        Draws cells where there are many.

    References
    ----------
    Chen et al., Integration of spatial and single-cell data across modalities with weakly linked features, Nat
    Biotechnol 2024 (matching by smoothed linked features).
    """
    names, last = list(sizes), np.cumsum(list(sizes.values()))
    first = last - list(sizes.values())
    owner = [np.searchsorted(last, end, side="right") for end in (edges.a, edges.b)]
    taken = np.zeros(len(batch), bool)
    parts = []
    for i, j in combinations(range(len(names)), 2):
        straight, turned = ((owner[0] == p) & (owner[1] == q) for p, q in ((i, j), (j, i)))
        a = np.concatenate([edges.a[straight], edges.b[turned]]) - first[i]
        b = np.concatenate([edges.b[straight], edges.a[turned]]) - first[j]
        weight = np.concatenate([(edges.weight * edges.sign)[k] for k in (straight, turned)])
        if len(a) == 0:
            continue
        one, other = views[names[i]], views[names[j]]
        if len(np.unique(a)) > len(np.unique(b)):
            one, other, a, b = other, one, b, a
        apart = [
            _some(v.cells[~taken[v.cells] & ~np.isin(v.cells, w.cells)], batch, rng)
            for v, w in ((one, other), (other, one))
        ]
        has = np.repeat(np.eye(2, dtype=bool), [len(c) for c in apart], axis=0)
        values = _linked(
            one, other, a, b, weight, [np.isin(v.cells, c) for v, c in zip((one, other), apart, strict=True)]
        )
        compared = [_standard(x, batch[c]) for x, c in zip(values, apart, strict=True)]
        where = np.concatenate(apart)
        found = mutual_matches(np.concatenate(compared), batch[where], has, rng)
        parts.append(Matches(where[found.one], where[found.other], found.confidence))
        taken[np.concatenate([parts[-1].one, parts[-1].other])] = True
    return Matches(*(np.concatenate(part) for part in zip(*parts, strict=True))) if parts else NO_MATCHES


def _some(cells: Rows, batch: Rows, rng: np.random.Generator) -> Rows:
    """At most `MAX_MATCHED_CELLS` cells of each batch, drawn at random, in order."""
    parts = (cells[batch[cells] == code] for code in np.unique(batch[cells]))
    return np.sort(
        np.concatenate(
            [rng.choice(c, MAX_MATCHED_CELLS, replace=False) if len(c) > MAX_MATCHED_CELLS else c for c in parts]
            or [cells]
        )
    )


def _linked(
    one: LowRank,
    other: LowRank,
    a: Rows,
    b: Rows,
    weight: Array,
    rows: list[Mask],
) -> tuple[Array, Array]:
    """Linked features of `one`, and what `other` says of each, in some cells of either: ``(some, features)`` each."""
    features, column = np.unique(a, return_inverse=True)
    left = one.loadings[features, :N_SMOOTHING].T
    summed = sp.csr_matrix((weight, (column, b)), shape=(len(features), len(other.loadings)))
    right = np.asarray(summed @ other.loadings[:, :N_SMOOTHING]).T
    x = one.scores[:, :N_SMOOTHING]
    varying = np.sort(np.argsort(-(np.cov(x.T) @ left * left).sum(0), kind="stable")[:MAX_LINKED_FEATURES])
    return x[rows[0]] @ left[:, varying], other.scores[rows[1], :N_SMOOTHING] @ right[:, varying]


def _standard(values: Array, batch: Rows) -> Array:
    """Each feature with mean 0 and standard deviation 1 within batch."""
    out = np.empty_like(values)
    for code in np.unique(batch):
        here = values[batch == code]
        out[batch == code] = (here - here.mean(0)) / np.maximum(here.std(0), 1e-6)
    return out


def mutual_matches(latent: Array, batch: Rows, has: Mask, rng: np.random.Generator) -> Matches:
    r"""Mutual nearest neighbours between cells of one batch that share no assay.

    .. math:: s(i, j) = 2 \cos(z_i, z_j) - r_i - r_j

    with :math:`r` the mean cosine to the nearest cells of the other side, so that hubs match no more than others do.
    Two cells are a pair if each is the other's best; its confidence is the rank of its similarity among all. A cell is
    in one pair at most.

    Parameters
    ----------
    latent
        State of the cells, ``(cells, latent)``.
    batch
        Batch codes; only cells of one batch are matched, where both assays sampled the same population.
    has
        Which assays each cell has, ``(cells, assays)``.
    rng
        Draws cells where there are more than `MAX_MATCHED_CELLS`.

    References
    ----------
    Haghverdi et al., Batch effects in single-cell RNA-sequencing data are corrected by matching mutual nearest
    neighbors, Nat Biotechnol 2018; Conneau et al., Word translation without parallel data, ICLR 2018 (the scaling).
    """
    unit = latent / np.maximum(np.linalg.norm(latent, axis=1, keepdims=True), 1e-12)
    pattern = has @ (1 << np.arange(has.shape[1]))
    found: list[tuple[Rows, Rows, Array]] = []
    for code in np.unique(batch):
        here = np.flatnonzero(batch == code)
        for a, b in combinations(np.unique(pattern[here]), 2):
            if a & b:
                continue
            sides = [here[pattern[here] == value] for value in (a, b)]
            if min(map(len, sides)) < MIN_MATCHED_CELLS:
                continue
            i, j = (
                np.sort(rng.choice(s, MAX_MATCHED_CELLS, replace=False)) if len(s) > MAX_MATCHED_CELLS else s
                for s in sides
            )
            left, right, score = _mutual(unit[i], unit[j])
            found.append((i[left], j[right], score))
    if not found:
        return NO_MATCHES
    one, other, score = (np.concatenate(part) for part in zip(*found, strict=True))
    best = np.argsort(-score, kind="stable")
    taken = np.zeros(len(latent), bool)
    keep = []
    for p in best:
        if not (taken[one[p]] or taken[other[p]]):
            taken[[one[p], other[p]]] = True
            keep.append(p)
    confidence = 1 - MIN_CONFIDENCE * np.arange(len(keep)) / len(keep)
    return Matches(one[keep], other[keep], confidence.astype(np.float32))


def _mutual(a: Array, b: Array) -> tuple[Rows, Rows, Array]:
    """Mutual nearest neighbours of unit vectors, by similarity scaled for crowding; the best of `N_NEIGHBOURS`."""
    k = min(N_NEIGHBOURS, len(a), len(b))
    to_b, to_a = (NearestNeighbors(n_neighbors=k).fit(x).kneighbors(y) for x, y in ((b, a), (a, b)))
    cosine_a, cosine_b = (1 - distance**2 / 2 for distance, _ in (to_b, to_a))
    crowd_a, crowd_b = cosine_a.mean(1), cosine_b.mean(1)
    scaled_a = 2 * cosine_a - crowd_a[:, None] - crowd_b[to_b[1]]
    scaled_b = 2 * cosine_b - crowd_b[:, None] - crowd_a[to_a[1]]
    best_a = to_b[1][np.arange(len(a)), scaled_a.argmax(1)]
    best_b = to_a[1][np.arange(len(b)), scaled_b.argmax(1)]
    i = np.flatnonzero(best_b[best_a] == np.arange(len(a)))
    return i, best_a[i], scaled_a.max(1)[i]

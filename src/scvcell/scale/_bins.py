"""Bins of a section: a lattice of places where its cells are, and what a distribution over them says of one place."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.spatial import KDTree

if TYPE_CHECKING:
    from scvcell._types import Array, Rows

REACH = 2.0
"""Widths of a bin within which a located cell must be, for a bin to be of the section."""
MAX_ROUNDS = 12
"""Times that the width of bins is adapted to their number."""
CELLS_PER_BLOCK = 1024
"""Cells whose distributions are looked at together."""
N_COARSE = 600
"""Bins above which a point is first looked for on a lattice of so many."""
N_STEPS = 40
"""Steps towards the geometric median."""
N_LAST_STEPS = 4
"""Steps on all bins, after those on the lattice."""
N_HALVINGS = 12
"""Halvings of the range in which a radius is looked for."""
BLUR = 0.25
"""Root of the mean squared extent of a bin, in widths, which keeps distances to it above 0."""


class Bins(NamedTuple):
    """Places of a section.

    Attributes
    ----------
    places
        Their centres, ``(bins, 2 or 3)``.
    width
        Distance between neighbours.
    """

    places: Array
    width: float

    def nearest(self, xy: Array) -> Rows:
        """The bin that is nearest to each of some coordinates, ``(cells,)``."""
        return np.asarray(KDTree(self.places).query(xy)[1], np.int64)

    def spread(self, xy: Array, width: float) -> Array:
        r"""Weights :math:`e^{-d^2 / 2 \sigma^2}` of all bins around coordinates, which sum to 1, ``(cells, bins)``."""
        squared = squared_distances(xy, self.places)
        weight = np.exp(-(squared - squared.min(1, keepdims=True)) / (2 * width**2))
        return np.asarray(weight / weight.sum(1, keepdims=True), np.float32)


def bins(xy: Array, n: int) -> Bins:
    """About `n` bins that cover the places of cells, holes of up to two widths included.

    Parameters
    ----------
    xy
        Coordinates of located cells, ``(cells, 2 or 3)``.
    n
        Number of bins.
    """
    extent = np.ptp(xy, 0)
    wide = extent[extent > 0]
    if not len(wide):
        return Bins(xy[:1].astype(float), 1.0)
    width = float(np.exp(np.log(wide).mean()) / n ** (1 / len(wide)))
    found = _lattice(xy, width)
    for _ in range(MAX_ROUNDS):
        if 0.9 * n <= len(found) <= 1.1 * n:
            break
        width *= float(np.clip((len(found) / n) ** (1 / len(wide)), 0.5, 2))
        found = _lattice(xy, width)
    return Bins(found, width)


def _lattice(xy: Array, width: float) -> Array:
    """Centres of the lattice's bins that are near cells and within their ranges."""
    low, extent = xy.min(0), np.ptp(xy, 0)
    count = np.maximum(np.ceil(extent / width - 1e-9), 1)
    first = low + (extent - count * width) / 2
    held = np.unique(np.clip(np.floor((xy - first) / width), 0, count - 1), axis=0)
    steps = np.arange(-int(REACH), int(REACH) + 1)
    around = np.stack(np.meshgrid(*[steps] * xy.shape[1], indexing="ij"), -1).reshape(-1, xy.shape[1])
    every = np.unique((held[:, None] + around).reshape(-1, xy.shape[1]), axis=0)
    every = every[((every >= 0) & (every < count)).all(1)]
    places = first + width * (every + 0.5)
    return np.asarray(places[KDTree(xy).query(places)[0] <= REACH * width], dtype=float)


def squared_distances(a: Array, b: Array) -> Array:
    """Squared distances, ``(rows of a, rows of b)``."""
    middle = b.mean(0)
    a, b = a - middle, b - middle
    found = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * (a @ b.T)
    return np.maximum(found, 0, out=found)


def geometric_median(p: Array, found: Bins) -> tuple[Array, Array]:
    r"""The point nearest to where a cell may be, and how far it is on average.

    .. math:: \hat r = \arg\min_q \sum_b p_b \sqrt{|q - r_b|^2 + \epsilon^2}

    It is the best point for the error in distance, as the mean is for the squared error.

    Parameters
    ----------
    p
        Probabilities, rows sum to 1, ``(cells, bins)``.
    found
        Bins.

    Returns
    -------
    Points ``(cells, dimensions)`` and mean distances ``(cells,)``.

    References
    ----------
    Weiszfeld and Plastria, On the point for which the sum of the distances to n given points is minimum, Ann Oper Res
    2009 (of 1937).
    """
    middle = found.places.mean(0)
    places = (found.places - middle).astype(np.float32)
    softened = (BLUR * found.width) ** 2
    coarse = bins(found.places, N_COARSE) if len(places) > N_COARSE else None
    pool = None if coarse is None else coarse.nearest(found.places)
    points, apart = np.empty((len(p), places.shape[1])), np.empty(len(p))
    for start in range(0, len(p), CELLS_PER_BLOCK):
        at = slice(start, start + CELLS_PER_BLOCK)
        part = np.asarray(p[at], np.float32)
        if coarse is None or pool is None:
            point = _weiszfeld(part, places, softened, part @ places, N_STEPS)
        else:
            pooled = _pooled(part, pool, len(coarse.places))
            centres = (coarse.places - middle).astype(np.float32)
            soft = (BLUR * coarse.width) ** 2
            point = _weiszfeld(pooled, centres, soft, pooled @ centres, N_STEPS)
            point = _weiszfeld(part, places, softened, point, N_LAST_STEPS)
        distance = np.sqrt(squared_distances(point, places) + softened)
        points[at], apart[at] = point + middle, np.einsum("cb,cb->c", part, distance)
    return points, apart


def _weiszfeld(p: Array, places: Array, softened: float, point: Array, steps: int) -> Array:
    """Points after some steps, each the mean of the places by their probabilities over their distances."""
    for _ in range(steps):
        weight = squared_distances(point, places)
        weight += softened
        np.sqrt(weight, out=weight)
        np.divide(p, weight, out=weight)
        point = (weight @ places) / weight.sum(1, keepdims=True)
    return point


def _pooled(p: Array, pool: Rows, n: int) -> Array:
    """Probabilities of coarser bins, ``(cells, coarse bins)``."""
    order = np.argsort(pool, kind="stable")
    which, first = np.unique(pool[order], return_index=True)
    out = np.zeros((len(p), n), p.dtype)
    out[:, which] = np.add.reduceat(p[:, order], first, axis=1)
    return out


def mass_needed(p: Array, at: Rows) -> Array:
    """Probability of all bins that are at least as probable as the bin `at` of each row, ``(cells,)``."""
    own = np.take_along_axis(p, at[:, None], 1)
    return np.where(p >= own, p, 0).sum(1)  # type: ignore[no-any-return]


def region_share(p: Array, level: float) -> Array:
    """Share of the bins in the highest-density region: the most probable ones until they have `level`, ``(cells,)``.

    One bin is always in it. A bin is in it if what `mass_needed` says of it is not above the level.
    """
    order = -np.sort(-p, axis=1)
    return np.maximum((np.cumsum(order, 1) <= level + 1e-6).sum(1), 1) / p.shape[1]  # type: ignore[no-any-return]


def radius_of(p: Array, point: Array, found: Bins, level: float) -> Array:
    """Radius around a point within which the bins have `level` of the probability, to a thousandth, ``(cells,)``."""
    distance = np.sqrt(squared_distances(point, found.places)).astype(np.float32)
    low, high = np.zeros(len(p), np.float32), distance.max(1)
    for _ in range(N_HALVINGS):
        middle = (low + high) / 2
        enough = np.where(distance <= middle[:, None], p, 0).sum(1) >= level
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return high

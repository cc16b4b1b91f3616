"""Where dissociated cells come from: a section's places learned from its located cells, calibrated on left-out ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy.spatial import KDTree
from sklearn.neighbors import NearestNeighbors

from scvcell._stats import conformal_quantile
from scvcell.scale import Bins, bins, geometric_median, learn_places, mass_needed, region_share
from scvcell.score import place_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from scvcell._types import Array, Mask, Rows
    from scvcell.scale import Place

N_NETWORKS = 3
N_FOLDS = 3
"""Parts of the section's blocks that are left out in turn."""
N_GROUP_FOLDS = 5
"""Parts into which groups are dealt at most."""
BINS = (600, 150)
"""Numbers of bins that are tried; a bin has at least `CELLS_PER_BIN` located cells in the mean."""
CELLS_PER_BIN = 3
SMOOTHING = (1.0, 2.0)
"""Widths of the kernel around a located cell that are tried, in bins; of the coarser bins just the first."""
EPOCHS = (4, 8, 12, 18)
"""Numbers of epochs that are tried."""
BROAD = 2.5
"""Width of the kernel of the density of cells, in widths of the kernel around one."""
MAX_CELLS = 10_000
"""Located cells by which a section is learned at most."""
MAX_CHOICE_CELLS = 4_000
"""Located cells by which settings are chosen at most."""
HOLE = 2.5
"""Width of a left-out block, in distances within which nine tenths of the bins have a located cell."""
MIN_LOCATED = 30
"""Located cells below which a section cannot be learned."""
N_NEAR = 10
"""Located cells to which a cell must be near in its features."""
N_BOOT = 200
MAX_ENTRIES = 500
"""Bins of a cell whose probability is kept: the most probable ones."""
CELLS_PER_BLOCK = 1024


class Settings(NamedTuple):
    """How a section is learned: number of bins, width of the kernel in bins, epochs, and whether density is even."""

    n_bins: int
    smoothing: float
    epochs: int
    even: bool


class Located(NamedTuple):
    """Where cells are.

    Attributes
    ----------
    point
        Geometric median of the probabilities, ``(cells, dimensions)``.
    distance
        Mean distance from it, ``(cells,)``.
    share
        Share of the section in the region, ``(cells,)``.
    position
        Probabilities of bins, of each cell the most probable ones, csr, ``(cells, bins)``.
    """

    point: Array
    distance: Array
    share: Array
    position: sp.csr_matrix


class LeftOut(NamedTuple):
    """What was said of located cells that were left out; of each ``(cells,)``.

    Attributes
    ----------
    gain
        Log of the probability over that by the density of cells alone.
    needed
        Probability that the region must have to hold the cell.
    error, distance
        Distance of the point from the cell, and the mean distance that was expected.
    """

    gain: Array
    needed: Array
    error: Array
    distance: Array


@dataclass(frozen=True, eq=False, repr=False)
class Frame:
    """A section whose places were learned.

    Attributes
    ----------
    bins
        Its places.
    settings
        How it was learned.
    level
        Probability in the region that holds cells as often as was asked for.
    factor
        Radius within which they are of the point as often, in mean distances.
    gain, lower
        What features say of places beyond the density of cells, on left-out blocks, in nats; its lower bound (95 %).
    error
        Median error of points on left-out blocks.
    """

    bins: Bins
    settings: Settings
    level: float
    factor: float
    gain: float
    lower: float
    error: float
    _place: Place
    _density: Array
    _near: NearestNeighbors
    _reach: float

    def __repr__(self) -> str:
        return f"Frame of {len(self.bins.places)} bins, gain {self.gain:.2f} nats, median error {self.error:.4g}."

    def locate(self, features: Array) -> Located:
        """Where cells of some features are."""

        def posterior(cells: slice) -> Array:
            return self._place.posterior(features[cells], self._density)

        return locate(posterior, len(features), self.bins, self.level)

    def inside(self, features: Array) -> Mask:
        """Cells that are as near to located ones, in their features, as 99 % of these are to each other."""
        return _distance(self._near, features) <= self._reach


def locate(posterior: Callable[[slice], Array], n: int, found: Bins, level: float) -> Located:
    """Points, regions and probabilities of cells, block by block.

    Parameters
    ----------
    posterior
        Gives probabilities of bins of some cells, ``(cells, bins)``.
    n
        Number of cells.
    found
        Bins.
    level
        Probability in the region.
    """
    point, distance, share = np.empty((n, found.places.shape[1])), np.empty(n), np.empty(n)
    kept = min(len(found.places), MAX_ENTRIES)
    index, data = np.empty((n, kept), np.int32), np.empty((n, kept), np.float32)
    for start in range(0, n, CELLS_PER_BLOCK):
        at = slice(start, min(start + CELLS_PER_BLOCK, n))
        p = posterior(at)
        point[at], distance[at] = geometric_median(p, found)
        share[at] = region_share(p, level)
        index[at] = np.sort(np.argpartition(-p, kept - 1, axis=1)[:, :kept], axis=1)
        data[at] = np.take_along_axis(p, index[at].astype(np.int64), 1)
    # rows of one length need no copy, which matters where there are many cells
    rows = np.arange(n + 1, dtype=np.int64) * kept
    position = sp.csr_matrix((data.ravel(), index.ravel(), rows), (n, len(found.places)), copy=False)
    return Located(point, distance, share, position)


def learn_frame(features: Array, xy: Array, level: float, seed: int, group: Rows | None = None) -> Frame:
    """Learn where cells of a section are from their features.

    Number of bins, width of the kernel, epochs and density are chosen by the probability of located cells in blocks
    that were left out. Other blocks then calibrate region and radius, and say whether anything was learned at all.
    Where there are groups, whole groups are left out instead of blocks, in both.

    Parameters
    ----------
    features
        Of located cells, ``(cells, features)``.
    xy
        Where they are, ``(cells, 2 or 3)``.
    level
        How often region and radius shall hold.
    seed
        Drives everything random.
    group
        Codes of sections that share this frame, ``(cells,)``: cells are looked for that are of none of them.

    Raises
    ------
    ValueError
        If there are fewer than `MIN_LOCATED` cells.
    """
    if len(xy) < MIN_LOCATED:
        raise ValueError(f"{len(xy)} located cells are too few to learn where cells are; at least {MIN_LOCATED}.")
    # sorted, so that the order of cells does not matter
    order = np.lexsort((*features.T[::-1], *xy.T[::-1]))
    group = np.zeros(len(xy), np.int64) if group is None else group
    rng = np.random.default_rng(seed)
    features, xy, group = _some((features[order], xy[order], group[order]), MAX_CELLS, rng)
    settings = _choose(*_some((features, xy, group), MAX_CHOICE_CELLS, rng), rng, seed)
    fold, block = _folds(xy, settings.n_bins, rng, group)
    told = _left_out(features, xy, fold, settings, seed)
    place, found, density = _learn(features, xy, settings, N_NETWORKS, seed)
    near = NearestNeighbors(n_neighbors=min(N_NEAR, len(xy) - 1), algorithm="brute").fit(features)
    return Frame(
        found,
        settings,
        min(_quantile(told.needed, level), 1.0),
        _quantile(told.error / np.maximum(told.distance, 1e-12), level),
        float(told.gain.mean()),
        _lower(told.gain, block, rng),
        float(np.median(told.error)),
        place,
        density,
        near,
        float(np.quantile(_distance(near, None), 0.99)),
    )


def _some(arrays: tuple[Array, Array, Rows], most: int, rng: np.random.Generator) -> tuple[Array, Array, Rows]:
    """Features, places and groups of random cells, where there are more."""
    n = len(arrays[0])
    if n <= most:
        return arrays
    cells = np.sort(rng.choice(n, most, replace=False))
    features, xy, group = arrays
    return features[cells], xy[cells], group[cells]


def _folds(xy: Array, n_bins: int, rng: np.random.Generator, group: Rows) -> tuple[Rows, Rows]:
    """Fold and block of each cell; blocks are as wide as the gaps between located cells, at least as wide as a bin.

    What is left out must be as far from located cells as those are that are looked for: in another group, if there are
    several.
    """
    found = bins(xy, n_bins)
    gap = float(np.quantile(KDTree(xy).query(found.places)[0], 0.9))
    key = np.c_[group, np.floor((xy - xy.min(0)) / max(HOLE * gap, found.width))]
    block = np.unique(key, axis=0, return_inverse=True)[1].ravel()
    if block.max() + 1 < 2 * N_FOLDS:
        block = np.arange(len(xy))
    codes = np.unique(group, return_inverse=True)[1].ravel()
    unit, most = (codes, N_GROUP_FOLDS) if codes.max() else (block, N_FOLDS)
    n = int(unit.max()) + 1
    return (rng.permutation(n) % min(most, n))[unit], block


def _choose(features: Array, xy: Array, group: Rows, rng: np.random.Generator, seed: int) -> Settings:
    """The settings by which cells of left-out blocks are most probable, per area."""
    most = max(len(xy) // CELLS_PER_BIN, 2)
    numbers = list(dict.fromkeys(min(n, most) for n in BINS))
    told: dict[Settings, float] = {}
    for number, n_bins in enumerate(numbers):
        fold, _ = _folds(xy, n_bins, np.random.default_rng(seed), group)
        for smoothing in SMOOTHING[: 1 if number else None]:
            for k in range(fold.max() + 1):
                here = fold == k
                found = bins(xy[~here], n_bins)
                at = found.nearest(xy[here])
                density = found.spread(xy[~here], BROAD * smoothing * found.width).mean(0)
                targets = found.spread(xy[~here], smoothing * found.width)
                models = learn_places(features[~here], targets, 1, seed + k)
                for epoch in range(1, EPOCHS[-1] + 1):
                    model = next(models)
                    if epoch not in EPOCHS:
                        continue
                    for even in (False, True):
                        p = model.posterior(features[here], np.ones_like(density) / len(density) if even else density)
                        own = np.log(p[np.arange(len(p)), at] + 1e-12) - xy.shape[1] * np.log(found.width)
                        key = Settings(n_bins, smoothing, epoch, even)
                        told[key] = told.get(key, 0.0) + float(own.sum())
    return max(told, key=told.__getitem__)


def _learn(features: Array, xy: Array, settings: Settings, n_networks: int, seed: int) -> tuple[Place, Bins, Array]:
    """Networks, bins and the density of cells."""
    found = bins(xy, settings.n_bins)
    width = settings.smoothing * found.width
    models = learn_places(features, found.spread(xy, width), n_networks, seed)
    for _ in range(settings.epochs - 1):
        next(models)
    density = found.spread(xy, BROAD * width).mean(0)
    return next(models), found, np.full_like(density, 1 / len(density)) if settings.even else density


def _left_out(features: Array, xy: Array, fold: Rows, settings: Settings, seed: int) -> LeftOut:
    """What is said of the cells of each fold by the others."""
    gain, needed, error, distance = np.empty((4, len(xy)))
    for k in range(fold.max() + 1):
        here = np.flatnonzero(fold == k)
        place, found, density = _learn(features[~(fold == k)], xy[~(fold == k)], settings, N_NETWORKS, seed + k)
        at = found.nearest(xy[here])
        broad = found.spread(xy[~(fold == k)], BROAD * settings.smoothing * found.width).mean(0)
        nulls = [np.log(each[at] + 1e-12) for each in (broad, np.full_like(broad, 1 / len(broad)))]
        null = max(nulls, key=np.mean)
        for start in range(0, len(here), CELLS_PER_BLOCK):
            rows = slice(start, start + CELLS_PER_BLOCK)
            cells = here[rows]
            p = place.posterior(features[cells], density)
            gain[cells] = np.log(p[np.arange(len(p)), at[rows]] + 1e-12) - null[rows]
            needed[cells] = mass_needed(p, at[rows])
            point, distance[cells] = geometric_median(p, found)
            error[cells] = place_error(point, xy[cells])
    return LeftOut(gain, needed, error, distance)


def _quantile(scores: Array, level: float) -> float:
    """Conformal quantile: of n scores the one of rank (n + 1) level; the largest where there are too few."""
    return float(np.minimum(conformal_quantile(scores, level), scores.max()))


def _lower(gain: Array, block: Rows, rng: np.random.Generator) -> float:
    """Lower bound (95 %) of the mean gain, over draws of blocks."""
    cells, total = np.bincount(block), np.bincount(block, gain)
    draws = rng.integers(len(cells), size=(N_BOOT, len(cells)))
    return float(np.quantile(total[draws].sum(1) / np.maximum(cells[draws].sum(1), 1), 0.05))


def _distance(near: NearestNeighbors, features: Array | None) -> Array:
    """Mean distance to the nearest located cells; of these themselves where None, each without itself, ``(cells,)``."""
    if features is None:
        return np.asarray(near.kneighbors(None)[0].mean(1))
    parts = [features[start : start + CELLS_PER_BLOCK] for start in range(0, len(features), CELLS_PER_BLOCK)]
    return np.concatenate([near.kneighbors(part)[0].mean(1) for part in parts]) if parts else np.empty(0)

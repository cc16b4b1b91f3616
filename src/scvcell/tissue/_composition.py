"""Lift spots to the cells they hold: composition with intervals that other groups of the reference have calibrated."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from scvcell.scale import CompositionPrior, dispersion, mix, platform, shares, spot_weights
from scvcell.score import rmse
from scvcell.tissue._blocks import blocks
from scvcell.tissue._interval import Misses
from scvcell.tissue._smooth import around, best_strength, smoothed

if TYPE_CHECKING:
    import scipy.sparse as sp

    from scvcell._containers import Space
    from scvcell._types import Array, Rows

MAX_FOLDS = 3
"""Parts of the reference that are left out in turn to see how far compositions are off."""
N_CHECKED = 500
"""Mixtures of cells that were left out, in each part."""
MIN_CELLS = 20
"""Cells of a group below which it is too small to be left out."""
PLATFORM_SPOTS = 1000
"""Spots, evenly from all, by which the factors of features are found at most."""
N_PARTS = 3
"""Parts of the features, each of which is held out once to see how far compositions differ by chance."""
MIN_SMOOTHED = 20
"""Spots with places below which nothing is smoothed."""
SMOOTHED_SPOTS = 2000
"""Spots, from four places at most, by which the smoothing is chosen at most."""


@dataclass(frozen=True, eq=False, repr=False)
class Reference:
    """Cells of known kinds.

    Attributes
    ----------
    counts
        Raw counts, csr, ``(cells, features)``.
    kind
        Kind of each, ``(cells,)``.
    kinds
        Names of the kinds.
    """

    counts: sp.csr_matrix
    kind: Rows
    kinds: list[str]

    def __repr__(self) -> str:
        return f"Reference of {self.counts.shape[0]} cells of {len(self.kinds)} kinds, {self.counts.shape[1]} features."

    def of(self, cells: Rows) -> Reference:
        """Some of the cells, of all kinds."""
        return Reference(self.counts[cells], self.kind[cells], self.kinds)

    def rates(self) -> Array:
        """Mean counts of a cell of each kind, ``(kinds, features)``; 0 of a kind without cells."""
        out = np.zeros((len(self.kinds), self.counts.shape[1]))
        for k in np.unique(self.kind):
            out[k] = np.asarray(self.counts[self.kind == k].mean(0)).ravel()
        return out

    def theta(self, rates: Array) -> Array:
        """Inverse dispersion of each feature around the rate of a cell's kind at its depth, ``(features,)``."""
        some = np.unique(np.linspace(0, len(self.kind) - 1, min(len(self.kind), 5000)).astype(int))
        x, kind = self.counts[some].toarray().astype(float), self.kind[some]
        depth = x.sum(1) / np.maximum(rates[kind].sum(1), 1e-9)
        return dispersion(x, rates[kind] * depth[:, None])


@dataclass(frozen=True, eq=False, repr=False)
class Composition:
    """What spots hold.

    Attributes
    ----------
    share, lower, upper
        Share of each kind and its interval, NaN where nothing could calibrate it, ``(spots, kinds)``.
    cells
        Number of cells of each kind, in cells of the reference's depth, ``(spots, kinds)``.
    rates, theta
        Mean counts of a cell of each kind of the reference, ``(kinds, features)``; inverse dispersion in a spot.
    factor
        How much better the spots' platform sees each feature, ``(features,)``.
    smooth
        How far each composition was drawn to those around it, from 0 to 1.
    left_out
        How far off mixtures of cells were that the reference was left without, and how far its mean composition was
        from them; None of one group.
    """

    share: Array
    lower: Array
    upper: Array
    cells: Array
    rates: Array
    theta: Array
    factor: Array
    smooth: float
    left_out: dict[str, float] | None


def lift(
    x: sp.csr_matrix,
    reference: Reference,
    group: Rows,
    n_cells: float,
    level: float,
    seed: int,
    space: Space | None = None,
    smooth: float | None = None,
) -> Composition:
    """Composition of spots, see `scvcell.tl.lift`.

    Parameters
    ----------
    x
        Counts of spots, csr, ``(spots, features)``.
    reference
        Cells, of the same features.
    group
        Group of each of them; those of one group are left out together, ``(cells,)``.
    n_cells
        About how many cells a spot holds.
    level
        Level of the intervals.
    seed
        Drives mixtures and networks.
    space
        Where spots are.
    smooth
        How far to draw each to its neighbours, from 0 to 1; None: as far as genes that were held out say.
    """
    own = _weights(x, reference, n_cells, seed)
    share, left_out = shares(own.cells), None
    found = _left_out(reference, group, n_cells, seed)
    if space is None or smooth is None:
        smooth = 0.0 if space is None else _strength(x, share, reference, n_cells, seed, space, found)
    if space is not None and smooth > 0:
        share = smoothed(share, around(space), smooth)
    lower, upper = np.full(share.shape, np.nan), np.full(share.shape, np.nan)
    if found is not None:
        lower, upper = Misses.of(found.predicted.ravel(), found.true.ravel(), found.doubt.ravel(), level).around(
            share, own.doubt
        )
        left_out = {"rmse": rmse(found.predicted, found.true), "mean_composition": rmse(found.mean, found.true)}
    cells = share * own.cells.sum(1, keepdims=True)
    return Composition(share, lower, upper, cells, reference.rates(), own.theta, own.factor, smooth, left_out)


class Weights(NamedTuple):
    """Cells of each kind in each spot, and the doubt of their shares; factor and inverse dispersion of each feature."""

    cells: Array
    doubt: Array
    factor: Array
    theta: Array


def _weights(x: sp.csr_matrix, reference: Reference, n_cells: float, seed: int) -> Weights:
    rates = reference.rates()
    theta = reference.theta(rates) * n_cells  # the sum of n cells has n times the inverse dispersion of one
    network = CompositionPrior.fit(reference.counts, reference.kind, len(reference.kinds), n_cells, seed)
    prior, doubt = network.moments(x)
    dense = np.asarray(x.toarray(), dtype=float)
    some = np.unique(np.linspace(0, len(dense) - 1, min(len(dense), PLATFORM_SPOTS)).astype(int))
    first = spot_weights(dense[some], rates, theta, prior[some])
    factor = platform(dense[some], first, rates)
    return Weights(spot_weights(dense, rates * factor, theta, prior), doubt, factor, theta)


class LeftOut(NamedTuple):
    """Shares of mixtures of left-out cells, predicted and true, their doubt, and the mean of the other cells."""

    predicted: Array
    true: Array
    doubt: Array
    mean: Array


def _strength(
    x: sp.csr_matrix,
    share: Array,
    reference: Reference,
    n_cells: float,
    seed: int,
    space: Space,
    found: LeftOut | None,
) -> float:
    """Strength of smoothing, by compositions without parts of the features, of spots from some places."""
    tiles = blocks(space, max(4, 4 * (len(share) // SMOOTHED_SPOTS)))
    some = np.flatnonzero((tiles >= 0) & (tiles % max(1, len(share) // SMOOTHED_SPOTS) == 0))
    if len(some) < MIN_SMOOTHED:
        return 0.0
    near = around(replace(space, names=space.names[some], xy=space.xy[some], section=space.section[some]))
    order = np.random.default_rng(seed).permutation(x.shape[1])
    without = []
    for part in range(N_PARTS):
        rest = np.sort(np.delete(order, np.arange(part, len(order), N_PARTS)))
        cells = Reference(reference.counts[:, rest], reference.kind, reference.kinds)
        without.append(shares(_weights(x[some][:, rest], cells, n_cells, seed).cells))
    return best_strength(share[some], without, near, None if found is None else (found.predicted, found.true))


def _left_out(reference: Reference, group: Rows, n_cells: float, seed: int) -> LeftOut | None:
    """Mixtures of cells of each part of the groups, lifted by the others; None of one group."""
    size = np.bincount(group)
    large = np.flatnonzero(size >= MIN_CELLS)
    if len(large) < 2:
        return None
    rng = np.random.default_rng(seed)
    parts = []
    for fold in range(min(MAX_FOLDS, len(large))):
        out = np.isin(group, large[fold::MAX_FOLDS])
        rest, left = reference.of(np.flatnonzero(~out)), reference.of(np.flatnonzero(out))
        mixtures = mix(left.counts, left.kind, len(left.kinds), n_cells, N_CHECKED, rng)
        found = _weights(mixtures.counts, rest, n_cells, seed + 1 + fold)
        mean = np.tile(np.bincount(rest.kind, minlength=len(rest.kinds)) / len(rest.kind), (N_CHECKED, 1))
        parts.append(LeftOut(shares(found.cells), mixtures.shares, found.doubt, mean))
    return LeftOut(*map(np.concatenate, zip(*parts, strict=True)))

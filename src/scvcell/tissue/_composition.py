"""Lift spots to the cells they hold: composition with intervals that other groups of the reference have calibrated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from scvcell.objective import cycle
from scvcell.scale import CompositionPrior, dispersion, mix, platform, shares, spot_weights

if TYPE_CHECKING:
    import scipy.sparse as sp

    from scvcell._types import Array, Rows

MAX_FOLDS = 3
"""Parts of the reference that are left out in turn to see how far compositions are off."""
N_CHECKED = 500
"""Mixtures of cells that were left out, in each part."""
SHARE_BINS = (0.02, 0.1, 0.3)
"""Edges of the predicted share between which intervals are calibrated."""
WIDENED = 1.25
"""Factor of half-widths: spots of a tissue differ from mixtures of the reference's cells."""
MIN_CELLS = 20
"""Cells of a group below which it is too small to be left out."""
PLATFORM_SPOTS = 1000
"""Spots, evenly from all, by which the factors of features are found at most."""
N_BOOT = 200
"""Draws of the spots for the interval of the cycle's skill."""


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
    share, halfwidth
        Share of each kind and half its interval, NaN where nothing could calibrate it, ``(spots, kinds)``.
    cells
        Number of cells of each kind, in cells of the reference's depth, ``(spots, kinds)``.
    rates, theta
        Mean counts of a cell of each kind on the spots' platform, ``(kinds, features)``; inverse dispersion.
    """

    share: Array
    halfwidth: Array
    cells: Array
    rates: Array
    theta: Array


def lift(x: sp.csr_matrix, reference: Reference, group: Rows, n_cells: float, level: float, seed: int) -> Composition:
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
    """
    weights, rates, theta = _weights(x, reference, n_cells, seed)
    share = shares(weights)
    halfwidth = np.full(share.shape, np.nan)
    found = _misses(reference, group, n_cells, seed)
    if found is not None:
        predicted, true = found
        miss = np.abs(predicted - true)
        where, mine = np.digitize(predicted, SHARE_BINS), np.digitize(share, SHARE_BINS)
        for b in range(len(SHARE_BINS) + 1):
            here = miss[where == b]
            halfwidth[mine == b] = WIDENED * np.quantile(here if len(here) else miss, level)
    return Composition(share, halfwidth, weights, rates, theta)


def _weights(x: sp.csr_matrix, reference: Reference, n_cells: float, seed: int) -> tuple[Array, Array, Array]:
    """Cells of each kind in each spot; rates on their platform, and inverse dispersion."""
    rates = reference.rates()
    theta = reference.theta(rates) * n_cells  # the sum of n cells has n times the inverse dispersion of one
    prior = CompositionPrior.fit(reference.counts, reference.kind, len(reference.kinds), n_cells, seed).mean(x)
    dense = np.asarray(x.toarray(), dtype=float)
    some = np.unique(np.linspace(0, len(dense) - 1, min(len(dense), PLATFORM_SPOTS)).astype(int))
    first = spot_weights(dense[some], rates, theta, prior[some])
    rates = rates * platform(dense[some], first, rates)
    return spot_weights(dense, rates, theta, prior), rates, theta


def _misses(reference: Reference, group: Rows, n_cells: float, seed: int) -> tuple[Array, Array] | None:
    """Predicted and true shares of mixtures of cells that were left out, flat; None of one group."""
    size = np.bincount(group)
    large = np.flatnonzero(size >= MIN_CELLS)
    if len(large) < 2:
        return None
    rng = np.random.default_rng(seed)
    predicted, true = [], []
    for fold in range(min(MAX_FOLDS, len(large))):
        out = np.isin(group, large[fold::MAX_FOLDS])
        rest, left = reference.of(np.flatnonzero(~out)), reference.of(np.flatnonzero(out))
        mixtures = mix(left.counts, left.kind, len(left.kinds), n_cells, N_CHECKED, rng)
        weights, _, _ = _weights(mixtures.counts, rest, n_cells, seed + 1 + fold)
        predicted.append(shares(weights).ravel())
        true.append(mixtures.shares.ravel())
    return np.concatenate(predicted), np.concatenate(true)


def skill(x: sp.csr_matrix, found: Composition, reference: Reference, seed: int) -> dict[str, float]:
    r"""Whether spots lifted by half of the features say the other half: the cycle P o L against nulls.

    .. math:: 1 - D / D_{null}

    with the deviance D of `scvcell.objective.cycle`; nulls are the mean profile of all spots at each one's depth, and
    the compositions of other spots.

    Parameters
    ----------
    x, found
        Counts of spots, and what they were lifted to.
    reference
        Cells that they were lifted by.
    seed
        Drives halves and draws.

    Returns
    -------
    ``skill`` against the better null with ``lower`` and ``upper`` (90 %, spots drawn anew), ``deviance`` and those of
    the nulls, per spot and feature.
    """
    rng = np.random.default_rng(seed)
    dense, rates = np.asarray(x.toarray(), dtype=float), reference.rates()
    order = rng.permutation(dense.shape[1])
    halves = (order[::2], order[1::2])
    each = np.zeros((3, len(dense)))
    for seen, asked in (halves, halves[::-1]):
        weights = spot_weights(dense[:, seen], rates[:, seen], found.theta[seen])
        depth, total = dense[:, seen].sum(1, keepdims=True), dense.sum(0)
        others = shares(weights)[rng.permutation(len(dense))] * weights.sum(1, keepdims=True)
        profile = depth * total[asked] / max(total[seen].sum(), 1)
        for number, expected in enumerate((weights @ rates[:, asked], others @ rates[:, asked], profile)):
            each[number] += _deviance(dense[:, asked], expected, found.theta[asked]) / 2

    def against(cells: Rows) -> float:
        own, permuted, mean = each[:, cells].mean(1)
        return float(1 - own / max(min(permuted, mean), 1e-12))

    low, high = np.quantile(
        [against(cells) for cells in rng.integers(len(dense), size=(N_BOOT, len(dense)))], [0.05, 0.95]
    )
    own, permuted, mean = map(float, each.mean(1))
    return {
        "skill": against(np.arange(len(dense))),
        "lower": float(low),
        "upper": float(high),
        "deviance": own,
        "permuted": permuted,
        "mean_profile": mean,
    }


def _deviance(x: Array, expected: Array, theta: Array) -> Array:
    """Mean deviance of each spot, after the sums of features were brought to those of the spots, ``(spots,)``."""
    expected = expected * (x.sum(0) + 1) / (expected.sum(0) + 1)
    one = torch.eye(x.shape[1], dtype=torch.float64)
    return cycle(torch.from_numpy(x.copy()), torch.from_numpy(expected), one, torch.from_numpy(theta)).mean(1).numpy()

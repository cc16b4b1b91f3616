"""Where dissociated cells come from by spots that were lifted: Bayes over the kinds that spots hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import KDTree
from sklearn.neighbors import NearestNeighbors

from scvcell.scale import Bins, assign, radius_of, whole_numbers
from scvcell.tissue._map import CELLS_PER_BLOCK, Located, locate

if TYPE_CHECKING:
    from scvcell._types import Array, Mask, Rows

N_VOTERS = 30
"""Reference cells whose kinds say of which kind a cell is."""


@dataclass(frozen=True, eq=False, repr=False)
class Kinds:
    """Reference cells of known kinds, by their features.

    Attributes
    ----------
    kind
        Kind of each, ``(cells,)``.
    n_kinds
        Number of kinds.
    """

    kind: Rows
    n_kinds: int
    _near: NearestNeighbors
    _reach: float

    @classmethod
    def of(cls, features: Array, kind: Rows, n_kinds: int) -> Kinds:
        """From features of the cells, ``(cells, features)``."""
        near = NearestNeighbors(n_neighbors=min(N_VOTERS, len(kind) - 1), algorithm="brute").fit(features)
        return cls(kind, n_kinds, near, float(np.quantile(near.kneighbors(None)[0].mean(1), 0.99)))

    def probabilities(self, features: Array) -> tuple[Array, Mask]:
        """Of each kind, ``(cells, kinds)``: votes of neighbours, and one of all cells; and whether these are near."""
        frequency = np.bincount(self.kind, minlength=self.n_kinds) / len(self.kind)
        out, inside = np.empty((len(features), self.n_kinds)), np.empty(len(features), bool)
        for start in range(0, len(features), CELLS_PER_BLOCK):
            at = slice(start, start + CELLS_PER_BLOCK)
            distance, near = self._near.kneighbors(features[at])
            votes = self.kind[near][:, :, None] == np.arange(self.n_kinds)
            out[at] = (votes.sum(1) + frequency) / (near.shape[1] + 1)
            inside[at] = distance.mean(1) <= self._reach
        return out, inside


@dataclass(frozen=True, eq=False, repr=False)
class Spots:
    r"""Places of spots and the kinds of cells that they hold.

    .. math:: p(r \mid z) = \sum_k p(k \mid z)\, W_{rk} / \sum_{r'} W_{r'k}

    Attributes
    ----------
    bins
        Places.
    share
        Share of the cells of each kind that is in each spot, ``(kinds, spots)``.
    """

    bins: Bins
    share: Array

    @classmethod
    def of(cls, places: Array, cells: Array) -> Spots:
        """From coordinates ``(spots, 2 or 3)`` and cells of each kind in them, ``(spots, kinds)``.

        A kind that no spot holds may be in any, as all cells are.
        """
        every = cells.sum(1) / cells.sum()
        total = cells.sum(0)
        share = np.where(total > 0, cells / np.maximum(total, 1e-300), every[:, None]).T
        apart = KDTree(places).query(places, k=min(2, len(places)))[0]
        width = float(np.median(apart[:, -1])) if len(places) > 1 else 1.0
        return cls(Bins(places, width if width > 0 else 1.0), share)

    def locate(self, kinds: Array, level: float) -> tuple[Located, Array]:
        """Where cells are, from the probabilities of their kinds, and the radius that holds `level` of it."""
        share = self.share.astype(np.float32)

        def posterior(cells: slice) -> Array:
            return np.asarray(kinds[cells], np.float32) @ share

        found = locate(posterior, len(kinds), self.bins, level)
        radius = np.empty(len(kinds))
        for start in range(0, len(kinds), CELLS_PER_BLOCK):
            at = slice(start, start + CELLS_PER_BLOCK)
            radius[at] = radius_of(posterior(at), found.point[at], self.bins, level)
        return found, radius

    def assign(self, kinds: Array, amount: Array) -> Rows:
        """The spot of each cell, where spots hold whole cells in proportion to `amount`, ``(cells,)``."""
        return assign(kinds, self.share, self.bins.places, whole_numbers(amount, len(kinds)))

"""Intervals of shares, calibrated on spots whose cells are known: for kinds that are there as well as for all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scvcell._types import Array, Mask

N_BINS = 8
"""Bins of the doubt, with as many misses each."""
MIN_MISSES = 30
"""Misses of kinds that are there below which those of all bins count."""
TRIED = 26
"""Lengths of each end that are tried."""
THERE = 1.25
"""How much more often than all of them kinds that are there may be missed; each point of theirs is dear in width."""


@dataclass(frozen=True, eq=False, repr=False)
class Misses:
    """How far shares are off, by the bin of the doubt that was told before.

    Attributes
    ----------
    edges
        Edges of the doubt between bins.
    below, above
        How far down, and how far up, an interval reaches from a predicted share, ``(bins,)``.
    """

    edges: Array
    below: Array
    above: Array

    @classmethod
    def of(cls, predicted: Array, true: Array, doubt: Array, level: float) -> Misses:
        """The shortest intervals that cover at `level`, and kinds that are there at nearly that.

        Kinds that are not there outnumber the others and are easy to cover; taken together they would hide how often
        those are missed that are.

        Parameters
        ----------
        predicted, true
            Shares, ``(shares,)``.
        doubt
            Standard deviation of each that the prior told, ``(shares,)``.
        level
            Level of the intervals.
        """
        edges = np.unique(np.quantile(doubt, np.linspace(0, 1, N_BINS + 1)[1:-1]))
        where, there = np.digitize(doubt, edges), true > 0
        ends = []
        for b in range(len(edges) + 1):
            here = where == b if (where == b).any() else np.ones(len(where), bool)
            few = (here & there).sum() < MIN_MISSES
            ends.append(_shortest(predicted, true, here, there if few else here & there, level))
        below, above = np.array(ends).T
        return cls(edges, below, above)

    def around(self, share: Array, doubt: Array) -> tuple[Array, Array]:
        """Both ends around predicted shares, of their shape, between 0 and 1."""
        where = np.digitize(doubt, self.edges)
        return np.clip(share - self.below[where], 0, 1), np.clip(share + self.above[where], 0, 1)


def _shortest(predicted: Array, true: Array, here: Mask, there: Mask, level: float) -> tuple[float, float]:
    """Both lengths of the shortest interval that covers shares of a bin, and those of kinds that are there."""
    miss, grid = true - predicted, np.linspace(0.5, 1, TRIED)
    below = np.quantile(np.maximum(-miss[here], 0), grid)
    above = np.quantile(np.maximum(miss[there], 0), grid) if there.any() else np.zeros(1)
    best = (np.inf, below[-1], above[-1])
    for down in below:
        for up in above:
            covered = np.mean((miss[here] >= -down) & (miss[here] <= up))
            present = np.mean((miss[there] >= -down) & (miss[there] <= up)) if there.any() else 1.0
            if covered >= level and present >= 1 - THERE * (1 - level):
                width = np.mean(np.minimum(predicted[here] + up, 1) - np.maximum(predicted[here] - down, 0))
                best = min(best, (float(width), down, up))
    return float(best[1]), float(best[2])

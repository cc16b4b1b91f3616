"""Intervals of shares, calibrated on spots whose cells are known: apart for kinds that are there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scvcell._types import Array, Mask

SHARE_BINS = (0.01, 0.03, 0.1, 0.3, 0.6)
"""Edges of the predicted share between which misses are looked at."""
MIN_MISSES = 30
"""Misses in a bin below which those of all bins count."""
WIDENED = 1.25
"""Factor of misses: spots of a tissue differ from mixtures of the reference's cells."""


@dataclass(frozen=True, eq=False, repr=False)
class Misses:
    """How far shares are off, by the bin of the predicted share.

    Attributes
    ----------
    below, above
        How far down, and how far up, an interval reaches from a predicted share, ``(bins,)``.
    """

    below: Array
    above: Array

    @classmethod
    def of(cls, predicted: Array, true: Array, level: float) -> Misses:
        """Of predicted and true shares; each end is to miss in half of the cases that `level` allows.

        The upper end is that of kinds that are there. Those that are not outnumber them, and are easy to cover.

        Parameters
        ----------
        predicted, true
            Shares, ``(shares,)``.
        level
            Level of the intervals.
        """
        tail, where, there = (1 + level) / 2, np.digitize(predicted, SHARE_BINS), true > 0

        def reach(miss: Array, some: Mask) -> Array:
            """The quantile in every bin, of all where a bin holds too few."""
            out = np.empty(len(SHARE_BINS) + 1)
            for b in range(len(out)):
                here = miss[some & (where == b)]
                here = here if len(here) >= MIN_MISSES else miss[some]
                out[b] = WIDENED * np.quantile(np.maximum(here, 0), tail) if len(here) else 0.0
            return out

        return cls(reach(predicted - true, np.ones(len(true), bool)), reach(true - predicted, there))

    def around(self, share: Array) -> tuple[Array, Array]:
        """Both ends around predicted shares, of their shape, between 0 and 1."""
        where = np.digitize(share, SHARE_BINS)
        return np.clip(share - self.below[where], 0, 1), np.clip(share + self.above[where], 0, 1)

"""Conformal intervals from cells with about the same prediction: the shortest that hold enough of them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from typing import Self

    from scvcell._types import Array

N_BANDS = 8
"""Bands of the prediction at most, each with as many calibration cells."""
BAND_CELLS = 50
"""Calibration cells that a band has at least, where there are so many."""

SLACK = (0.5, 1.0, 1.5, 2.0)
"""By how much lower a level bands are asked for, as a share of what is left out."""


@dataclass(frozen=True, eq=False, repr=False)
class Banded:
    r"""Intervals for values such as counts, whose spread grows with what is expected, and most of which may be one.

    .. math:: [l, u] = \arg\min_{l, u} (u - l) \quad\text{with}\quad
              \#\{i \in B: l \le y_i \le u\} \ge \lceil (n_B + 1)\, level \rceil

    for each band B of the prediction (of each feature) the shortest interval that holds enough of its calibration
    cells; the prediction itself lies in it, too. Of counts an interval often holds more, as many cells have one value.
    Then bands are asked for a lower level, down to that at which the cells of all bands are covered as they should.

    Attributes
    ----------
    edges
        Predictions between bands, ``(bands - 1, features)``.
    truth
        Sorted true values of the calibration cells of each band, ``(cells of the band, features)`` each.

    References
    ----------
    Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World, 2005 (conformal prediction by category).
    """

    edges: Array
    truth: list[Array]

    def __repr__(self) -> str:
        n = sum(map(len, self.truth))
        return f"Intervals of {self.edges.shape[1]} features in {len(self.truth)} bands from {n} calibration cells."

    @classmethod
    def fit(cls, predicted: Array, truth: Array) -> Self:
        """Learn from calibration cells, ``(cells, features)`` each."""
        n = len(predicted)
        bands = int(np.clip(n // BAND_CELLS, 1, N_BANDS))
        order = np.argsort(predicted, axis=0, kind="stable")
        ranked, true = (np.take_along_axis(each, order, 0) for each in (predicted, truth))
        cut = np.linspace(0, n, bands + 1).astype(int)
        edges = (ranked[cut[1:-1] - 1] + ranked[cut[1:-1]]) / 2
        return cls(edges, [np.sort(true[a:b], axis=0) for a, b in pairwise(cut)])

    @property
    def highest(self) -> float:
        """Highest level at which every band has enough cells."""
        fewest = min(map(len, self.truth))
        return fewest / (fewest + 1)

    def interval(self, predicted: Array, level: float) -> tuple[Array, Array]:
        """Ends of the intervals of predictions, ``(cells, features)`` each; infinite where there are too few cells."""
        at = np.arange(self.edges.shape[1])
        low, high = self._ends(level)
        bands = np.zeros(predicted.shape, np.int64)
        for edge in self.edges:
            bands += predicted > edge
        return np.minimum(low[bands, at], predicted), np.maximum(high[bands, at], predicted)

    def _ends(self, level: float) -> tuple[Array, Array]:
        """Ends of each band and feature, at the lowest level of bands at which all cells are covered as they should."""
        low, high, _ = self._shortest(level)
        n = sum(map(len, self.truth))
        for share in SLACK:
            ends = self._shortest(level - share * (1 - level))
            enough = ends[2] >= level * (n + 1)
            low, high = np.where(enough, ends[0], low), np.where(enough, ends[1], high)
        return low, high

    def _shortest(self, level: float) -> tuple[Array, Array, Array]:
        """Ends of the shortest intervals of each band, and how many of all calibration cells lie in them."""
        at = np.arange(self.edges.shape[1])
        low, high = np.empty((2, len(self.truth), len(at)))
        inside = np.zeros(len(at))
        for band, values in enumerate(self.truth):
            n = len(values)
            held = max(int(np.ceil((n + 1) * level)), 1)
            if held > n:
                low[band], high[band] = -np.inf, np.inf
                continue
            first = (values[held - 1 :] - values[: n - held + 1]).argmin(0)
            low[band], high[band] = values[first, at], values[first + held - 1, at]
            inside += ((values >= low[band]) & (values <= high[band])).sum(0)
        return low, high, inside

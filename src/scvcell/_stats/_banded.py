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


@dataclass(frozen=True, eq=False, repr=False)
class Banded:
    r"""Intervals for values such as counts, whose spread grows with what is expected, and most of which may be one.

    .. math:: [l, u] = \arg\min_{l, u} (u - l) \quad\text{with}\quad
              \#\{i \in B: l \le y_i \le u\} \ge \lceil (n_B + 1)\, level \rceil

    for each band B of the prediction (of each feature) the shortest interval that holds enough of its calibration
    cells; the prediction itself lies in it, too.

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
        """Ends of the intervals of predictions, ``(cells, features)`` each; infinite above, of too few cells."""
        at = np.arange(self.edges.shape[1])
        low, high = np.empty((2, len(self.truth), len(at)))
        for band, values in enumerate(self.truth):
            n = len(values)
            held = int(np.ceil((n + 1) * level))
            if held > n:
                low[band], high[band] = -np.inf, np.inf
                continue
            first = (values[held - 1 :] - values[: n - held + 1]).argmin(0)
            low[band], high[band] = values[first, at], values[first + held - 1, at]
        bands = np.zeros(predicted.shape, np.int64)
        for edge in self.edges:
            bands += predicted > edge
        return np.minimum(low[bands, at], predicted), np.maximum(high[bands, at], predicted)

"""Split conformal prediction within kinds of units, one quantile each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scvcell._stats._conformal import MIN_CALIBRATION_CELLS
from scvcell._stats._quantile import conformal_quantile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scvcell._types import Array


@dataclass(frozen=True, eq=False)
class Mondrian:
    """Split conformal prediction within kinds of units: each kind is covered as often as was promised.

    Parameters
    ----------
    scores
        Kind -> scores of its calibration units, ``(n,)`` or ``(n, features)``.
    weights
        Kind -> their weights; None if all count the same.

    References
    ----------
    Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World, 2005 (Mondrian conformal prediction).
    """

    scores: Mapping[str, Array]
    weights: Mapping[str, Array] | None = None

    @classmethod
    def fit(cls, scores: Array, kinds: Array, weights: Array | None = None) -> Mondrian:
        """Sort scores of calibration units by their kind.

        Parameters
        ----------
        scores
            Errors over what is typical, ``(n,)`` or ``(n, features)``.
        kinds
            What each unit is: its regime, its donor, ``(n,)``.
        weights
            As in `conformal_quantile`.
        """
        kind = np.asarray(kinds, dtype=str)
        at = {str(k): kind == k for k in np.unique(kind)}
        shares = None if weights is None else {k: np.asarray(weights)[rows] for k, rows in at.items()}
        return cls({k: np.asarray(scores)[rows] for k, rows in at.items()}, shares)

    def quantile(self, level: float, kind: str) -> Array:
        """Score that a new unit of a kind does not exceed with probability `level`.

        Of a kind with fewer than 20 calibration units, or none, it is the largest of all kinds that have enough:
        nothing is promised for it, and the widest is nearest to safe. Infinite if no kind has.
        """
        known = [k for k, s in self.scores.items() if len(s) >= MIN_CALIBRATION_CELLS]
        if kind in known:
            return self._of(kind, level)
        shape = next(iter(self.scores.values())).shape[1:] if self.scores else ()
        return np.asarray(np.max([self._of(k, level) for k in known], axis=0)) if known else np.full(shape, np.inf)

    def _of(self, kind: str, level: float) -> Array:
        return conformal_quantile(self.scores[kind], level, None if self.weights is None else self.weights[kind])

"""Split conformal intervals, scaled by the errors of similar cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp
from sklearn.neighbors import NearestNeighbors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.floating]

NEIGHBOURS = 50
BLOCK = 4096
"""Features whose quantiles are taken at once."""
MINIMUM = 20
"""Calibration cells below which no interval can be promised."""


@dataclass(frozen=True)
class Conformal:
    r"""Locally scaled split conformal prediction, one feature at a time.

    .. math:: s_i = |y_i - \hat y_i| / \sigma(z_i), \qquad
              [\hat y - q\,\sigma(z),\ \hat y + q\,\sigma(z)], \quad q = s_{(\lceil (n+1)\,level \rceil)}

    with :math:`\sigma(z)` the root mean squared error among the nearest cells of a pool.

    Attributes
    ----------
    pool
        Latents of cells with known truth, ``(pool, latent)``.
    error
        Squared errors of the pool, ``(pool, features)``.
    scores
        Sorted scores of calibration cells, ``(cells, features)``.
    spread
        Central ranges of the truth at 1..99 %, ``(99, features)``, against which a width is relative.
    reach
        Distance within which 99 % of the calibration cells find their neighbours.

    References
    ----------
    Lei et al., Distribution-free predictive inference for regression, JASA 2018.
    """

    pool: Array
    error: Array
    scores: Array
    spread: Array
    reach: float

    @classmethod
    def fit(cls, pool: Array, pool_error: Array, latent: Array, truth: Array, predicted: Array) -> Conformal:
        """Learn from a pool (whose errors only give the scale) and calibration cells that training never saw.

        Parameters
        ----------
        pool, pool_error
            Latents ``(pool, latent)`` and squared errors ``(pool, features)``.
        latent, truth, predicted
            Latents, true and predicted values of calibration cells.
        """
        draft = cls(pool, pool_error, np.zeros((0, truth.shape[1])), np.zeros((99, truth.shape[1])), np.inf)
        sigma, distance = draft.sigma(latent)
        scores = np.sort(np.abs(truth - predicted) / sigma, axis=0)
        share = np.arange(1, 100) / 200
        spread = np.empty((len(share), truth.shape[1]), np.float32)
        for start in range(0, truth.shape[1], BLOCK):
            at = slice(start, start + BLOCK)
            high, low = np.split(np.quantile(truth[:, at], np.concatenate([0.5 + share, 0.5 - share]), axis=0), 2)
            spread[:, at] = high - low
        return cls(pool, pool_error, scores, spread, float(np.quantile(distance, 0.99)))

    def sigma(self, latent: Array) -> tuple[Array, Array]:
        """Local error scale ``(cells, features)`` and mean distance to the neighbours ``(cells,)``."""
        k = min(NEIGHBOURS, len(self.pool))
        distance, near = NearestNeighbors(n_neighbors=k).fit(self.pool).kneighbors(latent)
        ones = np.ones(near.size, np.float32)
        total = (
            sp.csr_matrix((ones, near.ravel(), np.arange(0, near.size + 1, k)), (len(near), len(self.pool)))
            @ self.error
        )
        sigma = np.sqrt((total + 5 * self.error.mean(0)) / (k + 5)) + 1e-4
        return sigma.astype(np.float32, copy=False), distance.mean(1)

    def quantile(self, level: float) -> Array:
        """Multiplier of sigma at `level` per feature; infinite where there are too few calibration cells."""
        n = len(self.scores)
        rank = int(np.ceil((n + 1) * level))
        if rank > n:
            return np.full(self.scores.shape[1], np.inf)
        return self.scores[rank - 1]

    def halfwidth(self, latent: Array, level: float) -> tuple[Array, NDArray[np.bool_]]:
        """Half-widths ``(cells, features)``, and which cells lie within reach of the pool ``(cells,)``."""
        sigma, distance = self.sigma(latent)
        return sigma * self.quantile(level), distance <= self.reach

    def relative_width(self, halfwidth: Array, level: float) -> Array:
        """Mean width over the central range of the truth at the same level; 1 means nothing was learned."""
        spread = self.spread[int(np.clip(round(level * 100), 1, 99)) - 1]
        finite = np.where(np.isfinite(halfwidth), halfwidth, np.nan)
        with np.errstate(invalid="ignore", divide="ignore"):
            width = 2 * np.nanmean(finite, 0) if len(halfwidth) else np.full(len(spread), np.nan)
            return np.where(spread > 0, width / spread, np.nan)

    def as_arrays(self) -> dict[str, Array]:
        """Plain arrays, to be saved with a model."""
        return {
            "pool": self.pool,
            "error": self.error,
            "scores": self.scores,
            "spread": self.spread,
            "reach": np.array([self.reach]),
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, Array]) -> Conformal:
        """Inverse of `as_arrays`."""
        return cls(arrays["pool"], arrays["error"], arrays["scores"], arrays["spread"], float(arrays["reach"][0]))


def coverage(truth: Array, lower: Array, upper: Array) -> Array:
    """Share of cells whose true value lies in the interval, per feature ``(features,)``."""
    return ((truth >= lower) & (truth <= upper)).mean(0)

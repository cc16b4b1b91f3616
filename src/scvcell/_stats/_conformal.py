"""Conformal intervals, scaled by the errors of similar cells."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp
from scipy.stats import beta
from sklearn.neighbors import NearestNeighbors

from scvcell._stats._quantile import conformal_quantile

if TYPE_CHECKING:
    from scvcell._types import Array, Mask

N_NEIGHBOURS = 50
FEATURES_PER_BLOCK = 4096
"""Features whose quantiles are taken at once."""
MIN_CALIBRATION_CELLS = 20
"""Calibration cells below which no interval can be promised."""


OWN_QUANTILE_CELLS = 500
"""Calibration cells from which their own quantiles are surer than those of the pool, brought to their size."""
SHRINKAGE_CELLS = 20
"""Calibration cells that the factor of all features stands for in that of each."""
N_RANKS = 400
"""Ranks of the pool's scores that are kept."""


@dataclass(frozen=True, eq=False, repr=False)
class Conformal:
    r"""Locally scaled conformal prediction, one feature at a time.

    .. math:: s_i = |y_i - \hat y_i| / \sigma(z_i), \qquad
              [\hat y - q\,\sigma(z),\ \hat y + q\,\sigma(z)], \quad q = s_{(\lceil (n+1)\,level \rceil)}

    with :math:`\sigma(z)` the root mean squared error among the nearest cells of a pool, and s the scores of n
    calibration cells that training never saw (split conformal). Of few such cells a quantile is a matter of luck:
    below `OWN_QUANTILE_CELLS`, s are the scores of the pool's many cells, each with the others as its neighbours, times
    a factor: the mean score of calibration cells over that of the pool, what training made of its own cells. Features
    of which half of the values are one keep to calibration cells.

    Attributes
    ----------
    pool
        Latents of cells with known truth, ``(pool, latent)``.
    error
        Squared errors of the pool, ``(pool, features)``.
    scores
        Sorted scores, ``(cells, features)``.
    spread
        Central ranges of the truth at 1..99 %, ``(99, features)``, against which a width is relative.
    reach
        Distance within which 99 % of the calibration cells find their neighbours.
    cells
        Number of calibration cells.
    unsure
        Relative standard error of the factor; 0 where the scores are those of calibration cells.
    limits
        Smallest and largest of further numbers (log depths of the inputs) among pool and calibration cells, but for one
        in a hundred at either end, ``(numbers, 2)``.

    References
    ----------
    Lei et al., Distribution-free predictive inference for regression, JASA 2018.
    """

    pool: Array
    error: Array
    scores: Array
    spread: Array
    reach: float
    cells: int = 0
    unsure: float = 0.0
    limits: Array = field(default_factory=lambda: np.zeros((0, 2)))

    def __repr__(self) -> str:
        return f"Conformal intervals of {self.error.shape[1]} features from {self.cells} calibration cells."

    @classmethod
    def fit(
        cls,
        pool: Array,
        pool_error: Array,
        latent: Array,
        truth: Array,
        predicted: Array,
        numbers: Array | None = None,
    ) -> Conformal:
        """Learn from a pool that training saw, and from calibration cells that it never saw.

        Parameters
        ----------
        pool, pool_error
            Latents ``(pool, latent)`` and squared errors ``(pool, features)``.
        latent, truth, predicted
            Latents, true and predicted values of calibration cells.
        numbers
            Of both, in this order, by which cells may be far from all of them, ``(cells, numbers)``.
        """
        draft = cls(pool, pool_error, np.zeros((0, truth.shape[1])), np.zeros((99, truth.shape[1])), np.inf)
        sigma, distance = draft.sigma(latent)
        scores: Array = np.abs(truth - predicted) / sigma
        unsure = 0.0
        if len(scores) < OWN_QUANTILE_CELLS:
            own, _ = draft.sigma(pool, own=True)
            known = np.sqrt(pool_error) / own
            each = scores.mean(1)
            unsure = float(each.std() / np.sqrt(len(each)) / max(each.mean(), 1e-12))
            scores = _shaped(scores, known * _optimism(scores, known), truth)
        else:
            scores = np.sort(scores, axis=0)
        share = np.arange(1, 100) / 200
        spread = np.empty((len(share), truth.shape[1]), np.float32)
        for start in range(0, truth.shape[1], FEATURES_PER_BLOCK):
            at = slice(start, start + FEATURES_PER_BLOCK)
            high, low = np.split(np.quantile(truth[:, at], np.concatenate([0.5 + share, 0.5 - share]), axis=0), 2)
            spread[:, at] = high - low
        limits = np.zeros((0, 2)) if numbers is None else np.nanquantile(numbers, [0.01, 0.99], axis=0).T
        reach = float(np.quantile(distance, 0.99))
        return cls(pool, pool_error, scores, spread, reach, len(truth), unsure, limits)

    def sigma(self, latent: Array, *, own: bool = False) -> tuple[Array, Array]:
        """Local error scale ``(cells, features)`` and mean distance to the neighbours ``(cells,)``.

        Where `own`, `latent` are the pool, and no cell is a neighbour of itself.
        """
        k = min(N_NEIGHBOURS, len(self.pool) - own)
        neighbours = NearestNeighbors(n_neighbors=k).fit(self.pool)
        distance, near = neighbours.kneighbors(None if own else latent)
        ones = np.ones(near.size, np.float32)
        total = (
            sp.csr_matrix((ones, near.ravel(), np.arange(0, near.size + 1, k)), (len(near), len(self.pool)))
            @ self.error
        )
        sigma = np.sqrt((total + 5 * self.error.mean(0)) / (k + 5)) + 1e-4
        return sigma.astype(np.float32, copy=False), distance.mean(1)

    def quantile(self, level: float) -> Array:
        """Multiplier of sigma at `level` per feature; infinite where there are too few calibration cells."""
        return conformal_quantile(self.scores, level)

    def halfwidth(self, latent: Array, level: float) -> tuple[Array, Mask]:
        """Half-widths ``(cells, features)``, and which cells lie within reach of the pool ``(cells,)``."""
        sigma, distance = self.sigma(latent)
        return sigma * self.quantile(level), distance <= self.reach

    def within(self, numbers: Array) -> Mask:
        """Whether cells lie within the limits, ``(cells,)``, by `numbers` as in `fit`; missing ones are."""
        if not len(self.limits):
            return np.ones(len(numbers), bool)
        low, high = self.limits.T
        return ((numbers >= low) & (numbers <= high) | np.isnan(numbers)).all(1)

    def expected(self, level: float) -> tuple[float, float]:
        """Range in which the coverage of cells like the calibration cells lies nine times in ten, for one feature."""
        if not self.unsure:
            rank = int(np.ceil((self.cells + 1) * level))
            low, high = beta.ppf([0.05, 0.95], rank, max(self.cells + 1 - rank, 1e-9))
            return float(low), float(high)
        q = self.quantile(level)
        step = np.exp(1.645 * self.unsure)
        low, high = (float((self.scores <= q * s).mean()) for s in (1 / step, step))
        return min(low, level), max(high, level)

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
            "size": np.array([self.cells, self.unsure]),
            "limits": self.limits,
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, Array]) -> Conformal:
        """Inverse of `as_arrays`."""
        cells, unsure = arrays.get("size", np.array([len(arrays["scores"]), 0.0]))
        pool, error, scores, spread = (arrays[name] for name in ("pool", "error", "scores", "spread"))
        limits = arrays.get("limits", np.zeros((0, 2)))
        return cls(pool, error, scores, spread, float(arrays["reach"][0]), int(cells), float(unsure), limits)


def _shaped(scores: Array, known: Array, truth: Array) -> Array:
    """Sorted scores at `N_RANKS` ranks: of the pool, or, where most values are one, of the calibration cells.

    Scores of a feature that is nearly always zero are no multiple of each other.
    """
    share = np.arange(1, N_RANKS + 1) / (N_RANKS + 1)
    out = np.sort(known.T, axis=1)[:, np.ceil(share * len(known)).astype(int) - 1].T
    sparse = (truth == np.median(truth, axis=0)).mean(0) >= 0.5
    rank = np.ceil(share * (len(scores) + 1)).astype(int)
    own = np.vstack([np.sort(scores[:, sparse], axis=0), np.full((1, int(sparse.sum())), np.inf)])
    out[:, sparse] = own[np.minimum(rank, len(scores) + 1) - 1]
    return np.ascontiguousarray(out, dtype=np.float32)


def _optimism(scores: Array, known: Array) -> Array:
    """By how much scores of training cells, `known`, are too small, ``(features,)``; drawn to their median."""
    n, told = len(scores), known.mean(0) > 0
    each = np.ones(scores.shape[1])
    each[told] = scores[:, told].mean(0) / known[:, told].mean(0)
    usual = float(np.median(each[told])) if told.any() else 1.0
    return (n * each + SHRINKAGE_CELLS * usual) / (n + SHRINKAGE_CELLS)

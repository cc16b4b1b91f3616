"""The bootstrap over exchangeable units, by weights: how far means and ratios of sums would vary with other units."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from scvcell._types import Array

FEWEST_UNITS = 10
"""Units below which intervals are those of a t distribution, since so few cannot stand for all."""


def boot_weights(n: int, n_boot: int, rng: np.random.Generator) -> Array:
    """How often each unit is drawn, ``(n_boot, n)``; rows add up to `n`."""
    return rng.multinomial(n, np.full(n, 1.0 / n), size=n_boot).astype(np.float64)


def mean_variance(values: Array, n_boot: int, rng: np.random.Generator) -> float:
    """Squared standard error of the mean over units, of `n_boot` draws of them; at least two units, ``(n,)``."""
    n = len(values)
    return float((boot_weights(n, n_boot, rng) @ values / n).var(ddof=1)) * n / (n - 1)


def weighted_mean(values: Array, weights: Array) -> Array:
    """Mean of units by each row of weights, ``(n_boot,)``; NaN where no unit has weight.

    Parameters
    ----------
    values
        One value per unit, ``(n,)``. Units without one are NaN, and are left out.
    weights
        Weights, ``(n_boot, n)``.
    """
    return weighted_ratio(values, np.where(np.isfinite(values), 1.0, np.nan), weights)


def weighted_ratio(above: Array, below: Array, weights: Array) -> Array:
    """Ratio of two sums over units by each row of weights, ``(n_boot,)``; it is never a mean of ratios.

    Parameters
    ----------
    above, below
        One value per unit, ``(n,)``. Units that lack one of the two are left out of both sums.
    weights
        Weights, ``(n_boot, n)``.
    """
    there = np.isfinite(above) & np.isfinite(below)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = (weights[:, there] @ above[there]) / (weights[:, there] @ below[there])
    return np.where(np.isfinite(found), found, np.nan)  # type: ignore[no-any-return]


def draws_of_ratio(above: Array, below: Array, weights: Array) -> Array:
    r"""Draws of a ratio of sums, ``(n_boot,)``: by the bootstrap, for few units by a t distribution around the ratio.

    .. math:: s + t_{n-1} \frac{\mathrm{sd}(a_i - s\, b_i)}{\sqrt n\, \bar b}

    Below `FEWEST_UNITS` units the formula takes n evenly spread quantiles of t, in an order that the weights decide;
    with less than two units there is nothing to tell, and draws are NaN.

    Parameters
    ----------
    above, below, weights
        As `weighted_ratio`.
    """
    there = np.isfinite(above) & np.isfinite(below)
    a, b, n = above[there], below[there], int(there.sum())
    if n >= FEWEST_UNITS:
        return weighted_ratio(above, below, weights)
    if n < 2 or b.sum() == 0:
        return np.full(len(weights), np.nan)
    ratio = a.sum() / b.sum()
    error = (a - ratio * b).std(ddof=1) / np.sqrt(n) / abs(b.mean())
    spread = stats.t.ppf((np.arange(len(weights)) + 0.5) / len(weights), n - 1)
    order = np.random.default_rng(weights.astype(np.int64).ravel()[:64]).permutation(len(weights))
    return np.asarray(ratio + error * spread[order])


def interval(draws: Array, level: float, n: int) -> tuple[float, float]:
    """Ends of the interval that holds `level` of some draws; NaN if there are none.

    Parameters
    ----------
    draws
        Draws of an estimate, ``(n_boot,)``.
    level
        Level of the interval, in (0, 1).
    n
        Units. Draws of the bootstrap lie too close together by ``sqrt((n - 1) / n)``, and have no tails of a t
        distribution; from `FEWEST_UNITS` on quantiles further out make up for it.

    References
    ----------
    Hesterberg, What teachers should know about the bootstrap, Am Stat 2015 (expanded percentile intervals).
    """
    draws = draws[np.isfinite(draws)]
    if len(draws) < 2:
        return float("nan"), float("nan")
    tail = (1.0 - level) / 2.0
    if n >= FEWEST_UNITS:
        tail = float(stats.norm.cdf(np.sqrt(n / (n - 1)) * stats.t.ppf(tail, n - 1)))
    lower, upper = np.quantile(draws, [tail, 1.0 - tail], method="weibull")
    return float(lower), float(upper)


def permutation_p(differences: Array, n: int, rng: np.random.Generator) -> float:
    """P-value of paired differences, one per unit, by changing their signs at random; uniform where there is none.

    Parameters
    ----------
    differences
        One per unit, ``(n,)``; those that are NaN are left out.
    n
        Random changes of sign.
    rng
        Random numbers.
    """
    known = differences[np.isfinite(differences)]
    signs = rng.choice([-1.0, 1.0], size=(n, len(known)))
    found = np.abs(signs @ known)
    bar = abs(known.sum())
    return float((1 + (found >= bar * (1 - 1e-12)).sum()) / (1 + n))

"""Predicted distributions: how far from what came true, and whether they are as wide as they should be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scvcell.score._base import metric

if TYPE_CHECKING:
    from scvcell._types import Array


@metric(
    "crps",
    takes="draws",
    better="lower",
    per="feature",
    scale="that of the values",
    formula="E|x - y| - E|x - x'| / 2 over draws x, x'; the mean absolute error for one certain value",
    source="Gneiting and Raftery, JASA 2007; fair form of Ferro, Q J R Meteorol Soc 2014",
    fooled_by="features with large values, which make the mean; few draws, in its biased form",
)
def crps(truth: Array, draws: Array, *, unbiased: bool = True) -> Array:
    r"""Continuous ranked probability score of draws, mean over units, per feature ``(features,)``.

    .. math:: \mathrm{CRPS} = E\,|X - y| - \tfrac12 E\,|X - X'|

    Parameters
    ----------
    truth
        True values, ``(units, features)``.
    draws
        Draws of what is predicted, ``(draws, units, features)``; at least two.
    unbiased
        Whether pairs of a draw with itself are left out, so that the score does not depend on how many draws there are
        (and may be below 0). With them it is the score of the draws as they are.

    References
    ----------
    Gneiting and Raftery, Strictly proper scoring rules, prediction, and estimation, JASA 2007; Ferro, Fair scores for
    ensemble forecasts, Q J R Meteorol Soc 2014.
    """
    n = len(draws)
    rank = 2.0 * np.arange(1, n + 1) - n - 1  # sum of |x - x'| over pairs from sorted draws
    spread = np.tensordot(rank, np.sort(draws, axis=0), 1) / (n * (n - 1) if unbiased else n**2)
    return (np.abs(draws - truth).mean(0) - spread).mean(0)  # type: ignore[no-any-return]


@metric(
    "crps_quantiles",
    takes="quantiles, levels",
    better="lower",
    per="feature",
    scale="that of the values",
    formula="mean over levels of 2 (1[y <= q] - level) (q - y); the weighted interval score of a median and intervals",
    source="Koenker and Bassett, Econometrica 1978; Bracher et al., PLoS Comput Biol 2021",
    fooled_by="which levels there are: compare predictors at the same ones only",
)
def crps_quantiles(truth: Array, quantiles: Array, levels: Array) -> Array:
    """Continuous ranked probability score of quantiles: twice their mean pinball loss, per feature ``(features,)``.

    Parameters
    ----------
    truth
        True values, ``(units, features)``.
    quantiles
        Of what is predicted, ``(levels, units, features)``; a point with an interval at 90 % is three of them.
    levels
        Their levels, in (0, 1).
    """
    level = np.reshape(np.asarray(levels, dtype=float), (-1, 1, 1))
    return (2.0 * ((truth <= quantiles) - level) * (quantiles - truth)).mean((0, 1))  # type: ignore[no-any-return]


@metric(
    "energy_score",
    takes="draws",
    better="lower",
    per="unit",
    scale="that of the values; it grows with the number of features",
    formula="E|x - y| - E|x - x'| / 2 with distances over all features together",
    source="Gneiting and Raftery, JASA 2007",
    fooled_by="wrong dependence between features, to which it is nearly blind; few draws, in its biased form",
)
def energy_score(truth: Array, draws: Array, *, unbiased: bool = True) -> Array:
    r"""Energy score of draws of all features together, per unit ``(units,)``.

    .. math:: \mathrm{ES} = E\,\|X - y\| - \tfrac12 E\,\|X - X'\|

    Parameters
    ----------
    truth, draws, unbiased
        As for `crps`.
    """
    n = len(draws)
    within = np.zeros(len(truth))
    for i in range(1, n):
        within += np.linalg.norm(draws[i:] - draws[i - 1], axis=-1).sum(0)
    within /= n * (n - 1) if unbiased else n**2
    return np.linalg.norm(draws - truth, axis=-1).mean(0) - within  # type: ignore[no-any-return]


def pit_values(truth: Array, draws: Array) -> Array:
    """Probability integral transform: share of draws below the truth, ties half, of the shape of `truth`.

    Parameters
    ----------
    truth
        True values, ``(units, features)``.
    draws
        Draws of what is predicted, ``(draws, units, features)``.
    """
    return (draws < truth).mean(0) + 0.5 * (draws == truth).mean(0)  # type: ignore[no-any-return]


@metric(
    "pit",
    takes="draws",
    better="lower",
    per="table",
    scale="any",
    formula="largest distance between the shares of PIT values up to u and u (Kolmogorov-Smirnov); 0 is calibrated",
    source="Dawid, J R Stat Soc A 1984; Gneiting, Balabdaoui and Raftery, J R Stat Soc B 2007",
    fooled_by="a prediction that knows nothing but the right marginal; features whose errors cancel; many zeros",
)
def pit(truth: Array, draws: Array) -> float:
    """Distance of the distribution of PIT values from the uniform one, all entries together; 0 best, 1 worst.

    Parameters
    ----------
    truth, draws
        As for `pit_values`.
    """
    u = np.sort(pit_values(truth, draws), axis=None)
    step = np.arange(len(u) + 1) / len(u)
    return float(max((step[1:] - u).max(), (u - step[:-1]).max()))


@metric(
    "pit_quantiles",
    takes="quantiles, levels",
    better="lower",
    per="table",
    scale="any",
    formula="largest distance over the levels from the level to [share below the quantile, share up to it]",
    source="the distance of pit, at the levels that are given",
    fooled_by="few levels: what lies between them is not looked at; few values: it is above 0 by chance",
)
def pit_quantiles(truth: Array, quantiles: Array, levels: Array) -> float:
    """Largest distance between how often the truth lies below a quantile and its level, all entries together.

    A quantile is right if at most its level lies below it and at least its level does not lie above it. So many counts
    of 0, at which a quantile is 0 as well, are no fault.

    Parameters
    ----------
    truth, quantiles, levels
        As for `crps_quantiles`.
    """
    level = np.asarray(levels, dtype=float)
    too_many, too_few = (truth < quantiles).mean((1, 2)) - level, level - (truth <= quantiles).mean((1, 2))
    return float(max(np.maximum(too_many, too_few).max(), 0.0))

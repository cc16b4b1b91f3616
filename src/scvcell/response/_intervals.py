"""Intervals of effects: of conditions that were left out, or of sampling alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import norm, t

from scvcell.response._bulk import FEWEST_CELLS

if TYPE_CHECKING:
    from scvcell._types import Array

EFFECT_BINS = (0.5, 0.95)
"""Quantiles of the effect size, over its noise, between the bins within which intervals are calibrated."""

MIN_CALIBRATION_ROWS = 50
"""Left-out effects below which no interval can be promised."""

STRONGEST = 10
"""Effects of a condition, the largest as they were measured, on which intervals are calibrated once more."""

MAX_STRETCH = 4 / 3
"""How much wider intervals may become for the sake of the strongest effects."""


@dataclass(frozen=True)
class Effect:
    """Predicted effect on a pseudobulk, on the effect scale (natural log for counts).

    Attributes
    ----------
    value
        Effect of each feature, ``(features,)``.
    halfwidth
        Half the interval for the effect that a pseudobulk of as many cells would show; infinite where neither
        calibrated nor measured.
    held, held_strongest
        How often such intervals held the effects of conditions that were left out, new in the same way: of all
        features, and of the `STRONGEST`; NaN where none was.
    """

    value: Array
    halfwidth: Array
    held: float = float("nan")
    held_strongest: float = float("nan")


def calibrated(rows: Array, value: Array, variance: Array, level: float) -> Effect:
    r"""Intervals by the errors of conditions that were left out.

    .. math::
        \sigma^2 = v + (\gamma\,\hat y)^2, \qquad [\hat y - c\,q_b \sigma,\ \hat y + c\,q_b \sigma]

    with the predicted variance v and a share :math:`\gamma` of the effect. The quantiles :math:`q_b`, one per bin of
    effect size, are those of left-out errors over :math:`\sigma`, none below the Gaussian one. The stretch c is the
    quantile of the same errors over these intervals, of the strongest effects alone; it is at least 1 and at most
    `MAX_STRETCH`. Which effects are strongest is known afterwards only. Among G features whose effects nothing
    predicts, the k strongest are the k largest errors, so that Gaussian intervals at a level of 1 - k / G hold none.

    Parameters
    ----------
    rows
        Rows of `crossfit`; without the last column nothing is stretched.
    value, variance
        Predicted effects and their variance, ``(features,)``.
    level
        Coverage; raised for how few conditions were left out, as features of one condition err together.

    References
    ----------
    Vovk et al., Algorithmic Learning in a Random World, 2005 (Mondrian conformal prediction); Lee, Barber and
    Willett, Distribution-free inference with hierarchical data, 2023 (groups of exchangeable errors).
    """
    gamma = excess_share(rows)
    score = np.sqrt(rows[:, 1] / (rows[:, 2] + (gamma * rows[:, 0]) ** 2))
    seen, mine = rows[:, 0] / np.sqrt(rows[:, 2]), np.abs(value) / np.sqrt(variance)
    edges = np.quantile(seen, EFFECT_BINS)
    # Features of one condition err together: the new one is one more condition, not one more feature.
    units = len(np.unique(rows[:, 3]))
    rank = min(level * (units + 1) / units, (1 + level) / 2)
    of_rows = np.digitize(seen, edges)
    quantile = np.empty(len(EFFECT_BINS) + 1)
    for b in range(len(quantile)):
        here = score[of_rows == b]
        quantile[b] = np.quantile(here if len(here) >= MIN_CALIBRATION_ROWS else score, rank)
    quantile = np.maximum(quantile, norm.ppf(0.5 + level / 2))
    over = score / quantile[of_rows]
    strongest = over[rows[:, 5] > 0] if rows.shape[1] > 5 else over[:0]
    stretch = stretch_for(strongest, rank)
    half = stretch * quantile[np.digitize(mine, edges)] * np.sqrt(variance + (gamma * value) ** 2)
    held_strongest = float((strongest <= stretch).mean()) if len(strongest) else float("nan")
    return Effect(value, half, float((over <= stretch).mean()), held_strongest)


def stretch_for(over: Array, rank: float) -> float:
    """Factor of intervals that holds a share `rank` of effects, by their errors over half the intervals."""
    if len(over) < MIN_CALIBRATION_ROWS:
        return 1.0
    return float(np.clip(np.quantile(over, rank), 1.0, MAX_STRETCH))


def sampling_halfwidth(miss: Array, trained: Array, new: Array, level: float, free: float) -> Array:
    r"""Half the interval, around the shrunken effect, of the effect that new cells of a measured condition would show.

    .. math:: t_{(1 + level) / 2} \sqrt{s^2_{trained} + s^2_{new} + \max(m^2 - s^2_{trained}, 0)}

    with the sampling variances of the measured effect and of the new one, and m how far the prediction lies from the
    measured effect: what sampling does not explain of it is the price of shrinking.

    Parameters
    ----------
    miss, trained, new
        m and the two variances, ``(features,)``.
    level
        Coverage.
    free
        Degrees of freedom of the variances.
    """
    return np.asarray(t.ppf(0.5 + level / 2, free) * np.sqrt(new + np.maximum(miss**2, trained)))


def noise_of(own: Array, spread: Array, n: int) -> Array:
    """Sampling variance of a mean of n cells, halfway between their own variance and that of all; of few, all count."""
    return (spread if n < FEWEST_CELLS else (own + spread) / 2) / max(n, 1) + 1e-6


def excess_share(rows: Array) -> float:
    """Share of an effect by which it is off, beyond what is predicted; by least squares over left-out effects."""
    excess = np.maximum(rows[:, 1] - rows[:, 2], 0)
    size = float((rows[:, 0] ** 4).sum())
    return min(float(np.sqrt((excess * rows[:, 0] ** 2).sum() / size)), 1.0) if size else 0.0

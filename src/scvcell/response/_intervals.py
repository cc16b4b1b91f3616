"""Intervals of effects: of conditions that were left out, or of sampling alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import t

from scvcell.response._bulk import FEWEST_CELLS

if TYPE_CHECKING:
    from scvcell._types import Array

EFFECT_BINS = (0.5, 0.95)
"""Quantiles of the effect size, over its noise, between the bins within which intervals are calibrated."""

MIN_CALIBRATION_ROWS = 50
"""Left-out effects below which no interval can be promised."""


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
    """

    value: Array
    halfwidth: Array


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

"""Intervals: how often they hold, and how wide they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scvcell.score._base import mean_known, metric
from scvcell.score._effect import largest

if TYPE_CHECKING:
    from scvcell._types import Array, Mask, Rows

STRONGEST = 10
"""Features of a condition on which decisions are made."""


def inside(truth: Array, lower: Array, upper: Array) -> Mask:
    """Whether each true value lies in its interval, its ends included; of the shape of `truth`."""
    return (truth >= lower) & (truth <= upper)


@metric(
    "coverage",
    takes="intervals",
    better="nominal",
    per="feature",
    scale="any",
    formula="share of true values within their interval",
    source="Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World, 2005",
    fooled_by="values that are nearly always 0, which every interval holds; groups that are covered less than others",
)
def coverage(truth: Array, lower: Array, upper: Array) -> Array:
    """Share of cells whose true value lies in the interval, per feature ``(features,)``."""
    return inside(truth, lower, upper).mean(0)


@metric(
    "coverage_worst",
    takes="intervals",
    better="nominal",
    per="table",
    scale="any",
    formula="coverage of the feature that is covered least",
    source="written here",
    fooled_by="few cells: the least of many shares is low by chance",
)
def worst_coverage(truth: Array, lower: Array, upper: Array) -> float:
    """Coverage of the feature that is covered least."""
    return float(coverage(truth, lower, upper).min())


@metric(
    "relative_width",
    takes="intervals, level",
    better="lower",
    per="feature",
    scale="that of the interval",
    formula="mean width / width of the interval at the same level that holds the truth of all cells",
    source="written here; the marginal interval is the one that knows no cell",
    fooled_by="intervals that do not hold: read it beside coverage",
)
def relative_width(truth: Array, lower: Array, upper: Array, level: float) -> Array:
    """Mean width of the intervals over that of the marginal one, per feature ``(features,)``; 1: nothing was learned.

    It is NaN for a feature whose marginal interval has no width, such as a gene that is nearly always 0.

    Parameters
    ----------
    truth, lower, upper
        Values and ends, ``(cells, features)``.
    level
        Level of the intervals, in (0, 1).
    """
    tail = (1.0 - level) / 2.0
    marginal = np.quantile(truth, 1.0 - tail, axis=0) - np.quantile(truth, tail, axis=0)
    return (upper - lower).mean(0) / np.where(marginal > 0, marginal, np.nan)  # type: ignore[no-any-return]


@metric(
    "interval_score",
    takes="intervals, level",
    better="lower",
    per="feature",
    scale="that of the values",
    formula="mean of width + 2 / (1 - level) * how far the truth lies outside",
    source="Gneiting and Raftery, JASA 2007",
    fooled_by="features with large values, which make the mean: compare predictors on the same ones only",
)
def interval_score(truth: Array, lower: Array, upper: Array, level: float) -> Array:
    """Width and misses of intervals in one proper score, per feature ``(features,)``.

    Parameters
    ----------
    truth, lower, upper
        Values and ends, ``(cells, features)``.
    level
        Level of the intervals, in (0, 1).
    """
    missed = np.maximum(lower - truth, 0.0) + np.maximum(truth - upper, 0.0)
    return (upper - lower + 2.0 / (1.0 - level) * missed).mean(0)  # type: ignore[no-any-return]


@metric(
    "coverage_strongest",
    takes="intervals",
    better="nominal",
    per="condition",
    scale="differences from something: 0 has to mean nothing",
    formula="share of the ten largest true effects of a condition within their interval",
    source="written here",
    fooled_by="wide intervals; and it is hard on honest ones: what is chosen by the truth is chosen by its noise as "
    "well, so a poor predictor's intervals hold less often than their level",
)
def coverage_strongest(truth: Array, lower: Array, upper: Array, n: int = STRONGEST) -> Array | float:
    """Coverage of the `n` true effects that are largest in size, of each condition.

    Parameters
    ----------
    truth, lower, upper
        Effects and ends, ``(features,)`` or ``(conditions, features)``.
    n
        Features of each condition that are looked at.
    """
    return _coverage_at(largest(truth, n), truth, lower, upper)


@metric(
    "coverage_chosen",
    takes="intervals",
    better="nominal",
    per="condition",
    scale="differences from something: 0 has to mean nothing",
    formula="share of the ten effects of a condition whose interval has its middle farthest from 0 within it",
    source="written here; honest intervals hold at their level, since the choice does not look at the truth",
    fooled_by="wide intervals: read it beside the width",
)
def coverage_chosen(truth: Array, lower: Array, upper: Array, n: int = STRONGEST) -> Array | float:
    """Coverage of the `n` effects that are predicted to be largest, of each condition: those that a reader would pick.

    Parameters
    ----------
    truth, lower, upper
        Effects and ends, ``(features,)`` or ``(conditions, features)``; the middle of the interval is the prediction.
    n
        Features of each condition that are looked at.
    """
    return _coverage_at(largest((lower + upper) / 2, n), truth, lower, upper)


def _coverage_at(features: Rows, truth: Array, lower: Array, upper: Array) -> Array | float:
    """Coverage of some features of each condition."""
    found = np.take_along_axis(inside(truth, lower, upper), features, -1).mean(-1)
    return found if np.ndim(truth) > 1 else float(found)


def interval_scores(truth: Array, lower: Array, upper: Array, level: float) -> dict[str, float]:
    """``coverage`` over all entries, ``coverage_worst`` of the worst feature, mean ``relative_width``.

    Parameters
    ----------
    truth, lower, upper
        Values and ends, ``(cells, features)``.
    level
        Level of the intervals, in (0, 1).
    """
    return {
        "coverage": float(inside(truth, lower, upper).mean()),
        "coverage_worst": worst_coverage(truth, lower, upper),
        "relative_width": mean_known(relative_width(truth, lower, upper, level)),
    }

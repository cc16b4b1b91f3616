"""Intervals: how often they hold, and how wide they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scvcell.score._base import metric

if TYPE_CHECKING:
    from scvcell._types import Array, Mask


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

    Parameters
    ----------
    truth, lower, upper
        Values and ends, ``(cells, features)``.
    level
        Level of the intervals, in (0, 1).
    """
    tail = (1.0 - level) / 2.0
    marginal = np.quantile(truth, 1.0 - tail, axis=0) - np.quantile(truth, tail, axis=0)
    return (upper - lower).mean(0) / np.maximum(marginal, 1e-9)  # type: ignore[no-any-return]


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
        "relative_width": float(relative_width(truth, lower, upper, level).mean()),
    }

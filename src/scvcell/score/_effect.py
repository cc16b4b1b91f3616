"""Effects of actions: differences between treated cells and controls, one vector per condition."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scvcell.score._base import metric
from scvcell.score._point import pearson

if TYPE_CHECKING:
    from scvcell._types import Array, Rows


def effect(cells: Array, controls: Array) -> Array:
    """Difference of the means of treated cells and controls, ``(features,)``."""
    return cells.mean(0) - controls.mean(0)  # type: ignore[no-any-return]


def largest(effect: Array, n: int) -> Rows:
    """Positions of the `n` features that change most, the largest first; along the last axis of several effects."""
    return np.argsort(-np.abs(effect), axis=-1)[..., :n]


@metric(
    "pearson_effect",
    takes="effects",
    better="higher",
    per="condition",
    scale="differences from the controls of the same context, of means of log1p counts per 10,000",
    formula="Pearson correlation over features of predicted and true difference",
    source="Roohani, Huang and Leskovec, GEARS, Nat Biotechnol 2024 (Pearson delta)",
    fooled_by="what all actions do alike: the mean of the other actions scores high; the scale of the pseudobulk",
)
def pearson_effect(predicted: Array, true: Array) -> float:
    """Pearson correlation of two effects over features; 0 where the predicted one is constant.

    The same prediction can differ by .06 between pseudobulks on different scales: a figure without its scale means
    nothing.
    """
    return pearson(predicted, true)


@metric(
    "slope",
    takes="effects",
    better="nominal",
    per="condition",
    scale="differences from the controls",
    formula="<p, t> / <t, t>; 1 is the whole effect, 0 none of it",
    source="least squares through the origin",
    fooled_by="nothing but its direction is looked at: errors beside it do not count",
)
def slope(predicted: Array, true: Array) -> float:
    """How much of the true effect the predicted one has along it."""
    return float(predicted @ true / (true @ true))


@metric(
    "pds",
    takes="effects",
    better="higher",
    per="condition",
    scale="differences from the controls",
    formula="1 - mid-rank of the true effect among all true ones by cosine with the predicted / (n - 1); .5 is chance",
    source="Wu et al., PerturBench, 2024; perturbation discrimination score of the Virtual Cell Challenge, 2025",
    fooled_by="few conditions; conditions that are unlike for other reasons, as sets of guides with other controls",
)
def discrimination(predicted: Array, true: Array) -> float:
    """Perturbation discrimination score: how well a prediction tells which action it is of; 1 best, .5 chance.

    Every prediction is compared with all true effects. The mean of all other effects is below .5, since it lacks the
    one that is asked for.

    Parameters
    ----------
    predicted, true
        Effects, ``(conditions, features)``, in one order.
    """
    every = true / np.linalg.norm(true, axis=1, keepdims=True)
    ranks = []
    for i, found in enumerate(predicted):
        likeness = every @ found
        better = (likeness > likeness[i]).sum() + 0.5 * ((likeness == likeness[i]).sum() - 1)
        ranks.append(1 - better / (len(every) - 1))
    return float(np.mean(ranks))

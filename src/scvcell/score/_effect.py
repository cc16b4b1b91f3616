"""Effects of actions: differences between treated cells and controls, one vector per condition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from scvcell.score._base import metric
from scvcell.score._point import correlation, nmae, pearson

if TYPE_CHECKING:
    from scvcell._types import Array, Mask, Rows

FEWEST_SIGNIFICANT = 10
"""Features that change truly below which a ratio over them is noise."""


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
    "pearson_perturbed",
    takes="effects, reference",
    better="higher",
    per="condition",
    scale="differences from the controls of the same context, of means of log1p counts per 10,000",
    formula="Pearson correlation over features of p - r and t - r, r the mean effect of the actions that may be seen",
    source="Vinas Torne et al., Systema, Nat Biotechnol 2025 (reference: the mean of perturbed centroids)",
    fooled_by="a reference from few actions: what they lack looks like the action's own",
)
def pearson_perturbed(predicted: Array, true: Array, reference: Array) -> Array | float:
    """Pearson correlation of what is left of two effects without that which all actions do alike.

    Parameters
    ----------
    predicted, true
        Effects, ``(features,)`` or ``(conditions, features)``.
    reference
        Mean effect of the actions that may be seen, one centroid each, ``(features,)``.

    Returns
    -------
    Of each condition; 0 where nothing is left of the predicted effect, as of the mean of the other actions.
    """
    left = [np.atleast_2d(x - reference) for x in (predicted, true)]
    found = correlation(left[0].T, left[1].T)
    return found if np.ndim(predicted) > 1 else float(found[0])


@metric(
    "mrrmse",
    takes="effects",
    better="lower",
    per="condition",
    scale="any, the same for all conditions; Open Problems took signed -log10 p values",
    formula="mean over conditions of the root of the mean squared error over features",
    source="Szalata et al., Open Problems: perturbation prediction, NeurIPS 2024 (MRRMSE)",
    fooled_by="no effect at all: where most effects are small, predicting none is hard to beat",
)
def mrrmse(predicted: Array, true: Array) -> float:
    """Mean over conditions of the root mean squared error over features.

    Parameters
    ----------
    predicted, true
        Effects, ``(features,)`` or ``(conditions, features)``.
    """
    return float(np.sqrt(((predicted - true) ** 2).mean(-1)).mean())


@metric(
    "nmae_significant",
    takes="effects, significant",
    better="lower",
    per="condition",
    scale="log fold changes",
    formula="sum |p - t| / sum |t| over features that truly change; 1 is the prediction of no change",
    source="member lfc_nmae of the Virtual Cell Challenge 2026, as in cell-eval2",
    fooled_by="changes that are predicted where there are none, which nobody looks at",
)
def nmae_significant(predicted: Array, true: Array, significant: Mask) -> Array | float:
    """Total absolute error over the total size of the truth, over features that truly change.

    Parameters
    ----------
    predicted, true
        Log fold changes, ``(features,)`` or ``(conditions, features)``. A predicted value that is not finite counts as
        no change.
    significant
        Which features change by the truth alone, same shape.

    Returns
    -------
    Of each condition; NaN where fewer than ten features change.
    """
    told = np.where(np.isfinite(predicted), predicted, 0.0)
    gate = np.asarray(significant, bool) & np.isfinite(true)
    rows = zip(np.atleast_2d(told), np.atleast_2d(true), np.atleast_2d(gate), strict=True)
    found = np.array([nmae(p[g], t[g]) if g.sum() >= FEWEST_SIGNIFICANT and t[g].any() else np.nan for p, t, g in rows])
    return found if np.ndim(true) > 1 else float(found[0])


@metric(
    "pds",
    takes="effects",
    better="higher",
    per="table",
    scale="differences from the controls",
    formula="1 - mid-rank of the true effect among all true ones by cosine with the predicted / (n - 1); .5 is chance",
    source="Wu et al., PerturBench, 2024; perturbation discrimination score of the Virtual Cell Challenge, 2025",
    fooled_by="few conditions; features that are targets, unless they are taken out; conditions that are unlike for "
    "other reasons, as sets of guides with other controls",
)
def discrimination(
    predicted: Array, true: Array, *, distance: Literal["cosine", "euclidean", "manhattan"] = "cosine"
) -> float:
    """Perturbation discrimination score: how well a prediction tells which action it is of; 1 best, .5 chance.

    Every prediction is compared with all true effects; true effects that are as near count half, so predictions that
    are all the same give exactly .5. The mean of all other effects is below .5, since it lacks the one that is asked
    for.

    Parameters
    ----------
    predicted, true
        Effects, ``(conditions, features)``, in one order; without the features that are targets, which give an action
        away.
    distance
        ``"cosine"`` (an effect without length is like none), ``"euclidean"`` or ``"manhattan"``.

    Raises
    ------
    ValueError
        If there are fewer than two conditions, or there is no such distance.
    """
    n = len(true)
    if n < 2 or len(predicted) != n:
        raise ValueError(f"Effects of the same two or more conditions are needed, not of {len(predicted)} and {n}.")
    if distance not in ("cosine", "euclidean", "manhattan"):
        raise ValueError(f"distance must be 'cosine', 'euclidean' or 'manhattan', not {distance!r}.")
    length = np.linalg.norm(true, axis=1, keepdims=True)
    every = true / np.where(length > 0, length, 1.0) if distance == "cosine" else true
    before = 0.0
    for i, found in enumerate(predicted):
        if distance == "cosine":
            away = -(every @ found)
        else:
            away = (np.abs(every - found) ** (2 if distance == "euclidean" else 1)).sum(1)
        before += (away < away[i]).sum() + 0.5 * ((away == away[i]).sum() - 1)
    return float(1 - before / (n * (n - 1)))

"""Eq. 5: R, the mean over axes of what is lacking to a replicate, weighed by alpha; and how firm its order is."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scvcell._stats import FEWEST_UNITS, interval
from scvcell.risk._anchor import REPLICATE
from scvcell.risk._columns import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scvcell._types import Array, Mask
    from scvcell.risk._anchor import Bootstrap, Part

SIMPLEX = 4000
"""Weights of axes that are tried, spread evenly over all."""

type Parts = Mapping[tuple[str, str], Part]
"""(Axis, predictor) -> its part of R."""


def check_alpha(alpha: Mapping[str, float] | None, axes: Sequence[str]) -> dict[str, float]:
    """Weights of axes, adding up to 1; by default all axes weigh alike.

    Raises
    ------
    TypeError
        If it is no mapping from names to numbers.
    ValueError
        If a weight is negative or NaN, all are 0, or an axis is unknown or lacks its weight.
    """
    if alpha is None:
        return dict.fromkeys(axes, 1.0 / len(axes))
    if not hasattr(alpha, "items"):
        raise TypeError(f"alpha maps the name of each axis to its weight, e.g. {dict.fromkeys(axes, 1.0)}.")
    for axis, weight in alpha.items():
        if axis not in axes:
            near = get_close_matches(str(axis), axes, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"alpha has a weight of {axis!r}, which is not among the axes {list(axes)}.{hint}")
        if isinstance(weight, bool) or not isinstance(weight, int | float | np.number):
            raise TypeError(f"alpha[{axis!r}] must be a number from 0 on, not {weight!r}.")
        if not (np.isfinite(weight) and weight >= 0):
            raise ValueError(f"alpha[{axis!r}] must be a number from 0 on, not {weight!r}.")
    if lacking := [axis for axis in axes if axis not in alpha]:
        raise ValueError(
            f"alpha lacks the weight of {', '.join(map(repr, lacking))}. A weight of 0 leaves an axis out."
        )
    total = float(sum(alpha.values()))
    if total == 0:
        raise ValueError("alpha is 0 for all axes; give at least one of them a weight.")
    return {axis: float(alpha[axis]) / total for axis in axes}


def total(
    parts: Parts,
    predictors: Sequence[str],
    alpha: Mapping[str, float],
    boot: Bootstrap,
    notes: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Table ``total`` of a report.

    Parameters
    ----------
    parts
        As `scvcell.risk._anchor.summarise` gives them.
    predictors
        Every predictor that was asked.
    alpha
        Weight of each axis, adding up to 1. The weight of an axis without an informative score is shared by the others.
    boot
        How intervals are made.
    notes
        Predictor -> why its risk is not told. It does not compete either.
    """
    told = [axis for axis in alpha if any(axis == each for each, _ in parts)]
    untold = notes or {}
    matrix = np.array([[parts[a, p].risk if (a, p) in parts else np.nan for a in told] for p in predictors])
    rivals = [p not in untold and p != REPLICATE for p in predictors]
    shares = best_share(matrix.reshape(len(predictors), len(told)), np.array(rivals, bool))
    weight = np.array([alpha[axis] for axis in told])
    mute = [axis for axis in alpha if axis not in told and alpha[axis] > 0]
    said = [f"no readout of {', '.join(mute)} can tell predictors apart"] if mute else []
    lines = []
    for predictor, share in zip(predictors, shares, strict=True):
        line: dict[str, Any] = {"predictor": predictor, "risk": np.nan, "lower": np.nan, "upper": np.nan}
        found = {axis: parts[axis, predictor] for axis in told if (axis, predictor) in parts}
        lacking = [axis for axis in told if axis not in found and alpha[axis] > 0]
        why = [untold[predictor]] if predictor in untold else []
        why += [f"no answer along {', '.join(lacking)}"] if lacking else []
        if not why and weight.sum() > 0:
            used = {axis: alpha[axis] / weight.sum() for axis in told if alpha[axis] > 0}
            few = min(found[axis].n for axis in used)
            line["risk"] = float(sum(a * found[axis].risk for axis, a in used.items()))
            draws = np.sum([a * found[axis].draws for axis, a in used.items()], 0)
            line["lower"], line["upper"] = interval(draws, boot.level, few)
            why = [f"t over {few} units"] if few < FEWEST_UNITS else []
            if silent := sum(found[axis].silent for axis in used):
                why.append(f"not answered, and counted as the baseline: {silent} scores")
            if lost := max(found[axis].lost for axis in used):
                why.append(f"not answered, and counted as the baseline: {lost} units")
        lines.append(line | {"best_share": share, "note": "; ".join([*why, *said])})
    out = pd.DataFrame(lines, columns=COLUMNS["total"])
    return out.sort_values(["risk", "predictor"], ignore_index=True)


def refused(leakage: pd.DataFrame, predictors: Sequence[str]) -> dict[str, str]:
    """Predictors whose risk is not told, since a check of leakage is red, and why; a check of no predictor is for all.

    Parameters
    ----------
    leakage
        Table of a report.
    predictors
        Every predictor that was asked.
    """
    red = leakage[leakage["verdict"] == "red"]
    found: dict[str, str] = {}
    for name in predictors:
        mine = red[red["predictor"].isin([name, "", "all"]) | red["predictor"].isna()]
        if len(mine) and name != REPLICATE:
            found[name] = f"not told: leakage ({', '.join(dict.fromkeys(map(str, mine['check'])))})"
    return found


def best_share(risk: Array, rivals: Mask) -> Array:
    """Share of the simplex of weights of axes with which each predictor has the least risk, ``(predictors,)``.

    Parameters
    ----------
    risk
        Risk of each predictor along each axis, ``(predictors, axes)``.
    rivals
        Which predictors compete; those that lack an axis do not. NaN for the others.
    """
    out = np.full(len(risk), np.nan)
    there = np.flatnonzero(rivals & np.isfinite(risk).all(1))
    if not len(there) or not risk.shape[1]:
        return out
    weights = np.random.default_rng(0).dirichlet(np.ones(risk.shape[1]), SIMPLEX)
    value = weights @ risk[there].T
    least = value <= value.min(1, keepdims=True) + 1e-12
    out[there] = (least / least.sum(1, keepdims=True)).mean(0)
    return out

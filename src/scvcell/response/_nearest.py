"""Simple predictions beside the process: what was measured next to a condition, and what others do."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from scvcell.response._conditions import same_targets
from scvcell.response._novelty import COMBINATION, CONTEXT, TIME, novelty

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scvcell._types import Array, Mask
    from scvcell.response._conditions import Conditions


SAME_DISTANCE = 1e-6
"""Difference of distance up to which conditions are equally near."""


def own_and_others(
    asked: Conditions, seen: Conditions, y: Array, shape: Mapping[str, float], noise: Array | None = None
) -> tuple[Array, Array]:
    r"""What conditions do that are nearest to each of `asked`, of its own targets and of all others.

    Own is the effect between the nearest doses or times of the same targets, 0 where none was seen. For a new
    combination it is that of one part after the other in place of all, at the dose of all together (Loewe additivity),

    .. math:: \frac{1}{m} \sum_p y_p\Big(\sum_q d_q\Big)

    with doses as shares of the largest of each target; NaN without doses, or if a part was not seen alone. Where the
    very action was measured it is the mean over contexts, of each feature as far as it is more than its noise,

    .. math:: \bar y\,\max(1 - s^2 / \bar y^2, 0)

    with the sampling variance of that mean. Others is
    the mean of the same over all other targets, of a combination over other combinations; 0 where there are none.

    Parameters
    ----------
    asked, seen
        Conditions.
    y
        Effects of those that were seen, ``(seen, features)``.
    shape
        Over which ratio of doses and times effects stay alike.
    noise
        Sampling variance of `y`; none is taken out without it.

    Returns
    -------
    Both, ``(asked, features)``.

    References
    ----------
    Loewe, The problem of synergism and antagonism of combined drugs, Arzneimittelforschung 1953.
    """
    same, among = same_targets(asked, seen), same_targets(seen, seen)
    group = np.unique(among.argmax(1), return_inverse=True)[1]
    sets = group == np.arange(group.max() + 1)[:, None]
    combined = np.array([(seen.exposure[members.argmax()] > 0).sum() > 1 for members in sets])
    own, others = (np.zeros((len(asked), y.shape[1])) for _ in range(2))
    if asked.related is not None:
        same[asked.related] = False
    for i, shift in enumerate(novelty(asked, seen)):
        unit, axis = asked.take([i]), "time" if shift in TIME else "dose"
        weights = _between(unit, seen, sets, shape, axis)
        of_sets = weights @ y
        mine = np.unique(group[same[i]])
        pool = combined if shift == COMBINATION else np.ones(len(sets), bool)
        pool[mine] = False
        own[i] = _one_for_all(unit, seen, sets, shape, y) if shift == COMBINATION else of_sets[mine].sum(0)
        if noise is not None and shift in ("", CONTEXT) and len(mine):
            own[i] = _more_than(own[i], weights[mine].sum(0) ** 2 @ noise)
        others[i] = of_sets[pool].mean(0) if pool.any() else 0
    return own, others


def _more_than(mean: Array, variance: Array) -> Array:
    """A mean of each feature as far as it is more than its sampling variance tells (positive part)."""
    return mean * np.maximum(1 - variance / np.maximum(mean**2, 1e-12), 0)  # type: ignore[no-any-return]


def _one_for_all(unit: Conditions, seen: Conditions, sets: Mask, shape: Mapping[str, float], y: Array) -> Array:
    """Mean effect of each part of a combination alone, at the dose of all."""
    parts = np.flatnonzero(unit.exposure[0])
    found = []
    for part in parts if unit.level.any() else ():
        only = np.arange(unit.exposure.shape[1]) == part
        total = np.log(np.exp(unit.level[0, parts]).sum())
        alone = replace(unit, exposure=1.0 * only[None], level=total * only[None])
        members = sets[sets[:, same_targets(alone, seen)[0]].any(1)]
        if len(members):
            found.append((_between(alone, seen, members, shape, "dose") @ y)[0])
    return np.mean(found, 0) if len(found) == len(parts) else np.full(y.shape[1], np.nan)  # type: ignore[no-any-return]


def _between(unit: Conditions, seen: Conditions, sets: Mask, shape: Mapping[str, float], axis: str) -> Array:
    """Weights of the conditions of each set that are nearest to a unit on either side, ``(sets, seen)``."""
    dose, time = seen.mean_level - unit.mean_level, seen.time - unit.time
    apart = np.hypot(dose / shape["dose reach"], time / shape["time reach"])
    above = (time if axis == "time" else dose) > 0
    weight = np.zeros(sets.shape)
    for side in (sets & above, sets & ~above):
        nearest = np.where(side, apart, np.inf).min(1, keepdims=True)
        chosen = side & (apart <= nearest + SAME_DISTANCE)
        weight += chosen / np.maximum(chosen.sum(1, keepdims=True), 1) / np.maximum(nearest, SAME_DISTANCE)
    return weight / weight.sum(1)[:, None]  # type: ignore[no-any-return]

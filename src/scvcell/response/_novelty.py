"""How a condition is new: another dose or time of its targets, a new target or combination, or another context."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.distance import cdist

from scvcell.response._conditions import same_targets
from scvcell.response._kernels import CONTEXT_LENGTH, spread_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scvcell._types import Array, Mask, Rows
    from scvcell.response._conditions import Conditions

DOSE = ("higher dose", "lower dose", "dose between")
TIME = ("later", "earlier", "time between")
TARGET, COMBINATION = "new target", "new combination"
NOVELTIES = (*DOSE, *TIME, TARGET, COMBINATION)
"""Every way in which an action can be new."""
CONTEXT = "new context"
REGIMES = (*NOVELTIES, CONTEXT)
"""Every way in which a condition can be new: a known action may still be far from where it was measured."""
LEAST_LIKENESS = 0.5
"""Likeness of contexts below which one is new."""
SAME_LOG_DOSE = 1e-3
"""Difference of logs up to which doses or times are the same."""


def novelty(units: Conditions, seen: Conditions) -> list[str]:
    """How each of some units is new, one of `REGIMES`; empty where it is not."""
    found = []
    same_as = same_targets(units, seen)
    far = _far(units, seen, same_as)
    for i, same in enumerate(same_as):
        if units.related is not None and units.related[i]:
            found.append(TARGET)
            continue
        if not same.any() and (units.exposure[i] > 0).sum() > 1:
            found.append(COMBINATION)
            continue
        kinds = [
            _side(value[i], known[same], names)
            for value, known, names in (
                (units.mean_level, seen.mean_level, DOSE),
                (units.time, seen.time, TIME),
            )
            if same.any()
        ]
        found.append(next(filter(None, kinds), CONTEXT if far[i] else ""))
    return found


def _far(units: Conditions, seen: Conditions, same: Mask) -> Mask:
    """Whether units are unlike all contexts in which their targets were measured, of several, ``(units,)``."""
    spread = spread_of(seen.place)
    if not spread:
        return np.zeros(len(units), bool)
    apart = np.where(same, cdist(units.place, seen.place, "sqeuclidean"), np.inf).min(1, initial=np.inf)
    return np.isfinite(apart) & (np.exp(-apart / (CONTEXT_LENGTH * spread)) < LEAST_LIKENESS)  # type: ignore[no-any-return]


def _side(value: float, known: Array, names: tuple[str, ...]) -> str:
    above, below, between = names
    if (np.abs(known - value) <= SAME_LOG_DOSE).any():
        return ""
    return above if value > known.max() else below if value < known.min() else between


def hidden(units: Conditions, shift: str) -> Iterator[Rows]:
    """Conditions to leave out, so that what is left out is new in one way: one array for each set of targets.

    Parameters
    ----------
    units
        Conditions.
    shift
        The way, one of `REGIMES`. Of a dose or time between others one inner value is taken, in turn over the sets. Of
        contexts each is left out, with those of its conditions that another one has as well.
    """
    given = units.exposure > 0
    if shift == CONTEXT:
        yield from _contexts(units)
        return
    if shift == TARGET:
        yield from (np.flatnonzero(mine) for mine in given.T if mine.any())
        return
    same = same_targets(units, units)
    sets = [np.flatnonzero(same[first]) for first in np.flatnonzero(same.argmax(1) == np.arange(len(units)))]
    if shift == COMBINATION:
        for mine in sets:
            parts, others = given[mine[0]], np.delete(given, mine, 0)
            if parts.sum() > 1 and others.any(0)[parts].all():
                yield mine
        return
    value = units.mean_level if shift in DOSE else units.time
    for number, mine in enumerate(sets):
        known = np.unique(np.round(value[mine] / SAME_LOG_DOSE))
        left = {"higher": known[1:][-1:], "later": known[1:][-1:], "lower": known[:-1][:1], "earlier": known[:-1][:1]}
        inner = known[1:-1]
        chosen = left.get(shift.split()[0], inner[number % max(len(inner), 1) :][:1])
        if len(chosen):
            yield mine[np.round(value[mine] / SAME_LOG_DOSE) == chosen[0]]


def _contexts(units: Conditions) -> Iterator[Rows]:
    """Conditions of each context that others have as well."""
    _, first, number = np.unique(units.place, axis=0, return_index=True, return_inverse=True)
    number = np.argsort(np.argsort(first))[number.ravel()]
    action = np.round(np.column_stack([units.exposure, units.level, units.time]) / SAME_LOG_DOSE)
    _, kind = np.unique(action, axis=0, return_inverse=True)
    pairs = np.unique(np.column_stack([kind.ravel(), number]), axis=0)
    elsewhere = np.bincount(pairs[:, 0])[kind.ravel()] > 1
    for context in range(number.max(initial=-1) + 1):
        mine = np.flatnonzero((number == context) & elsewhere)
        if len(mine):
            yield mine

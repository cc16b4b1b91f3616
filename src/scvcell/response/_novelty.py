"""How a condition is new: another dose or time of its targets, a target never perturbed, or a new combination."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scvcell.response._conditions import same_targets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scvcell._types import Array, Rows
    from scvcell.response._conditions import Conditions

DOSE = ("higher dose", "lower dose", "dose between")
TIME = ("later", "earlier", "time between")
TARGET, COMBINATION = "new target", "new combination"
NOVELTIES = (*DOSE, *TIME, TARGET, COMBINATION)
"""Every way in which a condition can be new."""
SAME_LOG_DOSE = 1e-3
"""Difference of logs up to which doses or times are the same."""


def novelty(units: Conditions, seen: Conditions) -> list[str]:
    """How each of some units is new, one of `NOVELTIES`; empty where it is not."""
    found = []
    for i, same in enumerate(same_targets(units, seen)):
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
        found.append(next(filter(None, kinds), ""))
    return found


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
        The way, one of `NOVELTIES`. Of a dose or time between others one inner value is taken, in turn over the sets.
    """
    given = units.exposure > 0
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

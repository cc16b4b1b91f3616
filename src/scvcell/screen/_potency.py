"""Targets that were given at several doses, and the cells at each."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from scvcell._types import Array, Rows
    from scvcell.response import Contrast

FEWEST_DOSES = 3


class Curve(NamedTuple):
    """Controls, then the cells at each dose, of one target in one context at one time."""

    target: str
    context: int
    time: float | None
    doses: Array
    cells: list[Rows]


def curves_of(units: list[Contrast]) -> list[Curve]:
    """Every target that was given alone at enough doses."""
    found: dict[tuple[str, int, float | None], dict[float, Contrast]] = {}
    for unit in units:
        alone = len(unit.action.pulses) == 1 and not unit.action.scheduled
        if alone and unit.enough:
            (pulse,) = unit.action.pulses
            if pulse.dose is not None:
                found.setdefault((pulse.target, unit.context, unit.action.time), {})[pulse.dose] = unit
    return [
        Curve(
            *key,
            np.array(sorted(doses)),
            [next(iter(doses.values())).controls, *(doses[d].treated for d in sorted(doses))],
        )
        for key, doses in sorted(found.items(), key=lambda item: tuple(map(str, item[0])))
        if len(doses) >= FEWEST_DOSES
    ]

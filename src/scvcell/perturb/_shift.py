"""How a condition is new beside those that were seen of the same targets: another dose, another time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from scvcell.perturb._anchor import Units

SHIFTS = ("higher dose", "lower dose", "dose between", "later", "earlier", "time between")
"""Every way in which a condition can be new, those of doses first."""
CLOSE = 1e-3
"""Difference of logs up to which doses or times are the same."""


def same_targets(a: Units, b: Units) -> NDArray[np.bool_]:
    """Whether two conditions have the same targets, ``(a, b)``."""
    return ((a.exposure > 0)[:, None] == (b.exposure > 0)[None]).all(-1)


def shifts(units: Units, seen: Units) -> list[str]:
    """How each of some units is new, one of `SHIFTS`; empty where dose and time were seen, or its targets were not."""
    found = []
    for i, same in enumerate(same_targets(units, seen)):
        kinds = [
            _side(value[i], known[same], names)
            for value, known, names in (
                (units.mean_level, seen.mean_level, SHIFTS[:3]),
                (units.time, seen.time, SHIFTS[3:]),
            )
            if same.any()
        ]
        found.append(next(filter(None, kinds), ""))
    return found


def _side(value: float, known: NDArray[np.floating], names: tuple[str, ...]) -> str:
    above, below, between = names
    if (np.abs(known - value) <= CLOSE).any():
        return ""
    return above if value > known.max() else below if value < known.min() else between


def hidden(units: Units, shift: str) -> Iterator[NDArray[np.int64]]:
    """For every set of targets, the units without which they would be new in that way."""
    value = units.mean_level if shift in SHIFTS[:3] else units.time
    same = same_targets(units, units)
    for first in np.flatnonzero(same.argmax(1) == np.arange(len(units))):
        mine = np.flatnonzero(same[first])
        known = np.unique(np.round(value[mine] / CLOSE))
        left = {"higher": known[1:][-1:], "later": known[1:][-1:], "lower": known[:-1][:1], "earlier": known[:-1][:1]}
        chosen = left.get(shift.split()[0], known[1:-1][:1])
        if len(chosen):
            yield mine[np.round(value[mine] / CLOSE) == chosen[0]]

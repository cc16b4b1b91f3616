"""Conditions: what was done in which context, as numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from scvcell._types import Array, Mask
    from scvcell.perturb import Action, AffineFlow
    from scvcell.prior import TargetKernel

LEAST_SHARE = 1e-12
"""Share of the largest dose or time below which one counts as this, so that it has a logarithm."""


@dataclass(frozen=True, eq=False, repr=False)
class Conditions:
    """Conditions: what was done in which context.

    Attributes
    ----------
    exposure
        Which targets were given, ``(units, targets)``; of an unseen target, how much of each known one.
    level
        Log dose of every target as a share of the largest, 0 where it was not given, same shape.
    time
        Log of the time as a share of the longest, ``(units,)``.
    place
        Mean state of the context's controls, ``(units, latent)``.
    related
        Whether a target was never perturbed and acts as known ones do, ``(units,)``; None where none was.
    """

    exposure: Array
    level: Array
    time: Array
    place: Array
    related: Mask | None = None

    def __repr__(self) -> str:
        return f"{len(self)} conditions of {self.exposure.shape[1]} targets."

    def __len__(self) -> int:
        return len(self.exposure)

    def take(self, rows: NDArray[np.integer] | list[int]) -> Conditions:
        """Some of the units."""
        related = None if self.related is None else self.related[rows]
        return Conditions(self.exposure[rows], self.level[rows], self.time[rows], self.place[rows], related)

    @property
    def mean_level(self) -> Array:
        """Mean log dose of what was given, ``(units,)``."""
        given = self.exposure > 0
        return (self.level * given).sum(1) / np.maximum(given.sum(1), 1)  # type: ignore[no-any-return]


def same_targets(a: Conditions, b: Conditions) -> Mask:
    """Whether two conditions have the same targets, ``(a, b)``."""
    return ((a.exposure > 0)[:, None] == (b.exposure > 0)[None]).all(-1)


def measured_row(units: Conditions, unit: Conditions) -> int | None:
    """Row of the condition that `unit` is: the same action, measured in the context that is nearest of all."""
    same = np.ones(len(units), dtype=bool)
    for name in ("exposure", "level", "time"):
        gap = np.abs(np.asarray(getattr(units, name)) - np.asarray(getattr(unit, name)))
        same &= gap.reshape(len(units), -1).max(1, initial=0.0) < 1e-6
    apart = np.square(units.place - unit.place).sum(1)
    here = same & (apart <= apart.min() + 1e-9)
    return int(np.flatnonzero(here)[0]) if here.any() else None


def describe(flow: AffineFlow, actions: Sequence[Action], places: Array) -> Conditions:
    """Conditions by targets, doses, time and place."""
    n = len(flow.targets)
    exposure, level, time = np.zeros((len(actions), n)), np.zeros((len(actions), n)), np.zeros(len(actions))
    for i, action in enumerate(actions):
        pieces = flow.pieces(action)
        total = sum(piece.duration for piece in pieces) or 1.0
        for piece in pieces:
            for target in piece.doses:
                exposure[i] += piece.duration / total * flow.shares(target).numpy()
        for p in action.pulses:
            if p.target in flow.targets and p.dose is not None:
                level[i, flow.targets.index(p.target)] = np.log(max(flow.share(p.target, p.dose), 1e-6))
        if action.time and flow.span:
            time[i] = np.log(max(action.time / flow.span, 1e-6))
    related = np.array([any(target not in flow.targets for target in action.targets) for action in actions], bool)
    return Conditions(exposure, level, time, np.asarray(places, dtype=float), related)


def of_actions(actions: Sequence[Action], targets: Sequence[str]) -> Conditions:
    """Conditions by targets, doses and times alone, relative to the largest of these; an unknown one counts as it."""
    dose = np.array([[action.doses.get(t) or np.nan for t in targets] for action in actions], float)
    given = np.array([[t in action.targets for t in targets] for action in actions], float)
    time = np.array([np.nan if action.time is None else action.time for action in actions], float)
    level, times = (np.log(np.maximum(x / _largest(x), LEAST_SHARE)) for x in (dose, time[:, None]))
    return Conditions(given, np.nan_to_num(level), np.nan_to_num(times[:, 0]), np.zeros((len(actions), 1)))


def _largest(x: Array) -> Array:
    """Largest known number of each column, 1 where none is known."""
    return np.where(np.isnan(x).all(0), 1.0, np.nan_to_num(x).max(0))  # type: ignore[no-any-return]


def unrelated(flow: AffineFlow, action: Action, kernel: TargetKernel | None) -> str | None:
    """Relate the targets of an action that a flow does not know to those that it does; the first that cannot be."""
    for target in action.targets:
        if flow.knows(target):
            continue
        weights = None if kernel is None else kernel.weights(target, flow.targets)
        if weights is None:
            return target
        flow.relate(target, weights)
    return None

"""How far an action lies beyond the doses and times of training, and what is refused or held back for it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from scvcell.errors import OutOfSupport

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from scvcell.perturb import Action

STEP = 3.0
"""Ratio between the two largest doses, or times, where training tells of one only."""
CLOSE = 1.2
"""Ratio below which two doses, or times, are one that was measured twice."""
NEW_COMBINATION = 0.8
"""Share of the support that is left where targets were never given together."""
AT_ONE_STEP = 0.55
"""Share of the support that is left one step beyond the largest; it falls with the square of the number of steps."""


class Reach:
    """Largest doses and longest time of training, and one step beyond them.

    Parameters
    ----------
    actions
        Actions in training.
    largest
        Largest dose of each target.
    span
        Longest time, None where no times were given.
    """

    def __init__(self, actions: Sequence[Action], largest: Mapping[str, float], span: float | None) -> None:
        self.largest, self.span = dict(largest), span
        self.timed = span is not None or any(action.scheduled for action in actions)
        self.targets = {target for action in actions for target in action.targets}
        self.seen = {frozenset(action.targets) for action in actions}
        given: dict[str, set[float]] = {}
        for pulse in (pulse for action in actions for pulse in action.pulses):
            if pulse.dose is not None:
                given.setdefault(pulse.target, set()).add(pulse.dose)
        self.smallest = {target: min(filter(None, doses), default=0.0) for target, doses in given.items()}
        own = {target: _last_step(doses) for target, doses in given.items()}
        told = [step for step in own.values() if step is not None]
        usual = float(np.median(told)) if told else STEP
        self.step = {target: own.get(target) or usual for target in self.largest}
        self.time_step = _last_step({action.time for action in actions if action.time is not None}) or STEP

    def check(self, action: Action) -> None:
        """Refuse times, schedules and doses where training had none.

        Raises
        ------
        OutOfSupport
            Saying what training lacks.
        """
        if not self.timed and (action.time is not None or action.scheduled):
            raise OutOfSupport(
                f"{str(action)!r} has a time or a schedule, but training had none, so nothing can be said of when. "
                "Leave it out, or fit with PerturbationKeys(time=...)."
            )
        for pulse in action.pulses:
            known = pulse.target in self.largest or (self.largest and pulse.target not in self.targets)
            if pulse.dose is not None and not known:
                raise OutOfSupport(
                    f"{str(action)!r} has a dose of {pulse.target!r}, but training had none of it, so nothing can be "
                    "said of how much. Leave it out, or fit with PerturbationKeys(dose=...)."
                )

    def together(self, action: Action) -> bool:
        """Whether training has these targets together, or there is one only."""
        return len(action.targets) < 2 or frozenset(action.targets) in self.seen

    def beyond(self, action: Action) -> float:
        """Steps by which an action lies beyond training, of the dose or time that lies farthest; 0 within it."""
        steps = [0.0]
        for pulse in action.pulses:
            largest = self.largest.get(pulse.target)
            if pulse.dose and largest:
                steps.append(math.log(pulse.dose / largest) / math.log(self.step[pulse.target]))
        if action.time and self.span:
            steps.append(math.log(action.time / self.span) / math.log(self.time_step))
        return max(steps)

    def share(self, action: Action) -> float:
        """Share of the support that is left, from 1 within training to 0."""
        return AT_ONE_STEP ** (self.beyond(action) ** 2)

    def raised(self, action: Action) -> Action:
        """The action with no dose below the smallest: what lies between that and nothing is known as well."""
        pulses = [
            p._replace(dose=max(p.dose, self.smallest[p.target])) if p.dose and p.target in self.smallest else p
            for p in action.pulses
        ]
        return action.of(pulses, action.time)

    def held(self, action: Action) -> Action:
        """The action with doses and time at most one step beyond training: there effects stop growing."""
        if self.beyond(action) <= 1:
            return action
        pulses = [
            p
            if p.dose is None or p.target not in self.largest
            else p._replace(dose=min(p.dose, self.largest[p.target] * self.step[p.target]))
            for p in action.pulses
        ]
        if self.span is None or action.time is None:
            return action.of(pulses, action.time)
        end = self.span * self.time_step
        cut = [p._replace(start=min(p.start, end), stop=None if p.stop is None else min(p.stop, end)) for p in pulses]
        return action.of(cut, min(action.time, end))


def _last_step(values: Iterable[float]) -> float | None:
    """Ratio of the largest value to the next one that is not nearly the same; None where there is none above 0."""
    largest = max(values := [value for value in values if value > 0], default=0.0)
    return largest / max((value for value in values if value * CLOSE < largest), default=math.inf) or None

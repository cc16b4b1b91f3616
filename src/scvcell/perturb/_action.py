"""Actions: what is done to cells, at which dose, from when to when."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple


class Pulse(NamedTuple):
    """One target held at one dose for a while.

    Attributes
    ----------
    target
        Name of the drug, gene or ligand.
    dose
        Dose in the unit of the data; None is the dose at which the target was given in training.
    start, stop
        From when to when; a `stop` of None is the end of the action.
    """

    target: str
    dose: float | None = None
    start: float = 0.0
    stop: float | None = None


@dataclass(frozen=True, init=False)
class Action:
    """What is done to a cell: targets with doses, together or one after the other.

    Parameters
    ----------
    targets
        ``"A"``, ``"A+B"``, a list of names, or a mapping from target to dose. Empty: nothing is done.
    time
        When the cells are looked at, in the unit of the data; None is the time at which they were in training.
    separator
        What stands between targets in a string.

    Raises
    ------
    ValueError
        If a dose or time is negative or no number, a target is named twice, or a name is empty.

    Examples
    --------
    >>> Action("STAT1+IRF1")
    Action('STAT1+IRF1')
    >>> Action({"trametinib": 0.1, "vemurafenib": 1.0}, time=24)
    Action('trametinib 0.1 + vemurafenib 1, until 24')
    """

    pulses: tuple[Pulse, ...]
    time: float | None

    def __init__(
        self,
        targets: str | Iterable[str] | Mapping[str, float | None] = (),
        time: float | None = None,
        *,
        separator: str = "+",
    ) -> None:
        if isinstance(targets, str):
            targets = [part.strip() for part in targets.split(separator)] if targets else []
        doses = dict(targets) if isinstance(targets, Mapping) else dict.fromkeys(names := list(targets))
        if not isinstance(targets, Mapping) and len(doses) < len(names):
            raise ValueError(f"An action names a target twice: {names}. Name each once; doses go in a mapping.")
        self._set(tuple(Pulse(name, dose) for name, dose in doses.items()), time)

    @classmethod
    def schedule(cls, pulses: Iterable[tuple[str, float | None, float, float]], *, time: float | None = None) -> Action:
        """Targets given at different times: an iterable of ``(target, dose, start, stop)``.

        Parameters
        ----------
        pulses
            One entry per target and period.
        time
            When the cells are looked at; the end of the last period by default.

        Raises
        ------
        ValueError
            If a period is reversed, or one target has two periods that overlap.

        Examples
        --------
        >>> Action.schedule([("A", 1.0, 0, 6), ("B", 1.0, 6, 12)])
        Action('A 1 from 0 to 6, B 1 from 6 to 12, until 12')
        """
        made = [Pulse(*entry) for entry in pulses]
        if not made:
            raise ValueError("A schedule needs at least one (target, dose, start, stop).")
        for pulse in made:
            _number("start", pulse.start)
            _number("stop", pulse.stop)
            if pulse.stop is None or pulse.stop <= pulse.start:
                raise ValueError(
                    f"{pulse.target!r} is to start at {pulse.start} and to stop at {pulse.stop}; it must stop later."
                )
        ordered = sorted(made, key=lambda pulse: (pulse.start, pulse.target))
        for index, pulse in enumerate(ordered):
            for later in ordered[index + 1 :]:
                if later.target == pulse.target and later.start < (pulse.stop or 0):
                    raise ValueError(
                        f"{pulse.target!r} is given from {pulse.start} to {pulse.stop} and again from {later.start}; "
                        "periods of one target must not overlap."
                    )
        end = max(pulse.stop or 0.0 for pulse in made)
        if time is not None and _number("time", time) < end:
            raise ValueError(f"time={time} lies before the end of the schedule at {end}.")
        return cls._of(ordered, end if time is None else time)

    @classmethod
    def _of(cls, pulses: Iterable[Pulse], time: float | None) -> Action:
        """The action of some pulses."""
        action = cls.__new__(cls)
        action._set(tuple(pulses), time)
        return action

    def _set(self, pulses: tuple[Pulse, ...], time: float | None) -> None:
        for pulse in pulses:
            if not isinstance(pulse.target, str) or not pulse.target.strip():
                raise ValueError(f"A target must be a name, not {pulse.target!r}.")
            if pulse.dose is not None:
                _number(f"The dose of {pulse.target!r}", pulse.dose)
        if time is not None:
            _number("time", time)
        # A dose of zero is no action, wherever it stands.
        object.__setattr__(self, "pulses", tuple(p for p in pulses if p.dose is None or p.dose > 0))
        object.__setattr__(self, "time", None if time is None else float(time))

    @property
    def targets(self) -> tuple[str, ...]:
        """Targets in the order in which they are given."""
        return tuple(dict.fromkeys(pulse.target for pulse in self.pulses))

    @property
    def doses(self) -> dict[str, float | None]:
        """Dose of every target; of one that is given twice, the last."""
        return {pulse.target: pulse.dose for pulse in self.pulses}

    @property
    def scheduled(self) -> bool:
        """Whether a target starts late or stops early."""
        return any(pulse.start > 0 or pulse.stop is not None for pulse in self.pulses)

    def as_dict(self) -> dict[str, object]:
        """Plain values, for `from_dict`."""
        return {"pulses": [list(pulse) for pulse in self.pulses], "time": self.time}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Action:
        """Inverse of `as_dict`."""
        return cls._of((Pulse(*entry) for entry in plain["pulses"]), plain["time"])

    def __add__(self, other: Action) -> Action:
        """Both at once."""
        if not isinstance(other, Action):
            return NotImplemented
        twice = set(self.targets) & set(other.targets)
        if twice:
            raise ValueError(f"Both actions give {sorted(twice)[0]!r}; write its dose once.")
        return self._of(self.pulses + other.pulses, self.time if other.time is None else other.time)

    def __str__(self) -> str:
        """As a user would say it."""
        if not self.pulses:
            return "control"

        def named(pulse: Pulse) -> str:
            return pulse.target if pulse.dose is None else f"{pulse.target} {pulse.dose:g}"

        if self.scheduled:
            text = ", ".join(
                f"{named(p)} from {p.start:g}" + (f" to {p.stop:g}" if p.stop else "") for p in self.pulses
            )
        else:
            plain = all(pulse.dose is None for pulse in self.pulses)
            text = ("+" if plain else " + ").join(map(named, self.pulses))
        return text if self.time is None else f"{text}, until {self.time:g}"

    def __repr__(self) -> str:
        return f"Action({str(self)!r})"


def _number(what: str, value: object) -> float:
    """A finite number that is not negative."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise ValueError(f"{what} must be a number, not {value!r}.") from None
    if not math.isfinite(number) or number < 0:
        raise ValueError(f"{what} must be a number from 0 on, not {value!r}.")
    return number


def as_action(action: str | Mapping[str, float | None] | Action) -> Action:
    """What the verbs accept for an action: an `Action`, or what makes one."""
    return action if isinstance(action, Action) else Action(action)

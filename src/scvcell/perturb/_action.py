"""Actions: what is done to cells, at which dose, from when to when."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from scvcell.perturb import _dose


class Pulse(NamedTuple):
    """One target held at one dose for a while.

    Attributes
    ----------
    target
        Name of the drug, gene or ligand.
    dose
        Dose; None is the largest at which the target was given in training.
    start, stop
        From when to when; a `stop` of None is the end of the action.
    unit
        Unit of the dose; none is the unit of the data.
    """

    target: str
    dose: float | None = None
    start: float = 0.0
    stop: float | None = None
    unit: str = ""


@dataclass(frozen=True, init=False)
class Action:
    """What is done to a cell: targets with doses, together or one after the other.

    Targets that are given together are a set: ``"A+B"`` is ``"B+A"``. Numbers count to six digits.

    Parameters
    ----------
    targets
        ``"A"``, ``"A+B"``, a list of names, or a mapping from target to dose. Empty: nothing is done. A dose is a
        number in the unit that the target had in the data of the fit, or text with its unit (``"10 uM"``), which is
        converted (pM to M, pg/ml to g/l); one that is None or not given is the largest of that target in training.
    time
        When the cells are looked at, in the unit of the data; None is the longest time in training.
    separator
        What stands between targets in a string.

    Raises
    ------
    TypeError
        If `targets` are none of these.
    ValueError
        If a dose or time is negative or no number, a target is named twice, or a name is empty.

    Examples
    --------
    >>> Action("STAT1+IRF1")
    Action('STAT1+IRF1')
    >>> Action({"trametinib": 0.1, "vemurafenib": 1.0}, time=24)
    Action('trametinib 0.1 + vemurafenib 1, until 24')
    >>> Action({"trametinib": "100 nM"})
    Action('trametinib 100 nM')
    """

    pulses: tuple[Pulse, ...]
    time: float | None

    def __init__(
        self,
        targets: str | Iterable[str] | Mapping[str, float | str | None] = (),
        time: float | None = None,
        *,
        separator: str = "+",
    ) -> None:
        if isinstance(targets, str):
            targets = targets.split(separator) if targets else []
        if not isinstance(targets, Iterable):
            raise TypeError(
                "An action is text such as 'A+B', a list of targets, a mapping from target to dose, or an "
                f"scvcell.Action, not {targets!r}."
            )
        given = targets.items() if isinstance(targets, Mapping) else [(name, None) for name in targets]
        pulses = [Pulse(name.strip() if isinstance(name, str) else name, dose) for name, dose in given]  # type: ignore[arg-type]
        names = [pulse.target for pulse in pulses]
        if len(set(map(repr, names))) < len(names):
            raise ValueError(f"An action names a target twice: {names}. Name each once; doses go in a mapping.")
        self._set(pulses, time)

    @classmethod
    def schedule(
        cls, pulses: Iterable[tuple[str, float | str | None, float, float] | Pulse], *, time: float | None = None
    ) -> Action:
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
        made = [_checked(Pulse(*entry)) for entry in pulses]  # type: ignore[arg-type]
        if not made:
            raise ValueError("A schedule needs at least one (target, dose, start, stop).")
        for pulse in made:
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
        if time is not None and _dose.number("time", time) < end:
            raise ValueError(f"time={time} lies before the end of the schedule at {end}.")
        return cls.of(ordered, end if time is None else time)

    @classmethod
    def of(cls, pulses: Iterable[Pulse], time: float | None) -> Action:
        """The action of some pulses."""
        action = cls.__new__(cls)
        action._set(pulses, time)
        return action

    def _set(self, pulses: Iterable[Pulse], time: float | None) -> None:
        made = map(_checked, pulses)
        # A dose of zero is no action, wherever it stands; targets that start together are a set.
        kept = sorted((p for p in made if p.dose is None or p.dose > 0), key=lambda p: (p.start, p.target))
        object.__setattr__(self, "pulses", tuple(kept))
        object.__setattr__(self, "time", None if time is None else _dose.number("time", time))

    @property
    def targets(self) -> tuple[str, ...]:
        """Targets, in the order in which they start and then by name."""
        return tuple(dict.fromkeys(pulse.target for pulse in self.pulses))

    @property
    def doses(self) -> dict[str, float | None]:
        """Dose of every target; of one that is given twice, the last."""
        return {pulse.target: pulse.dose for pulse in self.pulses}

    @property
    def scheduled(self) -> bool:
        """Whether a target starts late or stops early."""
        return any(pulse.start > 0 or pulse.stop is not None for pulse in self.pulses)

    def alone(self, target: str) -> Action:
        """What is done with one of the targets."""
        return self.of((pulse for pulse in self.pulses if pulse.target == target), self.time)

    def without(self, targets: Collection[str]) -> Action:
        """The same action without some of the targets."""
        return self.of((pulse for pulse in self.pulses if pulse.target not in targets), self.time)

    def in_units(self, units: Mapping[str, str]) -> Action:
        """The same action with the dose of each target in its unit of `units`; a plain number is taken to be in it.

        Raises
        ------
        ValueError
            If a dose has a unit that cannot be converted.
        """
        return self.of((_converted(pulse, units) for pulse in self.pulses), self.time)

    def filled(self, largest: Mapping[str, float], units: Mapping[str, str], span: float | None) -> Action:
        """The same action with the doses, in `units`, and the time that stand for those which are not given."""
        pulses = [
            p._replace(dose=largest[p.target], unit=units.get(p.target, ""))
            if p.dose is None and p.target in largest
            else p
            for p in self.pulses
        ]
        return self.of(pulses, span if self.time is None and pulses else self.time)

    def as_dict(self) -> dict[str, object]:
        """Plain values, for `from_dict`."""
        return {"pulses": [list(pulse) for pulse in self.pulses], "time": self.time}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Action:
        """Inverse of `as_dict`."""
        return cls.of((Pulse(*entry) for entry in plain["pulses"]), plain["time"])

    def __add__(self, other: Action) -> Action:
        """Both at once."""
        if not isinstance(other, Action):
            return NotImplemented
        twice = set(self.targets) & set(other.targets)
        if twice:
            raise ValueError(f"Both actions give {sorted(twice)[0]!r}; write its dose once.")
        return self.of(self.pulses + other.pulses, self.time if other.time is None else other.time)

    def __str__(self) -> str:
        """As a user would say it."""
        if not self.pulses:
            return "control"

        def named(pulse: Pulse) -> str:
            return pulse.target if pulse.dose is None else f"{pulse.target} {_dose.written(pulse.dose, pulse.unit)}"

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


def _checked(pulse: Pulse) -> Pulse:
    """A pulse whose numbers are numbers, its dose without the unit."""
    target, dose, start, stop, unit = pulse
    if not isinstance(target, str) or not target.strip():
        raise ValueError(f"A target must be a name, not {target!r}.")
    if dose is not None:
        dose, own = _dose.dose(f"The dose of {target!r}", dose)
        unit = own or unit
    stop = None if stop is None else _dose.number("stop", stop)
    return Pulse(target, dose, _dose.number("start", start), stop, "" if dose is None else unit)


def _converted(pulse: Pulse, units: Mapping[str, str]) -> Pulse:
    target, dose, unit = pulse.target, pulse.dose, pulse.unit
    if dose is None or unit == units.get(target, ""):
        return pulse
    if not unit:
        return pulse._replace(unit=units[target])
    given = _dose.written(dose, unit)
    if not units.get(target):
        raise ValueError(
            f"The dose of {target!r} is given as {given!r}, but the fit knows no unit of its doses. Give a number."
        )
    try:
        return pulse._replace(dose=_dose.convert(dose, unit, units[target]), unit=units[target])
    except ValueError:
        raise ValueError(
            f"A dose of {target!r} is given as {given!r}, others in {units[target]!r}; give it in that unit."
        ) from None

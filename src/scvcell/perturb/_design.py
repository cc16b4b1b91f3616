"""What was done to which cell: columns of obs read as actions."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scvcell._registry import near_miss
from scvcell.perturb._action import Action

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

FEWEST = 2
"""Cells that a condition needs."""
_DOSE = re.compile(r"\s*([-+0-9.eE]+)\s*(\D*)$")
_MOLAR = {"pM": 1e-12, "nM": 1e-9, "uM": 1e-6, "µM": 1e-6, "μM": 1e-6, "mM": 1e-3, "M": 1.0}


@dataclass(frozen=True)
class PerturbationKeys:
    """Where obs says what was done to each cell.

    Parameters
    ----------
    target
        Column with the names of the targets, joined by `separator`.
    control
        The label, or labels, of untreated cells in that column.
    dose
        Column of doses: a number, a number with its unit (``"0.1 uM"``), or one per target joined by `separator`.
    time
        Column of the time at which cells were taken, numbers in one unit.
    separator
        What stands between targets and between doses.
    schedule
        Column of schedules, each a list of ``(target, dose, start, stop)``, or the same as JSON text, which files can
        hold; such a cell's `target` and `dose` are not read.
    context
        Columns within which treated cells are compared with controls (cell type, line, donor); none compares all.
    """

    target: str
    control: str | tuple[str, ...]
    dose: str | None = None
    time: str | None = None
    separator: str = "+"
    schedule: str | None = None
    context: str | tuple[str, ...] = ()

    @property
    def controls(self) -> tuple[str, ...]:
        """Every control label."""
        return (self.control,) if isinstance(self.control, str) else tuple(self.control)

    @property
    def contexts(self) -> tuple[str, ...]:
        """Every context column."""
        return (self.context,) if isinstance(self.context, str) else tuple(self.context)


@dataclass(frozen=True)
class Design:
    """What was done to which cell.

    Attributes
    ----------
    actions
        Every distinct action but control.
    code
        Of each cell the number of its action; -1 for control, -2 where it is not known, ``(cells,)``.
    contexts
        Names of the contexts.
    context
        Of each cell the number of its context; -1 where it is not known, ``(cells,)``.
    units
        Unit of each target's dose.
    """

    actions: tuple[Action, ...]
    code: NDArray[np.int64]
    contexts: tuple[str, ...]
    context: NDArray[np.int64]
    units: Mapping[str, str]

    @property
    def control(self) -> NDArray[np.bool_]:
        """Untreated cells, ``(cells,)``."""
        return self.code == -1

    @property
    def treated(self) -> NDArray[np.bool_]:
        """Treated cells, ``(cells,)``."""
        return self.code >= 0

    @property
    def targets(self) -> tuple[str, ...]:
        """Every target, sorted."""
        return tuple(sorted({target for action in self.actions for target in action.targets}))


def read_design(keys: PerturbationKeys, column: Callable[[str], pd.Series]) -> Design:
    """Read every cell's action and context.

    Parameters
    ----------
    keys
        Which columns say it.
    column
        Gives a column of the data by name, one entry per cell.

    Raises
    ------
    KeyError
        If there is no such column.
    ValueError
        If no cell is a control or none is treated, a dose or time is no number from 0 on, units are mixed, a
        combination has another number of doses than targets, or a context has treated cells but no control.
    """
    label = column(keys.target)
    known = label.notna().to_numpy()
    label = label.astype(str).str.strip()
    is_control = label.isin(keys.controls).to_numpy() & known
    _check_labels(keys, label[known], is_control[known])
    fields: dict[str, NDArray[Any]] = {"label": label.to_numpy()}
    if keys.dose is not None:
        fields["dose"] = column(keys.dose).to_numpy()
    if keys.time is not None:
        fields["time"] = _times(column(keys.time), keys.time, known)
    if keys.schedule is not None:
        fields["schedule"] = column(keys.schedule).to_numpy()
    treated = np.flatnonzero(known & ~is_control)
    code = np.full(len(label), -2, np.int64)
    code[is_control] = -1
    actions: dict[Action, int] = {}
    units: dict[str, str] = {}
    numbers: dict[tuple[Any, ...], int] = {}
    columns = [values[treated] for values in fields.values()]
    for cell, values in zip(treated, zip(*columns, strict=True), strict=True):
        entry = tuple(map(_plain, values))
        if entry not in numbers:
            action = _action(keys, dict(zip(fields, entry, strict=True)), units)
            numbers[entry] = actions.setdefault(action, len(actions)) if action.pulses else -1
        code[cell] = numbers[entry]
    contexts, context = _contexts(keys, column, len(label))
    _check_design(code, context, contexts, keys)
    return Design(tuple(actions), code, contexts, context, units)


def _check_labels(keys: PerturbationKeys, label: pd.Series, is_control: NDArray[np.bool_]) -> None:
    labels = sorted(label.unique())
    some = ", ".join(map(repr, labels[:8])) + (", ..." if len(labels) > 8 else "")
    for control in keys.controls:
        if control not in labels:
            raise ValueError(
                f"No cell has the control label {control!r} in obs[{keys.target!r}].{near_miss(control, labels)} "
                f"It holds {some}. Give control= as the label of untreated cells."
            )
    if is_control.all():
        raise ValueError(f"Every cell is a control in obs[{keys.target!r}]; there is no perturbation to learn.")


def _plain(value: Any) -> Any:
    """Hashable, None for missing."""
    if isinstance(value, np.ndarray | list | tuple):
        return tuple(tuple(entry) if isinstance(entry, np.ndarray | list | tuple) else entry for entry in value)
    return None if pd.isna(value) else value


def _times(column: pd.Series, name: str, known: NDArray[np.bool_]) -> NDArray[np.float64]:
    times = pd.to_numeric(column.astype(object), errors="coerce").to_numpy(float)
    bad = known & column.notna().to_numpy() & ~(np.isfinite(times) & (times >= 0))
    if bad.any():
        raise ValueError(
            f"obs[{name!r}] must hold times as numbers from 0 on, in one unit; {bad.sum()} cells have others, e.g. "
            f"{column[bad].iloc[0]!r}. Convert them, for example `24` for `'24h'`."
        )
    return times


def _action(keys: PerturbationKeys, entry: dict[str, Any], units: dict[str, str]) -> Action:
    time = entry.get("time")
    time = None if time is None or np.isnan(time) else time
    if entry.get("schedule") is not None:
        return Action.schedule(_periods(entry["schedule"], keys), time=time)
    names = [part.strip() for part in entry["label"].split(keys.separator)]
    names = [name for name in names if name not in keys.controls]
    if "" in names or len(set(names)) < len(names):
        raise ValueError(
            f"obs[{keys.target!r}] holds {entry['label']!r}, which splits at {keys.separator!r} into {names}: a target "
            "is empty or named twice. If the sign belongs to a name, give another separator=."
        )
    if "dose" not in entry:
        return Action(names, time)
    doses = _doses(entry["dose"], names, keys, units)
    return Action(dict(zip(names, doses, strict=True)), time)


def _periods(value: Any, keys: PerturbationKeys) -> list[tuple[Any, ...]]:
    """Entries of a schedule, which may be written as JSON text."""
    try:
        entries = [tuple(entry) for entry in (json.loads(value) if isinstance(value, str) else value)]
    except (TypeError, ValueError):
        entries = []
    if not entries or {len(entry) for entry in entries} != {4}:
        raise ValueError(
            f"obs[{keys.schedule!r}] holds {value!r}; a schedule is a list of (target, dose, start, stop), or the same "
            'as JSON text, for example \'[["A", 1.0, 0, 6], ["B", 1.0, 6, 12]]\'.'
        )
    return entries


def _doses(value: Any, names: list[str], keys: PerturbationKeys, units: dict[str, str]) -> list[float]:
    where = f"obs[{keys.dose!r}]"
    if value is None:
        raise ValueError(f"{where} has no dose for cells treated with {names}; give one, 0 for none.")
    parts = [value] if not isinstance(value, str) else [p.strip() for p in value.split(keys.separator)]
    if len(parts) == 1:
        parts = parts * len(names)
    if len(parts) != len(names):
        raise ValueError(
            f"{where} holds {value!r}, {len(parts)} doses, for the {len(names)} targets {names}; give one per target, "
            f"joined by {keys.separator!r}."
        )
    doses = []
    for name, part in zip(names, parts, strict=True):
        dose, unit = _dose(part, where)
        first = units.setdefault(name, unit)
        if unit != first:
            if unit not in _MOLAR or first not in _MOLAR:
                without = "no unit" if not (unit and first) else f"{unit!r}"
                raise ValueError(
                    f"{where} gives doses of {name!r} in {first or 'no unit'} and in {without}; write them in one unit."
                )
            dose *= _MOLAR[unit] / _MOLAR[first]
        doses.append(float(f"{dose:.12g}"))
    return doses


def _dose(part: Any, where: str) -> tuple[float, str]:
    found = _DOSE.match(str(part))
    try:
        dose = float(found.group(1)) if found else float("nan")
    except ValueError:
        dose = float("nan")
    if not np.isfinite(dose) or dose < 0 or found is None:
        raise ValueError(f"{where} must hold doses from 0 on, as 0.1 or '0.1 uM', not {part!r}.")
    return dose, found.group(2).strip()


def _contexts(
    keys: PerturbationKeys, column: Callable[[str], pd.Series], n: int
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    if not keys.contexts:
        return ("",), np.zeros(n, np.int64)
    frame = pd.DataFrame({name: column(name).to_numpy() for name in keys.contexts})
    known = frame.notna().all(axis=1).to_numpy()
    joined = pd.Series([" ".join(map(str, row)) for row in frame.itertuples(index=False)])
    names = sorted(joined[known].unique())
    code = np.full(n, -1, np.int64)
    code[known] = pd.Categorical(joined[known], names).codes
    return tuple(names), code


def _check_design(
    code: NDArray[np.int64], context: NDArray[np.int64], names: Sequence[str], keys: PerturbationKeys
) -> None:
    if not (code >= 0).any():
        raise ValueError("Every dose is 0: there is no perturbation to learn.")
    lonely = [
        name for k, name in enumerate(names) if (code[context == k] >= 0).any() and not (code[context == k] == -1).any()
    ]
    if lonely:
        raise ValueError(
            f"{len(lonely)} contexts have treated cells but no control to compare them with, e.g. {lonely[0]!r} of "
            f"{list(keys.contexts)}. Leave these cells out, or give fewer columns as context=."
        )

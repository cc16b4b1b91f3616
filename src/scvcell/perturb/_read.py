"""Columns of obs read as actions, and actions written as columns of obs."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scvcell._labels import group, label, labels, numbers
from scvcell._registry import near_miss
from scvcell.perturb import _dose
from scvcell.perturb._action import Action
from scvcell.perturb._design import Design

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from scvcell._types import Mask, Rows
    from scvcell.perturb._design import PerturbationKeys

_UNTREATED = re.compile(
    r"(?i)control|ctrl|non.?target|safe.?target|scramble|vehicle|dmso|mock|untreat|unstim|unpert|"
    r"\b(nt|ntc|wt|pbs|neg|none|aavs1|intergenic)\b"
)
"""Labels that untreated cells often have."""
ONE = ("all",)
"""Name of the context where there is one."""


def read_design(
    keys: PerturbationKeys,
    column: Callable[[str], pd.Series],
    *,
    units: Mapping[str, str] | None = None,
    complete: bool = True,
) -> Design:
    """Read every cell's action and context.

    Parameters
    ----------
    keys
        Which columns say it.
    column
        Gives a column of the data by name, one entry per cell.
    units
        Units in which doses of targets are wanted; of others it is that of most of their cells.
    complete
        Whether there must be controls, in every context that has treated cells, treated cells, and all their doses.
        Without it, the other columns are not needed where no cell is treated.

    Raises
    ------
    KeyError
        If there is no such column.
    ValueError
        If no cell is a control or none is treated, a dose or time is no number from 0 on, units are mixed, a
        combination has another number of doses than targets, or a context has treated cells but no control.
    """
    text = labels(column(keys.target)).fillna("").str.strip()
    known = (text != "").to_numpy()
    is_control = text.isin(keys.controls).to_numpy() & known
    if complete:
        _check_labels(keys, text[known], is_control[known])
    if not complete and not (known & ~is_control).any():
        code = np.where(is_control, -1, -2).astype(np.int64)
        return Design((), code, ONE, np.zeros(len(code), np.int64), dict(units or {}))
    fields: dict[str, NDArray[Any]] = {"label": text.to_numpy()}
    if keys.dose is not None:
        fields["dose"] = column(keys.dose).to_numpy()
    if keys.time is not None:
        fields["time"] = _times(column(keys.time), keys.time, known)
    if keys.schedule is not None:
        fields["schedule"] = column(keys.schedule).to_numpy()
    treated = np.flatnonzero(known & ~is_control)
    numbers: dict[tuple[Any, ...], int] = {}
    columns = [values[treated] for values in fields.values()]
    entries = [tuple(map(_plain, values)) for values in zip(*columns, strict=True)]
    number = np.array([numbers.setdefault(entry, len(numbers)) for entry in entries], dtype=np.int64)
    given = [_action(keys, dict(zip(fields, entry, strict=True)), complete) for entry in numbers]
    units, given = _in_one_unit(given, np.bincount(number, minlength=len(given)), keys, units or {})
    actions: dict[Action, int] = {}
    each = [actions.setdefault(action, len(actions)) if action.pulses else -1 for action in given]
    code = np.full(len(text), -2, np.int64)
    code[is_control] = -1
    code[treated] = np.array(each, dtype=np.int64)[number]
    contexts, context = _contexts(keys, column, len(text))
    design = Design(tuple(actions), code, contexts, context, units)
    if complete:
        if not actions:
            raise ValueError("Every dose is 0: there is no perturbation to learn.")
        check_contexts(design, keys)
    return design


def _check_labels(keys: PerturbationKeys, label: pd.Series, is_control: Mask) -> None:
    cells = label.value_counts()  # the most frequent first
    for control in keys.controls:
        if control not in cells.index:
            likely = [name for name in cells.index if _UNTREATED.search(name)]
            near = near_miss(control, cells.index)
            if likely and not near:
                near = f" Did you mean {likely[0]!r}?"
            first = list(dict.fromkeys([*likely[:4], *cells.index[:2], *sorted(cells.index)]))[:8]
            some = ", ".join(f"{name!r} ({cells[name]})" for name in first)
            more = f" and {len(cells) - len(first)} more" if len(cells) > len(first) else ""
            raise ValueError(
                f"No cell has the control label {control!r} in obs[{keys.target!r}].{near} It holds (with the number "
                f"of cells) {some}{more}. Give control= as the label of untreated cells."
            )
    if is_control.all():
        raise ValueError(f"Every cell is a control in obs[{keys.target!r}]; there is no perturbation to learn.")


def _plain(value: Any) -> Any:
    """Hashable, None for missing."""
    if isinstance(value, np.ndarray | list | tuple):
        return tuple(tuple(entry) if isinstance(entry, np.ndarray | list | tuple) else entry for entry in value)
    return None if pd.isna(value) else value


def _times(column: pd.Series, name: str, known: Mask) -> NDArray[np.float64]:
    times = numbers(column)
    bad = known & column.notna().to_numpy() & ~(np.isfinite(times) & (times >= 0))
    if bad.any():
        raise ValueError(
            f"obs[{name!r}] must hold times as numbers from 0 on, in one unit; {bad.sum()} cells have others, e.g. "
            f"{column[bad].iloc[0]!r}. Convert them, for example `24` for `'24h'`."
        )
    return times


def _action(keys: PerturbationKeys, entry: dict[str, Any], complete: bool) -> Action:
    """An action as its cell has it, doses in any unit."""
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
    if "dose" not in entry or (entry["dose"] is None and not complete):
        return Action(names, time)
    return Action(dict(zip(names, _doses(entry["dose"], names, keys), strict=True)), time)


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


def _doses(value: Any, names: list[str], keys: PerturbationKeys) -> list[Any]:
    where = f"obs[{keys.dose!r}]"
    if value is None:
        raise ValueError(f"{where} has no dose for cells treated with {names}; give one, 0 for none.")
    parts = _dose.split_doses(value, keys.separator) if isinstance(value, str) else [value]
    for part in parts:
        try:
            _dose.dose("", part)
        except ValueError:
            raise ValueError(f"{where} must hold doses from 0 on, as 0.1 or '0.1 uM', not {part!r}.") from None
    if len(parts) == 1:
        parts = parts * len(names)
    if len(parts) != len(names):
        raise ValueError(
            f"{where} holds {value!r}, {len(parts)} doses, for the {len(names)} targets {names}; give one per target, "
            f"joined by {keys.separator!r}."
        )
    return parts


def _in_one_unit(
    actions: list[Action], cells: Rows, keys: PerturbationKeys, wanted: Mapping[str, str]
) -> tuple[dict[str, str], list[Action]]:
    """Unit of each target's dose, and the actions in these; a plain number in a schedule is in that unit.

    It is the one in `wanted`, or that of most `cells` of the target (of as many, the first by name).
    """
    units, count = dict(wanted), Counter[tuple[str, str]]()
    pulses = [(pulse, action.scheduled) for action in actions for pulse in action.pulses if pulse.dose is not None]
    for action, n in zip(actions, cells, strict=True):
        count.update({(pulse.target, pulse.unit): int(n) for pulse in action.pulses if pulse.unit})
    for target, unit in sorted(count, key=lambda pair: (-count[pair], pair)):
        units.setdefault(target, unit)
    for pulse, scheduled in pulses:
        if units.setdefault(pulse.target, "") and not pulse.unit and not scheduled:
            raise ValueError(
                f"obs[{keys.dose!r}] gives doses of {pulse.target!r} in {units[pulse.target]} and in no unit; write "
                "them in one unit."
            )
    return units, [action.in_units(units) for action in actions]


def _contexts(keys: PerturbationKeys, column: Callable[[str], pd.Series], n: int) -> tuple[tuple[Any, ...], Rows]:
    if not keys.contexts:
        return ONE, np.zeros(n, np.int64)
    found = group([column(name) for name in keys.contexts])
    return tuple(found.names), found.code


def check_contexts(design: Design, keys: PerturbationKeys) -> None:
    """Refuse contexts that have treated cells but no control, and treated cells none of which has a context."""
    if not (design.treated & (design.context >= 0)).any():
        where = " and ".join(f"obs[{name!r}]" for name in keys.contexts)
        raise ValueError(f"No treated cell has a context: all lack a label in {where}. Give fewer columns as context=.")
    lonely = sorted(set(design.context[design.treated]) - set(design.context[design.control]) - {-1})
    if lonely:
        raise ValueError(
            f"{len(lonely)} contexts have treated cells but no control to compare them with, e.g. "
            f"{design.contexts[lonely[0]]!r} of {list(keys.contexts)}. Leave these cells out, or give fewer columns as "
            "context=."
        )


def label_cells(
    obs: pd.DataFrame, keys: PerturbationKeys, action: Action, seen: Mapping[str, Any] | None = None
) -> pd.DataFrame:
    """Annotation of untreated cells as it is after an action: what `read_design` reads is what was done.

    Parameters
    ----------
    obs
        Annotation of the cells.
    keys
        Columns of the fit; those of contexts stay as they are.
    action
        What is done, in the units of the fit.
    seen
        Values of these columns in a cell of the data that had the same action, if there is one.
    """
    obs = obs.copy()
    if not action.pulses:
        return obs if keys.target in obs else obs.assign(**{keys.target: keys.controls[0]})
    for name, value in (seen or _written(keys, action)).items():
        column = obs.get(name)
        held = column.cat.categories if column is not None and hasattr(column, "cat") else column
        if isinstance(value, float) and held is not None and any(isinstance(each, str) for each in held):
            value = None if np.isnan(value) else _dose.written(value)
        if column is None and value is None:
            continue
        values = pd.Series([value] * len(obs), index=obs.index, dtype=None if pd.api.types.is_scalar(value) else object)
        values = values if column is None else _in_type(values, column.dtype)
        obs[name] = values.astype("category") if values.dtype == object and value is None else values
    return obs


def _in_type(values: pd.Series, kind: Any) -> pd.Series:
    """Values in the type of a column, where it can hold them; what is no category of it becomes one."""
    if isinstance(kind, pd.CategoricalDtype):
        inside = kind.categories.dtype
        values = _in_type(values, inside)
        old = kind.categories if values.dtype == inside or values.isna().all() else kind.categories.map(label)
        new = [value for value in values.dropna().unique() if value not in old]
        return values.astype(pd.CategoricalDtype(old.append(pd.Index(new, dtype=old.dtype)), kind.ordered))
    try:
        held = values.astype(kind)
    except (TypeError, ValueError):
        return values
    return held if labels(held).equals(labels(values)) else values


def _written(keys: PerturbationKeys, action: Action) -> dict[str, Any]:
    """Columns that say what was done."""
    starts = dict.fromkeys(pulse.start for pulse in action.pulses)
    together = [[pulse.target for pulse in action.pulses if pulse.start == start] for start in starts]
    out: dict[str, Any] = {keys.target: " then ".join(map(keys.separator.join, together))}
    if keys.dose is not None:
        doses = [(pulse.dose, pulse.unit) for pulse in action.pulses if pulse.dose is not None]
        if len(doses) < len(action.pulses):
            out[keys.dose] = float("nan")
        elif any(unit for _, unit in doses) or len(set(doses)) > 1:
            out[keys.dose] = keys.separator.join(_dose.written(*dose) for dose in doses)
        else:
            out[keys.dose] = doses[0][0]
    if keys.time is not None:
        out[keys.time] = float("nan") if action.time is None else action.time
    if keys.schedule is not None:
        out[keys.schedule] = _schedule(action) if action.scheduled else None
    return out


def _schedule(action: Action) -> str:
    """A schedule as JSON text."""
    return json.dumps(
        [
            [p.target, _dose.written(p.dose, p.unit) if p.dose is not None and p.unit else p.dose, p.start, p.stop]
            for p in action.pulses
        ]
    )

"""Checks of plain arguments, the same in every verb: what was given, what is allowed, what to give."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

    type Container = AnnData | MuData | Any


def seed_of(value: Any) -> int:
    """A seed; None is what leaving it out is, 0.

    Raises
    ------
    TypeError, ValueError
        If it is no whole number from 0 on.
    """
    return whole_number("seed", 0 if value is None else value)


def is_number(value: Any) -> bool:
    """Whether a value is a real number, numpy's included."""
    return isinstance(value, Real)


def share(argument: str, value: Any, example: float) -> float:
    """A number between 0 and 1, neither of them.

    Raises
    ------
    TypeError
        If it is no number.
    ValueError
        If it is not between 0 and 1.
    """
    if isinstance(value, bool) or not is_number(value):
        raise TypeError(f"{argument} must be a number between 0 and 1, e.g. {example}, not {value!r}.")
    if not 0 < float(value) < 1:
        raise ValueError(f"{argument} must lie between 0 and 1, e.g. {example}, not {value!r}.")
    return float(value)


def check_level(value: float) -> float:
    """A level of coverage, refused where it is none, as `share`."""
    return share("level", value, 0.9)


def one_name(argument: str, value: Any) -> Any:
    """The name of one column; a list of one is that one.

    Raises
    ------
    TypeError
        If it is several.
    """
    if isinstance(value, list | tuple | set) or hasattr(value, "tolist"):
        names = list(value)
        if len(names) == 1:
            return names[0]
        raise TypeError(
            f"{argument} takes one column, not {names!r}. Join them in one: "
            "data.obs['joined'] = data.obs[['a', 'b']].astype(str).agg(' '.join, axis=1)."
        )
    return value


def listed(argument: str, value: Any, what: str) -> list[Any]:
    """One or several, as a list; none where None is given.

    Parameters
    ----------
    argument
        Name of the argument, for messages.
    value
        What was given: text and mappings are one.
    what
        What it takes, for messages.

    Raises
    ------
    TypeError
        If it is nothing of that kind.
    """
    if value is None:
        return []
    if isinstance(value, str | Mapping):
        return [value]
    if not isinstance(value, Iterable):
        raise TypeError(f"{argument} takes {what}, not {value!r}.")
    return list(value)


def expect(argument: str, value: Any, kind: type, hint: str) -> None:
    """Refuse an argument of another type.

    Raises
    ------
    TypeError
        Naming what was given and, by `hint`, what to give.
    """
    if not isinstance(value, kind):
        raise TypeError(f"{argument} must be a {kind.__name__}, not {type(value).__name__}. {hint}")


def whole_number(argument: str, value: Any, least: int = 0) -> int:
    """`value` as int, also from numpy's.

    Raises
    ------
    TypeError
        If it is no whole number.
    ValueError
        If it is below `least`.
    """
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{argument} must be a whole number, not {value!r}.") from None
    if number < least:
        raise ValueError(f"{argument} must be a whole number >= {least}, not {value!r}.")
    return number

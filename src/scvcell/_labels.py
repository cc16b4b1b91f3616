"""The one place where a column of annotation becomes labels, and where what a user gives becomes the same labels."""

from __future__ import annotations

import logging
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from scvcell._types import Mask, Rows

logger = logging.getLogger("scvcell")

WHOLE = 2**53
"""Above this number a float does not tell one whole number from the next."""


PLAIN = (bool, int, float, np.bool_, np.integer, np.floating)
"""Values that tables and files hold as they are."""
NUMBERS = ("integer", "floating", "mixed-integer-float", "decimal")
"""What pandas calls columns of objects that are numbers."""


class Groups(NamedTuple):
    """Cells by the labels of one column or several.

    Attributes
    ----------
    code
        Of each cell the number of its group, -1 where a label is missing, ``(cells,)``.
    keys
        Labels of each group, one per column.
    names
        What results call each group: numbers, truth values and text of one column are what they are in it; labels of
        several columns are joined, so that no two groups have one name.
    """

    code: Rows
    keys: list[tuple[str, ...]]
    names: list[Any]


def label(value: Any) -> str:
    """A label as text: 1, 1.0 and "1" are one label, as are a number in float32 and in float64."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    number = isinstance(value, float | np.floating | Decimal)
    if number and abs(value) < WHOLE and value == int(value):
        value = int(value)
    return str(value)


def labels(column: pd.Series) -> pd.Series:
    """Labels of a column as text, as `label` writes them; missing and blank ones are None."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        code, values = column.cat.codes.to_numpy(), _each(column.cat.categories)
    elif column.dtype == object:  # hashing would take True, 1 and 1.0 for one
        missing = column.isna().to_numpy()
        code, values = np.where(missing, -1, np.arange(len(column))), list(column.to_numpy())
    else:
        code, found = pd.factorize(column)
        values = _each(found)
    text = np.array([*(text if text.strip() else None for text in map(label, values)), None], dtype=object)
    return pd.Series(text[code], column.index, dtype=object, name=column.name)


def _each(values: pd.Index) -> list[Any]:
    """The values as they are, those in float32 too."""
    return list(values.to_numpy() if isinstance(values.dtype, np.dtype) else values.array)


def several(value: Any) -> list[str]:
    """The labels that a user gave as one or as a list of them."""
    one = isinstance(value, str) or not np.iterable(value)
    return [label(each) for each in ([value] if one else value)]


def is_numeric(column: pd.Series) -> bool:
    """Whether a column holds numbers, which are measured: truth values and categories are labels."""
    if column.dtype == object:
        return pd.api.types.infer_dtype(column, skipna=True) in NUMBERS
    return bool(pd.api.types.is_numeric_dtype(column)) and not pd.api.types.is_bool_dtype(column)


def numbers(column: pd.Series) -> NDArray[np.float64]:
    """A column as numbers, NaN where it is missing or no number, ``(cells,)``."""
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "iuf":
        return column.to_numpy(dtype=float)
    return np.asarray(pd.to_numeric(column.astype(object), errors="coerce").to_numpy(dtype=float, na_value=np.nan))


def group(columns: Sequence[pd.Series]) -> Groups:
    """Cells by the labels of some columns; groups in the order of their labels, of numbers in the order of these."""
    text = [labels(column).to_numpy() for column in columns]
    cells = list(zip(*text, strict=True))
    known = np.array([None not in cell for cell in cells], bool)
    first: dict[tuple[str, ...], int] = {}
    for at in np.flatnonzero(known):
        first.setdefault(cells[at], int(at))
    keys = sorted(first)
    names = [columns[0].iloc[first[key]] for key in keys] if len(columns) == 1 else []
    truth = {isinstance(name, bool | np.bool_) for name in names}
    if len(truth) == 1 and all(isinstance(name, PLAIN) for name in names):
        order = sorted(range(len(keys)), key=lambda i: names[i])
        keys, names = [keys[i] for i in order], [names[i] for i in order]
    else:
        names = _joined(keys)
    number = {key: i for i, key in enumerate(keys)}
    return Groups(np.array([number.get(cell, -1) for cell in cells], np.int64), keys, names)


def _joined(keys: Sequence[tuple[str, ...]]) -> list[str]:
    """A name of each group, no two alike."""
    names = list(map(" ".join, keys))
    for join in (" | ".join, repr):
        if len(set(names)) < len(names):
            names = list(map(join, keys))
    return names


def tell_missing(missing: Mask, names: Sequence[str]) -> None:
    """Say how many cells lack a label, where there are any.

    Raises
    ------
    ValueError
        If all do.
    """
    where = " or ".join(f"obs[{name!r}]" for name in names)
    if len(missing) and missing.all():
        raise ValueError(f"None of the {len(missing)} cells has a label in {where}, so that there are no groups.")
    if missing.any():
        logger.warning(
            "%d of %d cells have no label in %s; they are in no group and left out.", missing.sum(), len(missing), where
        )


def like(text: NDArray[Any], column: pd.Series) -> Any:
    """Labels as text in the type of the column that they come from, whose every label must occur in it.

    Text becomes categories, as files hold it.
    """
    kind, known = column.dtype, labels(column)
    held = dict(zip(known.dropna(), column[known.notna().to_numpy()], strict=True))
    found = [held[each] for each in text]
    if isinstance(kind, pd.CategoricalDtype):
        return pd.Categorical(found, dtype=kind)
    plain = all(isinstance(value, PLAIN) for value in held.values())
    if not plain or kind == np.dtype(object):
        return pd.Categorical(found if plain else text, [held[each] if plain else each for each in sorted(held)])
    return pd.Series(found, dtype=None if isinstance(kind, pd.ArrowDtype) else kind).array


def unlike(one: pd.Series, other: pd.Series) -> Mask:
    """Where two columns of the same cells hold different values, neither of them missing, ``(cells,)``."""
    known = one.notna().to_numpy() & other.notna().to_numpy()
    if is_numeric(one) and is_numeric(other):
        return known & ~np.isclose(numbers(one), numbers(other), rtol=1e-6, atol=0)
    return known & (labels(one).to_numpy() != labels(other).to_numpy())


def joined(parts: Sequence[pd.Series]) -> pd.Series:
    """Parts of one column, one after the other, in a type that holds them all.

    Categories stay categories, and ordered ones ordered where the parts leave one order only; values that no type of
    numbers or truth values holds together become text.
    """
    if len(parts) == 1:
        return parts[0]
    if any(isinstance(part.dtype, pd.CategoricalDtype) for part in parts):
        return _joined_categories([part.astype("category") for part in parts])
    whole = pd.concat(list(parts))
    if whole.dtype != object or all(part.dtype == object for part in parts):
        return whole
    return pd.concat([labels(part) for part in parts])


def _joined_categories(parts: Sequence[pd.Series]) -> pd.Series:
    kinds = {pd.api.types.infer_dtype(part.cat.categories) for part in parts if len(part.cat.categories)}
    if len(kinds) > 1:
        parts = [part.cat.rename_categories(list(map(label, part.cat.categories))) for part in parts]
    lists = [part.cat.categories.to_list() for part in parts]
    every = set().union(*lists)
    widest = max(lists, key=len)
    ordered = all(part.cat.ordered for part in parts)
    order = _only_order(lists) if ordered else None
    if order is None:
        order, ordered = widest if len(widest) == len(every) else sorted(every), False
    kind = pd.CategoricalDtype(order, ordered)
    return pd.concat([part.astype(kind) for part in parts])


def _only_order(lists: Sequence[list[Any]]) -> list[Any] | None:
    """The one order of all values that agrees with every list; None where there is none, or several."""
    before: dict[Any, set[Any]] = {value: set() for values in lists for value in values}
    for values in lists:
        for first, second in pairwise(values):
            before[second].add(first)
    order: list[Any] = []
    while before:
        free = [value for value, need in before.items() if not need]
        if len(free) != 1:
            return None
        order += free
        del before[free[0]]
        for need in before.values():
            need.discard(free[0])
    return order

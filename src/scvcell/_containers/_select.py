"""How a user names some of the cells, the same in every verb: a query, a mask, or names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scvcell._labels import labels
from scvcell._registry import near_miss

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from scvcell._containers._view import View
    from scvcell._types import Mask, Rows

WAYS = "a query on obs (\"cell_type == 'B cells'\"), a boolean mask, or names of cells"


def choose_features(what: str, value: Any, known: Iterable[str]) -> list[str]:
    """Features that a user named, one or several; all by default.

    Parameters
    ----------
    what
        Name of the argument, for messages.
    value
        A name, several, or None.
    known
        What there is.

    Raises
    ------
    ValueError
        If a name is unknown, or there is none.
    """
    there = list(dict.fromkeys(map(str, known)))
    if value is None:
        return there
    names = [value] if isinstance(value, str) else [str(name) for name in value]
    unknown = [name for name in names if name not in set(there)]
    if unknown or not names:
        hint = near_miss(unknown[0], there) if unknown else ""
        said = f"names what the model does not have: {unknown[:5]}" if unknown else "is empty; leave it out for all"
        raise ValueError(f"{what}= {said}.{hint} It has {len(there)} features, e.g. {there[:5]}.")
    return names


def is_container(value: Any) -> bool:
    """Whether `value` is data (AnnData, MuData, SpatialData), which no array is to be made of."""
    return hasattr(value, "obs_names") or hasattr(value, "tables")


def choose(view: View, what: str, value: Any) -> Rows:
    """Positions of the cells that a user named, in the user's order, repeats kept.

    Parameters
    ----------
    view
        The data.
    what
        Name of the argument, for messages.
    value
        A query on obs (or the name of one cell); a boolean mask, of which a Series is aligned by its index where that
        names cells and missing entries are False; or names of cells.

    Returns
    -------
    Positions in `view`, ``(cells,)``; of masks and queries in the order of the data.

    Raises
    ------
    TypeError
        If `value` is a container, holds positions, or is nothing that names cells.
    ValueError
        If a query cannot be answered, a mask is of other cells, or a name is unknown.
    """
    if is_container(value):
        raise TypeError(
            f"{what}= takes {WAYS}, not {type(value).__name__}. For the cells of other data that are in these, too: "
            f"{what}=other.obs_names."
        )
    if hasattr(value, "to_pandas"):  # columns of other libraries, as of an AnnData that is read lazily
        value = value.to_pandas()
    if isinstance(value, str):
        at = view.find(pd.Index([value], dtype=object))
        return at if at[0] >= 0 else np.flatnonzero(_query(view, what, value))
    if isinstance(value, set | frozenset):
        known = view.among(value)
        if known.sum() == len(value):
            return np.flatnonzero(known)
    if isinstance(value, pd.Series):
        mask = _aligned(view, what, value) if _is_mask(value) else None
        given = value.to_numpy() if mask is None else mask
    elif isinstance(value, pd.DataFrame | dict | slice) or not np.iterable(value):
        raise TypeError(f"{what}= takes {WAYS}, not {type(value).__name__}.")
    else:
        given = np.asarray(value) if hasattr(value, "dtype") else np.asarray(list(value), dtype=object)
    if given.ndim != 1:
        raise ValueError(f"{what}= must have one dimension, not the shape {given.shape}.")
    if given.dtype == object and len(given) and _is_mask(pd.Series(given)):
        given = pd.Series(given).astype("boolean").fillna(False).to_numpy(bool)
    if given.dtype == bool:
        if len(given) != view.n_obs:
            raise ValueError(f"{what} is a mask of {len(given)} entries for {view.n_obs} cells.")
        return np.flatnonzero(given)
    return _named(view, what, given)


def _is_mask(values: pd.Series) -> bool:
    if values.dtype == object:
        return pd.api.types.infer_dtype(values, skipna=True) == "boolean"
    if isinstance(values.dtype, pd.CategoricalDtype):
        return pd.api.types.is_bool_dtype(values.cat.categories)
    return bool(pd.api.types.is_bool_dtype(values))


def _aligned(view: View, what: str, mask: pd.Series) -> Mask:
    """A mask in the order of the cells: by its index, or by place where the index names no cells."""
    values = mask.astype(object).astype("boolean").fillna(False).to_numpy(bool)
    if mask.index.equals(view.obs_names):
        return values
    if isinstance(mask.index, pd.RangeIndex) and not view.obs_names.isin(mask.index).any():
        return values
    at = np.full(view.n_obs, -1)
    if mask.index.is_unique:
        place = view.find(mask.index)
        at[place[place >= 0]] = np.flatnonzero(place >= 0)
    if len(mask) != view.n_obs or (at < 0).any():
        raise ValueError(
            f"{what} is a mask of other cells: {len(mask)} entries, whose index has {(at >= 0).sum()} of the "
            f"{view.n_obs} cells. Give one of these cells, for example made from data.obs."
        )
    return values[at]


def _named(view: View, what: str, given: NDArray[Any]) -> Rows:
    """Positions of cells by name."""
    kind = pd.api.types.infer_dtype(given, skipna=False)
    if len(given) and kind not in ("string", "categorical"):
        if kind in ("integer", "floating", "mixed-integer-float"):
            raise TypeError(
                f"{what}= holds numbers, e.g. {given[0]!r}; cells are named, not counted. For positions give "
                f"{what}=data.obs_names[positions], for a mask of 0 and 1 {what}=mask.astype(bool)."
            )
        odd = next((x for x in given if not isinstance(x, str)), given[0])
        raise TypeError(f"{what}= takes {WAYS}; it holds {odd!r} ({type(odd).__name__}).")
    index = view.find(pd.Index(given, dtype=object))
    lost = given[index < 0]
    if len(lost):
        raise ValueError(
            f"{what} has {len(lost)} names that the data lack, e.g. {str(lost[0])!r}; cells have names like "
            f"{view.names(np.arange(1))[0]!r}."
        )
    return index


def _query(view: View, what: str, query: str) -> Mask:
    """Which cells a query holds for."""
    columns = [str(c) for c in view.columns]
    obs = pd.DataFrame({c: view.column(c) for c in view.columns if str(c) in query}, index=view.obs_names)
    listed = f"Columns: {', '.join(columns) or 'none'}."
    try:
        answer = obs.eval(query, engine="python")
    except NameError as error:  # pandas' UndefinedVariableError
        name = next(iter(str(error).split("'")[1::2]), str(error))
        if f"@{name}" in query:
            raise ValueError(f"{what}={query!r}: variables (@) are not seen from here; write values.") from None
        hint = near_miss(name, columns)
        holds = [c for c in view.columns if query.strip() in labels(view.column(c)).unique()]
        if holds:
            hint = f" Did you mean {f'{holds[0]} == {query.strip()!r}'!r}?"
        raise ValueError(f"{what}={query!r}: no obs column {name!r}.{hint} {listed}") from None
    except Exception as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(
            f"{what}={query!r} is neither the name of a cell nor a query on obs that can be answered ({why}). "
            f"For example \"cell_type == 'B cells'\". {listed}"
        ) from None
    if not (isinstance(answer, pd.Series) and len(answer) == view.n_obs and _is_mask(answer)):
        raise ValueError(
            f"{what}={query!r} does not say which cells: a query is true or false of each, for example "
            f"\"{query if query in columns else 'cell_type'} == 'B cells'\". {listed}"
        )
    return answer.astype(object).astype("boolean").fillna(False).to_numpy(bool)

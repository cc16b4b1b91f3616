"""tl.predict_endpoint: a class, a number or a time, of cells by their niches or of donors by their cells."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData

from scvcell import _keys
from scvcell._checks import check_level, expect, seed_of
from scvcell._containers import Membership, Space, choose
from scvcell._labels import is_numeric, labels, like, numbers, tell_missing
from scvcell.model import CSL
from scvcell.tissue import (
    Classes,
    Outcome,
    Times,
    Values,
    answer,
    apart,
    class_sets,
    niche_states,
    quantile,
    standardised,
    surroundings,
    unit_features,
)
from scvcell.tl._niche import K

if TYPE_CHECKING:
    from scvcell._containers import Container, View
    from scvcell._types import Array, Mask, Rows
    from scvcell.tissue import Answer

logger = logging.getLogger("scvcell")

MIN_KNOWN = 4
"""Units with a known outcome below which no head is fitted."""
MIN_CELLS = 20
"""Cells of a donor below which nothing that is said of it is trusted."""
JOIN = " | "
"""Between the classes of a set."""


def predict_endpoint(
    data: Container,
    model: CSL,
    *,
    key: str,
    reference: Any = None,
    by: str | None = None,
    event: str | None = None,
    section_key: str | None = None,
    use_rep: str | None = None,
    level: float = 0.9,
    seed: int = 0,
) -> AnnData | None:
    r"""Predict an outcome of cells from their niches, or of donors from their cells.

    .. math:: \min_w\; c \sum_i \ell(y_i, f_w(x_i)) + \tfrac{1}{2} \lVert w \rVert^2

    with the loss of a logistic, a linear or a Cox regression, and features x of the niche, as :func:`scvcell.tl.niche`
    writes them, or of the donor: state of its pool, mean scores, and share of its cells in each of 24 niches. The
    weight c is chosen on groups of the training part that were left out.

    Parameters
    ----------
    data
        Cells or spots; with ``.obsm["spatial"]`` or as SpatialData their niches count, else their own states.
    model
        Model fitted on such cells.
    key
        Column of the outcome, missing where it is not known. Numbers are numbers; make classes a category.
    reference
        Cells whose outcome may be used: names, a boolean mask or a query on obs; all that have one by default.
    by
        Column of the units, such as ``"donor"``, of which each has one outcome.
    event
        Column that is true where the event was seen at time `key`, false where a unit was last seen then.
    section_key
        Column of the section. Sections are left out as a whole where several are known, else blocks of one.
    use_rep
        ``.obsm`` key of other features of cells.
    level
        Level of the sets and intervals.
    seed
        Drives k-means and the interval of the skill.

    Returns
    -------
    None; with `by` an AnnData of the units x features, whose obs hold the same columns and ``n_cells``.

    Notes
    -----
    Writes to obs

    - ``{key}_predicted``: class, value, or log hazard ratio. Cells of the reference are predicted by heads that did not
      see their group.
    - ``{key}_predicted_probability``: of the class; of the event by the median time.
    - ``{key}_predicted_set``: classes that cannot be ruled out, such as ``"L2 | L3"``; of values
      ``{key}_predicted_lower`` and ``_upper``. The outcome is within in `level` of the units of left-out groups.
    - ``{key}_predicted_trusted``: within reach of the reference (as near to it as units of left-out groups are), and
      nowhere where the head is no better on left-out groups than what knows no unit, or its skill may be 0.

    Features are centred within section: sections should be of like tissue, as one with other shares of classes moves. A
    class that the reference lacks goes unnoticed where it lies between others.

    ``uns["csl_endpoint"][f"{key}_predicted"]`` has that ``skill`` (share of the loss that is saved) with ``lower`` and
    ``upper`` (90 %, groups drawn anew), ``strength`` (the weight c), ``kind`` and ``classes``.

    Raises
    ------
    ValueError
        If fewer than 4 units have an outcome, all have the same, or cells of a unit differ in it.
    KeyError
        If obs lacks a column, or obsm `use_rep`.

    References
    ----------
    Cox, Regression models and life-tables, J R Stat Soc B 1972; Sadinle, Lei and Wasserman, JASA 2019, for the sets.

    Examples
    --------
    >>> scvcell.tl.predict_endpoint(visium, model, key="layer", section_key="slide")
    >>> donors = scvcell.tl.predict_endpoint(cells, model, key="response", by="donor")
    """
    expect("model", model, CSL, "The data come first, then the model.")
    check_level(level)
    seed, name = seed_of(seed), f"{key}_predicted"
    seen = model.view(data)
    column = seen.column(key)
    if reference is not None:
        allowed = np.zeros(seen.n_obs, bool)
        allowed[choose(seen, "reference", reference)] = True
        column = column.where(pd.Series(allowed, seen.obs_names))
    happened = None if event is None else _event(seen.column(event), event)
    if by is None:
        seen.check_key_added(name, [name, f"{name}_trusted"])
        asked = _cells(seen, model, column, happened, section_key, use_rep)
    else:
        asked = _units(seen, model, by, column, happened, section_key, use_rep, seed)
    outcome = _outcome(asked.column, asked.happened, key)
    known = np.flatnonzero(np.isfinite(outcome.value))
    _check(outcome, known, key, "cells" if by is None else by)
    found = answer(outcome, asked.x, asked.levels, known, seed)
    _tell(found, key)
    obs = _written(outcome, found, asked.column, name, level)
    obs[f"{name}_trusted"] = found.near & asked.enough & (found.lower > 0) & model.trusts()
    told = {name: _told(outcome, found)}
    if by is None:
        every = {each: _spread(values, asked.at, seen.n_obs) for each, values in obs.items()}
        before = dict(seen.holders[0].uns.get(_keys.ENDPOINT, {}))
        seen.write(obs=every, uns={_keys.ENDPOINT: before | told})
        return None
    frame = pd.DataFrame({_keys.N_CELLS: asked.n_cells, key: asked.column.array, **obs}, index=asked.column.index)
    features = pd.DataFrame(index=asked.features)
    return AnnData(asked.x.astype(np.float32), obs=frame, var=features, uns={_keys.ENDPOINT: told})


@dataclass(frozen=True, eq=False, repr=False)
class _Asked:
    """Units that are predicted: features, outcome, groups that are left out together from coarse to fine."""

    x: Array
    column: pd.Series
    happened: pd.Series | None
    levels: list[Rows]
    enough: Mask
    at: Rows
    n_cells: Array
    features: list[str]


def _cells(
    seen: View, model: CSL, column: pd.Series, happened: pd.Series | None, section_key: str | None, use_rep: str | None
) -> _Asked:
    """Cells by what surrounds them, in the order of their names, those without features left out."""
    space = _space(seen, section_key)
    section = _section(seen, space, section_key)
    if use_rep is not None:
        states = {use_rep: _rep(seen, use_rep)}
    else:
        states = niche_states(model, seen, {} if space is None else surroundings(seen, space, K))
    x, _ = standardised(states, section)
    order = np.argsort(seen.obs_names.to_numpy(str), kind="stable")
    at = order[np.isfinite(x[order]).all(1)]
    if len(at) < len(order):
        logger.warning(
            "%d of %d cells have no place or no measurement; nothing is predicted of them.",
            *(len(order) - len(at), len(order)),
        )
    fine = np.arange(len(section)) if space is None else apart(space)
    own = None if happened is None else happened.iloc[at]
    levels, n = [section[at], fine[at]], len(at)
    return _Asked(x[at].astype(float), column.iloc[at], own, levels, np.ones(n, bool), at, np.ones(n), [])


def _units(
    seen: View,
    model: CSL,
    by: str,
    column: pd.Series,
    happened: pd.Series | None,
    section_key: str | None,
    use_rep: str | None,
    seed: int,
) -> _Asked:
    """Donors or slides by their cells, in the order of their names."""
    if use_rep is not None:
        raise ValueError(f"use_rep={use_rep!r} is of cells; units are described by the model. Leave out use_rep or by.")
    groups = seen.column(by)
    tell_missing(labels(groups).isna().to_numpy(), [by])
    units = Membership.groups(groups, by)
    space = _space(seen, section_key)
    around = None if space is None else next(iter(surroundings(seen, space, K[:1]).values()))
    order = np.argsort(seen.obs_names.to_numpy(str), kind="stable")
    x, features = unit_features(model, seen, units, around, order, seed)
    few = units.weight < MIN_CELLS
    if few.any():
        logger.warning("%d of %d units have fewer than %d cells and are not trusted.", few.sum(), len(few), MIN_CELLS)
    own = None if happened is None else _agreed(units, happened)
    every = np.arange(len(few))
    return _Asked(x, _agreed(units, column), own, [every], ~few, every, units.weight, features)


def _agreed(units: Membership, column: pd.Series) -> pd.Series:
    """The one value of each unit, missing where none of its cells has one."""
    text = labels(column).to_numpy()
    at = np.full(len(units.coarse), -1)
    for unit in range(len(at)):
        cells = units.matrix.indices[units.matrix.indptr[unit] : units.matrix.indptr[unit + 1]]
        cells = cells[~pd.isna(text[cells])]
        if len(set(text[cells])) > 1:
            raise ValueError(
                f"Cells of {units.unit} {units.coarse[unit]!r} differ in obs[{column.name!r}]: "
                f"{sorted(set(text[cells]))[:3]}. A unit has one outcome; is by={units.unit!r} the right column?"
            )
        at[unit] = cells[0] if len(cells) else -1
    return column.iloc[at].set_axis(units.coarse).where(pd.Series(at >= 0, units.coarse))


def _space(seen: View, section_key: str | None) -> Space | None:
    """Places of the cells; None where the data have none."""
    space = Space.if_any(seen, section_key)
    if space is None:
        logger.info("The data have no obsm['spatial']: outcomes are predicted from states of cells, not from niches.")
    return space


def _section(seen: View, space: Space | None, section_key: str | None) -> Rows:
    """Section of each cell, -1 without one."""
    if space is not None:
        return np.where(space.placed, space.section, -1)
    if section_key is None:
        return np.zeros(seen.n_obs, np.int64)
    return pd.factorize(labels(seen.column(section_key)), sort=True)[0].astype(np.int64)


def _rep(seen: View, key: str) -> Array:
    """Features of cells that the user has."""
    values = seen.array(key)
    if values is None:
        there = {str(each) for part in (seen.source, *seen.modalities.values()) for each in part.obsm}
        raise KeyError(f"No obsm[{key!r}]. There are: {', '.join(sorted(there)) or 'none'}.")
    return values


def _event(column: pd.Series, event: str) -> pd.Series:
    """Whether the event was seen, as truth values."""
    text = labels(column).str.lower()
    known = {"true": True, "1": True, "false": False, "0": False}
    odd = text[text.notna() & ~text.isin(known)]
    if len(odd):
        raise ValueError(f"obs[{event!r}] must be true or false (1 or 0), not {odd.iloc[0]!r}.")
    return text.map(known)


def _outcome(column: pd.Series, happened: pd.Series | None, key: str) -> Outcome:
    """What is predicted, by the type of its column."""
    if happened is not None:
        time = numbers(column)
        if (time[np.isfinite(time)] < 0).any():
            raise ValueError(f"obs[{key!r}] holds times below 0.")
        time = np.where(happened.notna().to_numpy(), time, np.nan)
        return Times(time, happened.fillna(value=False).to_numpy(bool))
    if is_numeric(column):
        return Values(numbers(column))
    text = labels(column)
    names = sorted(set(text.dropna()))
    return Classes(np.array([names.index(each) if each in names else np.nan for each in text], float), names)


def _check(outcome: Outcome, known: Rows, key: str, what: str) -> None:
    """Refuse what nothing can be learned from."""
    if len(known) < MIN_KNOWN:
        raise ValueError(f"{len(known)} {what} have an outcome in obs[{key!r}]; at least {MIN_KNOWN} are needed.")
    if len(np.unique(outcome.value[known])) < 2:
        raise ValueError(f"All {len(known)} {what} have the same outcome in obs[{key!r}]; nothing can be learned.")
    if isinstance(outcome, Times) and outcome.event[known].sum() < 2:
        raise ValueError(f"Fewer than two events were seen by the times in obs[{key!r}].")


def _tell(found: Answer, key: str) -> None:
    if found.lower <= 0:
        logger.warning(
            "On left-out groups %r is predicted no better than without knowing the unit (skill %.2f, from %.2f to "
            "%.2f): nothing is trusted.",
            *(key, found.skill, found.lower, found.upper),
        )


def _written(outcome: Outcome, found: Answer, column: pd.Series, name: str, level: float) -> dict[str, Any]:
    """Columns of predictions, one value per unit."""
    value, known = found.value, found.known
    if isinstance(outcome, Classes):
        text = np.array(outcome.names, dtype=object)
        sets = class_sets(found, outcome.value[known].astype(int), level)
        return {
            name: like(text[value.argmax(1)], column),
            f"{name}_probability": value.max(1),
            f"{name}_set": pd.Categorical([JOIN.join(text[each]) for each in sets]),
        }
    if isinstance(outcome, Times):
        until = float(np.median(outcome.value[known]))
        chance = outcome.by(value[known, 0], known, until)
        return {name: value[:, 0], f"{name}_probability": chance(value[:, 0])}
    half = quantile(np.abs(value[known, 0] - outcome.value[known]), level)
    return {name: value[:, 0], f"{name}_{_keys.LOWER}": value[:, 0] - half, f"{name}_{_keys.UPPER}": value[:, 0] + half}


def _told(outcome: Outcome, found: Answer) -> dict[str, Any]:
    """What the head is worth, for ``.uns``."""
    out = {"kind": type(outcome).__name__.lower(), "skill": found.skill, "lower": found.lower, "upper": found.upper}
    out["strength"] = found.strength
    return out | ({"classes": np.array(outcome.names, dtype=str)} if isinstance(outcome, Classes) else {})


def _spread(values: Any, at: Rows, n: int) -> Any:
    """Values of some cells as those of all, missing elsewhere; truth values are false there."""
    column = pd.Series(values, index=at)
    if column.dtype == bool:
        return column.reindex(np.arange(n), fill_value=False).array
    return column.reindex(np.arange(n)).array

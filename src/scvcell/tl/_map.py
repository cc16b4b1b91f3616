"""tl.map_to_space: dissociated cells to their places in a section."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from scvcell import _keys
from scvcell._checks import check_level, expect, is_number, seed_of
from scvcell._containers import Space, view
from scvcell._labels import labels
from scvcell.model import CSL
from scvcell.tissue import MIN_LOCATED, Kinds, Spots, features, learn_frame

if TYPE_CHECKING:
    from scvcell._containers import Container, View
    from scvcell._types import Array, Mask, Rows
    from scvcell.tissue import Frame

logger = logging.getLogger("scvcell")

MAX_REFERENCE = 10_000
"""Cells of known kinds, evenly from all, by which the kind of a cell is told."""
DIMENSIONS = (2, 3)


class _Mapped(NamedTuple):
    """Cells with their places, in the order of the cells."""

    point: Array
    radius: Array
    share: Array
    inside: Mask
    position: sp.csr_matrix
    spot: Rows
    places: pd.DataFrame
    told: pd.DataFrame


def map_to_space(
    cells: Container,
    model: CSL,
    *,
    spatial: Container,
    section_key: str | None = None,
    groups_key: str | None = None,
    n_per_spot: Any = None,
    level: float = 0.9,
    seed: int = 0,
) -> AnnData:
    r"""Where in a section dissociated cells come from: a point, a radius, and the probability of each place.

    .. math:: p(b \mid x) \propto u_b\, e^{f_b(z, s)} \quad \text{or} \quad
              p(r \mid z) = \sum_k p(k \mid z)\, W_{rk} / \sum_{r'} W_{r'k}

    By located cells the first: networks f of the state z and the front-end's scores s, trained on these cells over bins
    b of their section, with the density u of cells. By lifted spots the second: Bayes over the kinds k that spots hold.

    Parameters
    ----------
    cells
        Dissociated cells, AnnData, MuData or SpatialData, raw counts.
    model
        Model that knows both; fit it on the located cells, or on all.
    spatial
        Located cells with coordinates (``.obsm["spatial"]``, two or three dimensions), or spots that
        :func:`scvcell.tl.lift` has lifted.
    section_key
        Column of the section, where there are several; each of `cells` then says of which it is.
    groups_key
        Column of the sections that located cells are of, where several share one frame and `cells` are of none of them.
        Settings, region and radius then come from whole sections that were left out, not from blocks.
    n_per_spot
        How many cells each of the lifted spots holds: numbers, or a column of their obs. Whole cells are then put into
        spots, each cell once. Numbers that do not sum to the number of cells are brought to it in proportion.
    level
        Share of the cells that region and radius shall hold.
    seed
        Drives everything random.

    Returns
    -------
    AnnData of the cells without features. ``obsm["spatial"]``: geometric median of the probabilities (with
    `n_per_spot`, the place of the cell's spot). obs: those of the cells; ``radius`` within which of it the cell is, in
    the unit of the coordinates; ``area``, the share of the section in which it is sought; ``spot``, the nearest bin or
    spot, or the one it was put into; ``trusted``. ``obsm["position"]``: probabilities, csr ``(cells, places)``, of each
    cell the 500 most probable places. ``uns["csl_places"]``: coordinates and sections of these. ``uns["csl_map"]``: of
    each section ``gain`` with ``lower`` (how much more probable located cells of left-out blocks are at their places
    than by the density of cells, in nats; lower bound), ``median_error`` of these, and settings.

    Raises
    ------
    ValueError
        If a section has too few located cells, there are no coordinates, cells do not say of which section they are,
        numbers of cells are given for what is no lifted spots, or `groups_key` with such or for one group.
    KeyError
        If obs lacks a column.
    TypeError
        If `model` is no model, or `seed` or `level` is no number.

    Warns
    -----
    (log) where places cannot be told.

    Notes
    -----
    Region and radius are calibrated on blocks of the section that were left out, so they hold for cells like the
    located ones. In another section they hold less often, unless `groups_key` says what to leave out instead. A cell is
    trusted if its features say more of places than the density of cells does (``lower`` above 0), and it is like
    located cells. By spots nothing calibrates them: there they have the probability that was asked for, and cells are
    trusted where the lift has skill.

    References
    ----------
    Biancalani et al., Deep learning and alignment of spatially resolved single-cell transcriptomes with Tangram, Nat
    Methods 2021 (the question); Vahid et al., CytoSPACE, Nat Biotechnol 2023 (whole cells); Vovk et al., Algorithmic
    Learning in a Random World, 2005 (calibration).

    Examples
    --------
    >>> mapped = scvcell.tl.map_to_space(dissociated, model, spatial=xenium)
    """
    expect("model", model, CSL, "The cells come first, then the model.")
    check_level(level)
    seed = seed_of(seed)
    lifted = isinstance(spatial, AnnData) and {_keys.CYCLE, _keys.LIFT} <= set(spatial.uns)
    if n_per_spot is not None and not lifted:
        raise ValueError(
            "n_per_spot= is for spots: give those that scvcell.tl.lift(spots, model, ...) returns as spatial=. Located "
            "cells are no spots."
        )
    if groups_key is not None and lifted:
        raise ValueError("groups_key= is for located cells; nothing is calibrated by lifted spots.")
    seen = model.view(cells)
    found = (
        _by_spots(seen, model, spatial, n_per_spot, level)
        if lifted
        else _by_cells(seen, model, spatial, section_key, groups_key, level, seed)
    )
    out = AnnData(obs=seen.obs())
    out.obsm.update({_keys.SPATIAL: found.point, _keys.POSITION: found.position})
    out.obs[_keys.RADIUS], out.obs[_keys.AREA] = found.radius, found.share
    out.obs[_keys.SPOT] = pd.Categorical.from_codes(found.spot, found.places.index.astype(str))
    learned = found.told["lower"].to_numpy()[found.places["section"].cat.codes.to_numpy()[found.spot]] > 0
    out.obs[_keys.TRUSTED] = learned & found.inside & model.trusts()
    out.uns |= {_keys.PLACES: found.places, _keys.MAP: found.told}
    _tell(found, out.obs[_keys.TRUSTED].to_numpy())
    return out


def _tell(found: _Mapped, trusted: Mask) -> None:
    nothing = found.told.index[found.told["lower"] <= 0]
    if len(nothing):
        logger.warning(
            "Section %r: nothing is learned of places (gain %.2f nats, from %.2f), and no cell in it is trusted.",
            *(nothing[0], found.told.loc[nothing[0], "gain"], found.told.loc[nothing[0], "lower"]),
        )
    elif not trusted.all():
        logger.warning("%d of %d cells are unlike those of the section; not trusted.", (~trusted).sum(), len(trusted))


def _by_cells(
    seen: View,
    model: CSL,
    spatial: Container,
    section_key: str | None,
    groups_key: str | None,
    level: float,
    seed: int,
) -> _Mapped:
    """By located cells, section by section."""
    where = model.view(spatial)
    space = Space.of(where, section_key)
    _check_dimensions(space.xy)
    own = _sections(seen, space, section_key)
    group = _groups(where, space, own, groups_key)
    for code in np.unique(own):
        n = int(((space.section == code) & space.placed).sum())
        if n < MIN_LOCATED:
            raise ValueError(
                f"Section {space.sections[code]!r} has {n} located cells; at least {MIN_LOCATED} are needed to learn "
                "where cells are."
            )
    mine, theirs = features(model, seen), features(model, where)
    frames, parts = [], []
    for code in np.unique(own):
        there = np.flatnonzero((space.section == code) & space.placed)
        frame = learn_frame(theirs[there], space.xy[there], level, seed, group[there])
        frames.append(frame)
        at = np.flatnonzero(own == code)
        parts.append((at, frame, frame.locate(mine[at]), frame.inside(mine[at])))
    names = [space.sections[code] for code in np.unique(own)]
    point, radius, share = np.empty((len(own), space.xy.shape[1])), np.empty(len(own)), np.empty(len(own))
    inside, spot, first, blocks = np.zeros(len(own), bool), np.empty(len(own), np.int64), 0, []
    for at, frame, found, near in parts:
        point[at], radius[at], share[at] = found.point, frame.factor * found.distance, found.share
        inside[at], spot[at] = near, first + frame.bins.nearest(found.point)
        blocks.append(found.position)
        first += len(frame.bins.places)
    position = blocks[0]
    if len(blocks) > 1:
        position = sp.csr_matrix(sp.block_diag(blocks, "csr"))[np.argsort(np.concatenate([at for at, *_ in parts]))]
    return _Mapped(point, radius, share, inside, position, spot, _places(frames, names), _told(frames, names))


def _sections(seen: View, space: Space, section_key: str | None) -> Rows:
    """Code of the section in which each cell is looked for, ``(cells,)``."""
    if len(space.sections) == 1:
        return np.zeros(seen.n_obs, np.int64)
    if section_key is None or section_key not in seen.columns:
        raise ValueError(
            f"There are sections {space.sections}, and nothing says to which of them the cells belong. Give the cells "
            "a column of it and section_key= (they are looked for in theirs), or located cells of one section alone."
        )
    text = labels(seen.column(section_key))
    unknown = ~text.isin(space.sections).to_numpy()
    if unknown.any():
        raise ValueError(
            f"{unknown.sum()} cells are of no located section, e.g. of {text[unknown].iloc[0]!r}; there are "
            f"{space.sections}."
        )
    return np.array([space.sections.index(each) for each in text], np.int64)


def _groups(where: View, space: Space, own: Rows, groups_key: str | None) -> Rows:
    """Code of the group of each located cell, ``(cells,)``."""
    if groups_key is None:
        return np.zeros(len(space.xy), np.int64)
    text = labels(where.column(groups_key)).fillna("")
    code = np.asarray(pd.factorize(text, sort=True)[0], np.int64)
    for section in np.unique(own):
        if len(np.unique(code[(space.section == section) & space.placed])) < 2:
            raise ValueError(
                f"obs[{groups_key!r}]: located cells of {space.sections[section]!r} are of one group; two are needed, "
                "as one is left out. Without groups_key= blocks are left out."
            )
    return code


def _check_dimensions(xy: Array) -> None:
    if xy.ndim != 2 or xy.shape[1] not in DIMENSIONS:
        raise ValueError(f"Coordinates have two or three dimensions; obsm['spatial'] has the shape {xy.shape}.")


def _places(frames: list[Frame], names: list[str]) -> pd.DataFrame:
    """Bins of all sections, by name."""
    parts = []
    for frame, name in zip(frames, names, strict=True):
        index = pd.Index([f"{name}:{r}" if len(names) > 1 else f"bin{r}" for r in range(len(frame.bins.places))])
        parts.append(_frame(frame.bins.places, index, name))
    out = pd.concat(parts)
    out["section"] = pd.Categorical(out["section"], names)
    return out


def _frame(xy: Array, index: pd.Index, section: str) -> pd.DataFrame:
    columns = ["x", "y", "z"][: xy.shape[1]]
    return pd.DataFrame(xy, index=index, columns=columns).assign(section=pd.Categorical([section] * len(xy)))


def _told(frames: list[Frame], names: list[str]) -> pd.DataFrame:
    """What was learned of each section."""
    rows = [
        {"gain": f.gain, "lower": f.lower, "median_error": f.error, "width": f.bins.width, **f.settings._asdict()}
        for f in frames
    ]
    return pd.DataFrame(rows, index=pd.Index(names))


def _by_spots(seen: View, model: CSL, lifted: AnnData, n_per_spot: Any, level: float) -> _Mapped:
    """By lifted spots."""
    space = Space.of(view(lifted))
    _check_dimensions(space.xy)
    held = np.asarray(lifted.layers[_keys.ABUNDANCE], dtype=float)
    some = np.isfinite(held).all(1) & space.placed
    if not some.any() or not held[some].any():
        raise ValueError("No lifted spot has both coordinates and cells.")
    amount = None if n_per_spot is None else _numbers(lifted, n_per_spot, some)
    key = str(lifted.uns[_keys.LIFT]["labels_key"])
    known = _kinds(model, key, [str(name) for name in lifted.var_names])
    spots = Spots.of(space.xy[some], held[some])
    kinds, inside = known.probabilities(features(model, seen))
    found, radius = spots.locate(kinds, level)
    point = found.point
    if amount is None:
        spot = spots.bins.nearest(point)
    else:
        spot = spots.assign(kinds, amount)
        point = spots.bins.places[spot]
    cycle = lifted.uns[_keys.CYCLE]
    told = pd.DataFrame({"gain": cycle["skill"], "lower": cycle["lower"]}, index=pd.Index(["all"]), dtype=float)
    places = _frame(spots.bins.places, lifted.obs_names[some], "all")
    return _Mapped(point, radius, found.share, inside, found.position, spot, places, told)


def _kinds(model: CSL, key: str, names: list[str]) -> Kinds:
    """Cells that the model was fitted on, of the kinds that were lifted."""
    seen = model.view()
    if key not in seen.columns:
        raise KeyError(f"Spots were lifted by kinds in obs[{key!r}], which the cells of the model's fit lack.")
    text = labels(seen.column(key))
    cells = np.flatnonzero(text.isin(names).to_numpy())
    if len(cells) < 2:
        raise ValueError(f"No cells of the model's fit are of the lifted kinds {names} in obs[{key!r}].")
    cells = cells[np.unique(np.linspace(0, len(cells) - 1, min(len(cells), MAX_REFERENCE)).astype(int))]
    code = pd.Index(names).get_indexer(text.iloc[cells])
    return Kinds.of(features(model, seen.subset(cells)), np.asarray(code, np.int64), len(names))


def _numbers(lifted: AnnData, given: Any, some: Mask) -> Array:
    """Cells of each spot that can hold some, from numbers or a column."""
    if isinstance(given, str):
        if given not in lifted.obs:
            raise KeyError(
                f"No obs column {given!r} of the spots; there are {', '.join(map(str, lifted.obs.columns))}."
            )
        given = lifted.obs[given]
    try:
        value = np.full(len(some), float(given)) if is_number(given) else np.asarray(given, dtype=float)
    except (TypeError, ValueError):
        value = np.empty(0)
    if (
        value.shape != some.shape
        or not np.isfinite(value[some]).all()
        or (value[some] < 0).any()
        or not value[some].any()
    ):
        raise ValueError(
            f"n_per_spot must be numbers from 0 on, one for each of the {len(some)} spots and not all 0, or the name "
            "of a column of their obs."
        )
    return value[some]

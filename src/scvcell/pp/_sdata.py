"""pp.to_spatialdata: tables with coordinates as a SpatialData of circles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from anndata import AnnData

from scvcell._checks import is_number
from scvcell._containers import Space, circles, view_units
from scvcell._labels import numbers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scvcell._types import Array


def to_spatialdata(
    tables: AnnData | Mapping[str, AnnData], *, section_key: str | None = None, radius: float | str | None = None
) -> Any:
    """Tables of cells or spots with places as a SpatialData: one circle for each unit.

    For cells that were mapped to a section, lifted or simulated, whose places no element holds yet.

    Parameters
    ----------
    tables
        AnnData with ``.obsm["spatial"]``, or several by name; one alone is called ``"table"``. They stay as they are.
    section_key
        Column of the section. Each section is an element of its own then, in a coordinate system of its own.
    radius
        Radius of the circles in the unit of the coordinates, or the column that holds it; by default half the median
        distance of nearest neighbours.

    Returns
    -------
    SpatialData with the tables, whose obs has ``region`` and ``instance`` (the names of the units), and the elements
    ``"NAME_circles"``, or ``"NAME_SECTION"``.

    Raises
    ------
    ImportError
        If spatialdata is not installed.
    ValueError
        If a unit has no place or no section, names come twice, or a radius is not above 0.
    KeyError
        If obs lacks a column.

    Examples
    --------
    >>> mapped = scvcell.tl.map_to_space(dissociated, model, spatial=located)
    >>> sdata = scvcell.pp.to_spatialdata({"cells": located, "mapped": mapped})
    """
    if isinstance(tables, AnnData):
        tables = {"table": tables}
    regions, radii = {}, {}
    systems: dict[str, str] = {}
    for name, table in tables.items():
        if not isinstance(table, AnnData):
            raise TypeError(f"tables= takes AnnData, not {type(table).__name__} for {name!r}.")
        seen = view_units(table)
        space = Space.of(seen, section_key)
        lost = ~space.placed
        if lost.any():
            raise ValueError(
                f"{lost.sum()} units of {name!r} have no place or no section, e.g. {table.obs_names[lost][0]!r}. "
                "Drop them first: table[mask].copy()."
            )
        section = [space.sections[code] for code in space.section]
        regions[name] = [f"{name}_circles" if section_key is None else f"{name}_{each}" for each in section]
        if section_key is not None:
            systems |= dict(zip(regions[name], section, strict=True))
        radii[name] = _radius(seen.column(radius) if isinstance(radius, str) else radius, space)
    return circles(dict(tables), regions, radii, systems or None)


def _radius(given: Any, space: Space) -> Array:
    """Radius of every unit."""
    if given is None:
        return np.full(len(space.xy), np.nan_to_num(space.spacing / 2, nan=1.0))
    if not is_number(given) and not hasattr(given, "iloc"):
        raise TypeError(f"radius must be a number or a column of obs, not {given!r}.")
    found = np.full(len(space.xy), float(given)) if is_number(given) else numbers(given)
    if not (np.isfinite(found) & (found > 0)).all():
        raise ValueError(f"radius must be above 0 for every unit, not {found[~(found > 0)][0]!r}.")
    return found

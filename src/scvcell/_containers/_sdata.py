"""SpatialData: several tables of the same units joined, places of units in one coordinate system, tables back.

The only file that touches spatialdata, which is imported where it is needed. Everything goes by region and instance of
a unit, never by the order of rows: the rows of a table may stand in another order than its element, and may be fewer.
"""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scvcell._types import Array, Rows

logger = logging.getLogger("scvcell")

ATTRS = "spatialdata_attrs"
"""``.uns`` key under which a table says what it annotates."""
REGION, INSTANCE = "region", "instance"
"""Columns by which tables that are made here say what they annotate."""
GLOBAL = "global"
"""Coordinate system that is taken where elements share several."""


@dataclass(frozen=True, eq=False, repr=False)
class Place:
    """Which instance of which element each unit is.

    Attributes
    ----------
    sdata
        The SpatialData.
    region, instance
        Element and its instance, of each unit, ``(units,)``.
    region_key, instance_key
        Columns of the table that hold them.
    """

    sdata: Any
    region: pd.Series
    instance: pd.Series
    region_key: str
    instance_key: str

    @classmethod
    def of(cls, sdata: Any, table: AnnData, name: str) -> Place | None:
        """Places of the rows of a table; None where it says of no element that it annotates it.

        Raises
        ------
        ValueError
            If it names columns that it lacks, a row has no instance, or two rows have the same one.
        """
        attrs = table.uns.get(ATTRS)
        if not attrs or not attrs.get("region"):
            return None
        region_key, instance_key = (str(attrs[key]) for key in ("region_key", "instance_key"))
        for key in (region_key, instance_key):
            if key not in table.obs:
                raise ValueError(
                    f"The table {name!r} says that obs[{key!r}] tells its units, but has no such column. "
                    "Make it anew: spatialdata.models.TableModel.parse(table, region=, region_key=, instance_key=)."
                )
        region, instance = table.obs[region_key].astype(object), table.obs[instance_key]
        lacking = (region.isna() | instance.isna()).to_numpy()
        if lacking.any():
            raise ValueError(
                f"{lacking.sum()} rows of the table {name!r} have no region or no instance, e.g. "
                f"{table.obs_names[lacking][0]!r}. Drop them or fill obs[{instance_key!r}] in."
            )
        twice = pd.DataFrame({"region": region, "instance": instance}).duplicated().to_numpy()
        if twice.any():
            raise ValueError(
                f"Two rows of the table {name!r} are of the instance {instance[twice].iloc[0]!r} of "
                f"{region[twice].iloc[0]!r}; each may come once."
            )
        return cls(sdata, region.reset_index(drop=True), instance.reset_index(drop=True), region_key, instance_key)

    def coordinates(self) -> Array:
        """Centroids of the units in the one coordinate system of their elements, ``(units, 2 or 3)``, NaN if unknown.

        Raises
        ------
        ValueError
            If an element is not there, has ids of another type than the table, or shares no system with the others.
        """
        from spatialdata import get_centroids

        regions = sorted(set(self.region))
        elements = {name: self._element(name) for name in regions}
        system = _shared_system(elements)
        found = {}
        for name, element in elements.items():
            with warnings.catch_warnings():  # it warns of an index in another order than that of its text
                warnings.simplefilter("ignore", UserWarning)
                where = get_centroids(element, coordinate_system=system).compute()
            found[name] = where[sorted(where.columns)]
        wide = {frame.shape[1] for frame in found.values()}
        if len(wide) > 1:
            raise ValueError(f"Elements {regions} have coordinates of {sorted(wide)} dimensions; give the same.")
        out = np.full((len(self.region), wide.pop()), np.nan)
        for name, frame in found.items():
            here = np.flatnonzero((self.region == name).to_numpy())
            ids = self.instance.iloc[here]
            at = frame.index.get_indexer(pd.Index(ids))
            if (at < 0).all():
                raise ValueError(
                    f"The element {name!r} has none of the {len(ids)} instances of the table, e.g. {ids.iloc[0]!r}: "
                    f"its index holds {frame.index.dtype}, e.g. {frame.index[0]!r}, obs[{self.instance_key!r}] "
                    f"{ids.dtype}. Make them alike: table.obs[{self.instance_key!r}].astype({_kind(frame.index)})."
                )
            if (at < 0).any():
                logger.warning("%d of %d units are not in the element %r: no place.", (at < 0).sum(), len(at), name)
            out[here[at >= 0]] = frame.to_numpy(dtype=float)[at[at >= 0]]
        return out

    def annotate(self, table: AnnData, units: Rows) -> None:
        """Make a table of these units, in its order, one of the SpatialData's elements.

        Left as it is where a unit comes twice: such rows are no units of an element.
        """
        region, instance = self.region.iloc[units], self.instance.iloc[units]
        if pd.DataFrame({"region": region, "instance": instance}).duplicated().any():
            return
        table.obs[self.region_key] = pd.Categorical(region)
        table.obs[self.instance_key] = instance.to_numpy()
        names = sorted(set(region))
        table.uns[ATTRS] = {
            "region": names[0] if len(names) == 1 else names,
            "region_key": self.region_key,
            "instance_key": self.instance_key,
        }

    def _element(self, name: str) -> Any:
        groups = [getattr(self.sdata, kind, {}) for kind in ("shapes", "labels", "points")]
        for group in groups:
            if name in group:
                return group[name]
        there = [each for group in groups for each in group]
        raise ValueError(f"The table annotates the element {name!r}, which the SpatialData lacks; it has {there}.")


def join(sdata: Any, tables: Mapping[str, str]) -> tuple[MuData, dict[str, tuple[AnnData, Rows]], Place]:
    """Tables of the same units as modalities of one MuData; measurements are shared, not copied.

    Parameters
    ----------
    sdata
        The SpatialData.
    tables
        Table of each modality.

    Returns
    -------
    The MuData; by modality the user's own table and the unit of each of its rows; and the places of the units.

    Raises
    ------
    ValueError
        If a table annotates nothing, or they annotate different units.
    """
    parts: dict[str, Place] = {}
    for modality, name in tables.items():
        place = Place.of(sdata, sdata.tables[name], name)
        if place is None:
            raise ValueError(
                f"The table {name!r} annotates no element, so that its rows cannot be joined with others. Say which: "
                "spatialdata.models.TableModel.parse(table, region=, region_key=, instance_key=)."
            )
        parts[modality] = place
    _check_same_units(tables, parts)
    every = pd.concat(
        [
            pd.DataFrame({"region": p.region, "instance": p.instance, "name": sdata.tables[tables[m]].obs_names})
            for m, p in parts.items()
        ],
        ignore_index=True,
    )
    code = np.asarray(every.groupby(["region", "instance"], sort=False, observed=True).ngroup(), np.int64)
    first = np.unique(code, return_index=True)[1]
    units = every.iloc[first]
    names, light, own, start = _names(every, code, units), {}, {}, 0
    for modality, name in tables.items():
        table = sdata.tables[name]
        at = code[start : start + table.n_obs]
        light[modality], own[modality], start = _light(table, names[at]), (table, at), start + table.n_obs
    joined = MuData(light)
    order = pd.Index(names).get_indexer(joined.obs_names)  # place of each of its units among ours
    back = np.argsort(order).astype(np.int64)
    rows = {modality: (table, back[at]) for modality, (table, at) in own.items()}
    leading = next(iter(parts.values()))
    place = Place(
        sdata,
        units["region"].iloc[order].reset_index(drop=True),
        units["instance"].iloc[order].reset_index(drop=True),
        leading.region_key,
        leading.instance_key,
    )
    return joined, rows, place


def circles(tables: Mapping[str, AnnData], regions: Mapping[str, Sequence[str]], radius: Mapping[str, Array]) -> Any:
    """Tables, and the circles that they annotate.

    Parameters
    ----------
    tables
        Units with ``obsm["spatial"]``, by name; they stay as they are.
    regions
        Of each table the element of every unit.
    radius
        Of each table the radius of every unit, in the unit of the coordinates.

    Raises
    ------
    ImportError
        If spatialdata is not installed.
    """
    try:
        from spatialdata import SpatialData
        from spatialdata.models import ShapesModel, TableModel
    except ImportError as error:
        raise ImportError(
            "A SpatialData needs the package spatialdata: `pip install 'scvcell[spatial]'`, or give as_anndata=True."
        ) from error
    shapes, parsed = {}, {}
    for name, table in tables.items():
        table, region = table.copy(), np.asarray(regions[name])
        xy = np.asarray(table.obsm["spatial"], dtype=float)
        for element in dict.fromkeys(region):
            here = region == element
            index = table.obs_names[here].astype(str)
            shapes[str(element)] = ShapesModel.parse(xy[here], geometry=0, radius=radius[name][here], index=index)
        table.obs[REGION] = pd.Categorical(region)
        table.obs[INSTANCE] = table.obs_names.astype(str).to_numpy(object)
        parsed[name] = TableModel.parse(
            table, region=[str(each) for each in dict.fromkeys(region)], region_key=REGION, instance_key=INSTANCE
        )
    return SpatialData(shapes=shapes, tables=parsed)


def _check_same_units(tables: Mapping[str, str], parts: Mapping[str, Place]) -> None:
    (first, leading), *rest = parts.items()
    for modality, place in rest:
        both = set(leading.region) & set(place.region)
        types = {pd.api.types.is_numeric_dtype(each.instance.dtype) for each in (leading, place)}
        units = [set(zip(each.region, each.instance, strict=True)) for each in (leading, place)]
        if both and len(types) == 1 and not units[0].isdisjoint(units[1]):
            continue
        names = f"{tables[first]!r} ({sorted(set(leading.region))}) and {tables[modality]!r}"
        if both and len(types) > 1:
            raise ValueError(
                f"Tables {names} name the same units by text and by numbers: obs[{leading.instance_key!r}] holds "
                f"{leading.instance.dtype}, obs[{place.instance_key!r}] {place.instance.dtype}. Make them alike."
            )
        raise ValueError(
            f"Tables {names} ({sorted(set(place.region))}) share no unit, so they are not modalities of the same "
            "cells. Fit on one of them; cells are summed to spots by scvcell.tl.project, spots are lifted to cells by "
            "scvcell.tl.lift."
        )


def _names(every: pd.DataFrame, code: Rows, units: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.object_]]:
    """Names of units: those of rows where all tables agree, else the instance, with its region where need be."""
    agreed = every.groupby(code)["name"].nunique().max() == 1 and not units["name"].duplicated().any()
    if agreed:
        return units["name"].to_numpy(dtype=object)
    ids = units["instance"].astype(str)
    if ids.duplicated().any():
        ids = units["region"].astype(str) + ":" + ids
    return ids.to_numpy(dtype=object)


def _light(table: AnnData, names: Any) -> AnnData:
    """The same table under other names, its matrices shared."""
    named = {k: v.set_axis(names) if isinstance(v, pd.DataFrame) else v for k, v in table.obsm.items()}
    return AnnData(
        table.X,
        obs=table.obs.set_axis(names),
        var=table.var,
        layers=dict(table.layers),
        obsm=named,
        varm=dict(table.varm),
        uns={key: value for key, value in table.uns.items() if key != ATTRS},
    )


def _shared_system(elements: Mapping[str, Any]) -> str:
    from spatialdata.transformations import get_transformation

    systems = {name: set(get_transformation(element, get_all=True)) for name, element in elements.items()}
    common = set.intersection(*systems.values())
    if GLOBAL in common or len(common) == 1:
        return GLOBAL if GLOBAL in common else str(next(iter(common)))
    told = {name: sorted(each) for name, each in systems.items()}
    raise ValueError(
        f"Elements have {'no' if not common else 'several'} coordinate systems in common, and none is {GLOBAL!r}: "
        f"{told}. Give them one: spatialdata.transformations.set_transformation(element, transformation, 'global')."
    )


def _kind(index: pd.Index) -> str:
    return "int" if pd.api.types.is_integer_dtype(index.dtype) else "str"

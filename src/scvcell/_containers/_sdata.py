"""SpatialData: places of units in one coordinate system, shapes that hold them, tables and circles back.

The only file that touches spatialdata, which is imported where it is needed. Everything goes by region and instance of
a unit, never by the order of rows: the rows of a table may stand in another order than its element, and may be fewer.
"""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from mudata import MuData

from scvcell._containers._membership import Membership
from scvcell._containers._shapes import covered, held

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from anndata import AnnData

    from scvcell._types import Array, Rows

logger = logging.getLogger("scvcell")

ATTRS = "spatialdata_attrs"
"""``.uns`` key under which a table says what it annotates."""
REGION, INSTANCE = "region", "instance"
"""Columns by which tables that are made here say what they annotate."""
GLOBAL = "global"
"""Coordinate system that is taken where elements share several."""
_INSTALL = "A SpatialData needs the package spatialdata: `pip install 'scvcell[spatial]'`"
_GIVE_ONE = "Give them one: spatialdata.transformations.set_transformation(element, transformation, 'global')."


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

    def coordinates(self, section: pd.Series | None = None) -> Array:
        """Centroids of the units, ``(units, 2 or 3)``, NaN if unknown.

        They are in the coordinate system that all their elements share, or, where they share none and each has one
        only, as where every section has its own, in that of their element.

        Parameters
        ----------
        section
            Section of each unit, if it is not its element; units of one must be in one system.

        Raises
        ------
        ValueError
            If an element is not there, has ids of another type than the table, or shares no system with the others.
        """
        from spatialdata import get_centroids

        regions = sorted(set(self.region))
        elements = {name: self.element(name) for name in regions}
        systems, found = _systems(elements), {}
        if section is not None:
            mixed = pd.Series(self.region.map(systems).to_numpy()).groupby(section.to_numpy()).nunique()
            if (mixed > 1).any():
                raise ValueError(
                    f"Section {mixed.index[mixed > 1][0]!r} has units of elements in several coordinate systems: "
                    f"{systems}. {_GIVE_ONE}"
                )
        for name, element in elements.items():
            with warnings.catch_warnings():  # it warns of an index in another order than that of its text
                warnings.simplefilter("ignore", UserWarning)
                where = get_centroids(element, coordinate_system=systems[name]).compute()
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

    def inside(self, name: str, units: pd.Index, *, area: bool = False) -> tuple[Membership, Place]:
        """Which shapes of an element hold which units, and the places of these shapes.

        Parameters
        ----------
        name
            Element of shapes: circles or polygons.
        units
            Names of these units, in their order.
        area
            Whether a unit counts by the share of its own area that a shape covers, which its element must tell;
            by default it counts whole where its centroid is inside.

        Raises
        ------
        ValueError
            If the element has no shapes, shares no coordinate system with those of the units, or areas are not known.
        """
        from spatialdata import transform

        if name not in self.sdata.shapes:
            raise ValueError(f"The SpatialData has no shapes {name!r}; it has {list(self.sdata.shapes)}.")
        elements = {each: self.element(each) for each in sorted(set(self.region))}
        systems = _systems(elements)
        system = _system_of(name, self.element(name), systems)
        coarse = transform(self.element(name), to_coordinate_system=system)
        xy = None if area else self.coordinates()
        found: list[tuple[Rows, Rows, Array]] = []
        for region in (each for each in elements if systems[each] == system):
            here = np.flatnonzero((self.region == region).to_numpy())
            if xy is not None:
                pairs = held(coarse, xy[here])
            elif region in self.sdata.shapes:
                fine = transform(elements[region], to_coordinate_system=system)
                at = fine.index.get_indexer(pd.Index(self.instance.iloc[here]))
                here = here[at >= 0]
                pairs = covered(coarse, fine.iloc[at[at >= 0]])
            else:
                raise ValueError(f"The units of {region!r} have no shapes, so no area; leave area= out.")
            found.append((pairs[0], here[pairs[1]], pairs[2]))
        holding = sum(len(pairs[0]) > 0 for pairs in found)
        if holding > 1:
            logger.warning(
                "Shapes of %r hold units of %d elements, which lie on one another in %r. Are these several sections? "
                "Give each a coordinate system of its own.",
                *(name, holding, system),
            )
        row, column, weight = (np.concatenate(each) for each in zip(*found, strict=True))
        ids = pd.Index(coarse.index)
        matrix = sp.csr_array((weight, (row, column)), shape=(len(ids), len(units)))
        of = Place(self.sdata, pd.Series([name] * len(ids)), pd.Series(ids), self.region_key, self.instance_key)
        return Membership(matrix, ids.astype(str), units, name), of

    def alone(self, name: str, tables: Mapping[str, AnnData]) -> tuple[Any, str, str]:
        """A SpatialData of one element with tables of these units, to draw it.

        Parameters
        ----------
        name
            Element; of shapes those alone that are units here are taken.
        tables
            Tables that annotate it.

        Returns
        -------
        The SpatialData, the kind of the element (``"shapes"``, ``"labels"``, ``"points"``), and the coordinate system
        in which these units have places.
        """
        systems = _systems({each: self.element(each) for each in sorted(set(self.region))})
        element = self.element(name)
        system = _system_of(name, element, systems)
        kind = next(each for each in ("shapes", "labels", "points") if name in getattr(self.sdata, each, {}))
        if kind == "shapes":
            element = element.loc[element.index.isin(self.instance[(self.region == name).to_numpy()])]
        return type(self.sdata)(**{kind: {name: element}}, tables=dict(tables)), kind, system

    def of_units(self, units: Rows) -> Place:
        """Places of some of the units."""
        region, instance = (each.iloc[units].reset_index(drop=True) for each in (self.region, self.instance))
        return replace(self, region=region, instance=instance)

    def annotate(self, out: AnnData | MuData) -> None:
        """Make tables of these units, one row for each in their order, such that they can be put into the SpatialData.

        Left as they are where a unit comes twice: such rows are no units of an element.
        """
        if pd.DataFrame({"region": self.region, "instance": self.instance}).duplicated().any():
            return
        for table in out.mod.values() if isinstance(out, MuData) else (out,):
            at = out.obs_names.get_indexer(table.obs_names) if isinstance(out, MuData) else np.arange(table.n_obs)
            table.obs[self.region_key] = pd.Categorical(self.region.iloc[at])
            table.obs[self.instance_key] = self.instance.iloc[at].to_numpy()
            names = sorted(set(table.obs[self.region_key]))
            table.uns[ATTRS] = {
                "region": names[0] if len(names) == 1 else names,
                "region_key": self.region_key,
                "instance_key": self.instance_key,
            }

    def element(self, name: str) -> Any:
        """Shapes, labels or points of the SpatialData, by name."""
        groups = [getattr(self.sdata, kind, {}) for kind in ("shapes", "labels", "points")]
        for group in groups:
            if name in group:
                return group[name]
        there = [each for group in groups for each in group]
        raise ValueError(f"The table annotates the element {name!r}, which the SpatialData lacks; it has {there}.")


def circles(
    tables: Mapping[str, AnnData],
    regions: Mapping[str, Sequence[str]],
    radius: Mapping[str, Array],
    systems: Mapping[str, str] | None = None,
) -> Any:
    """Tables, and the circles that they annotate.

    Parameters
    ----------
    tables
        Units with ``obsm["spatial"]``, by name; they stay as they are.
    regions
        Of each table the element of every unit.
    radius
        Of each table the radius of every unit, in the unit of the coordinates.
    systems
        Coordinate system of each element; ``"global"`` by default.

    Raises
    ------
    ImportError
        If spatialdata is not installed.
    """
    try:
        from spatialdata import SpatialData
        from spatialdata.models import ShapesModel, TableModel
        from spatialdata.transformations import Identity
    except ImportError as error:
        raise ImportError(f"{_INSTALL}, or give as_anndata=True.") from error
    shapes, parsed = {}, {}
    for name, table in tables.items():
        table, region = table.copy(), np.asarray(regions[name])
        xy = np.asarray(table.obsm["spatial"], dtype=float)
        for element in dict.fromkeys(region):
            here = region == element
            index = table.obs_names[here].astype(str)
            placed = {GLOBAL if systems is None else systems[str(element)]: Identity()}
            shapes[str(element)] = ShapesModel.parse(
                xy[here], geometry=0, radius=radius[name][here], index=index, transformations=placed
            )
        table.obs[REGION] = pd.Categorical(region)
        table.obs[INSTANCE] = table.obs_names.astype(str).to_numpy(object)
        parsed[name] = TableModel.parse(
            table, region=[str(each) for each in dict.fromkeys(region)], region_key=REGION, instance_key=INSTANCE
        )
    return SpatialData(shapes=shapes, tables=parsed)


def read_spatial(folder: str) -> Any:
    """SpatialData of a ``.zarr`` folder; ImportError without the package, ValueError where the folder holds none."""
    try:
        from spatialdata import read_zarr

        return read_zarr(folder)
    except ImportError as error:
        raise ImportError(f"{_INSTALL}.") from error
    except (ValueError, KeyError, OSError) as error:
        raise ValueError(f"{folder} cannot be read as a SpatialData: {error}") from error


def _all_systems(element: Any) -> set[str]:
    from spatialdata.transformations import get_transformation

    return set(map(str, get_transformation(element, get_all=True)))


def _systems(elements: Mapping[str, Any]) -> dict[str, str]:
    """The coordinate system of each element: the one they share, or the only one of each."""
    systems = {name: _all_systems(element) for name, element in elements.items()}
    common = set.intersection(*systems.values())
    if GLOBAL in common or len(common) == 1:
        return dict.fromkeys(systems, GLOBAL if GLOBAL in common else next(iter(common)))
    if not common and all(len(each) == 1 for each in systems.values()):
        return {name: next(iter(each)) for name, each in systems.items()}
    told = {name: sorted(each) for name, each in systems.items()}
    raise ValueError(f"Which coordinate system is meant is not clear, as elements have several: {told}. {_GIVE_ONE}")


def _system_of(name: str, element: Any, systems: Mapping[str, str]) -> str:
    """The coordinate system in which an element lies with others."""
    if name in systems:
        return systems[name]
    shared = sorted(_all_systems(element) & set(systems.values()))
    if not shared:
        raise ValueError(
            f"The element {name!r} is in the coordinate systems {sorted(_all_systems(element))}, the units are in "
            f"{sorted(set(systems.values()))}. {_GIVE_ONE}"
        )
    return GLOBAL if GLOBAL in shared else shared[0]


def _kind(index: pd.Index) -> str:
    return "int" if pd.api.types.is_integer_dtype(index.dtype) else "str"

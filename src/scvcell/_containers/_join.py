"""Several tables of one SpatialData, of the same units, as modalities of one MuData."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData

from scvcell._containers._sdata import ATTRS, Place

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scvcell._types import Rows


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

"""Read a container of the user as a `View`; what no verb can use is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData

from scvcell._containers._annotation import frame
from scvcell._containers._corpus import Corpus, MuCorpus
from scvcell._containers._join import join
from scvcell._containers._sdata import Place
from scvcell._containers._view import Container, View

type Tables = str | Sequence[str] | Mapping[str, str] | None
"""How a user names tables of a SpatialData."""

SINGLE = "rna"
"""Modality name that a bare AnnData gets."""

SPLIT = "`mdata = scvcell.pp.split_modalities(adata)` makes one modality of each"
"""What errors say of features of several kinds in one table."""


def table_names(data: Container, table_key: Tables = None) -> str | dict[str, str] | None:
    """Names of the tables that are read of a SpatialData: one, or one for each modality; None of other containers.

    Parameters
    ----------
    data
        The container.
    table_key
        A table; several, whose names are those of modalities; or a table for each modality. The only one by default.

    Raises
    ------
    ValueError
        If there are several tables and none is named, or one is named that is not there.
    """
    if isinstance(data, AnnData | MuData) or not hasattr(data, "tables"):
        return None
    tables = list(map(str, data.tables))
    if table_key is None and len(tables) == 1:
        return tables[0]
    named = [table_key] if isinstance(table_key, str) else list(_by_modality(table_key).values())
    unknown = [name for name in named if name not in tables]
    if unknown or not named:
        several = "" if len(tables) < 2 else f", or several that are of the same cells: {{'rna': {tables[0]!r}, ...}}"
        raise ValueError(f"SpatialData: give `table_key=` as one of {tables}, not {table_key!r}{several}.")
    return table_key if isinstance(table_key, str) else _by_modality(table_key)


def _by_modality(table_key: Sequence[str] | Mapping[str, str] | None) -> dict[str, str]:
    if isinstance(table_key, Mapping):
        return {str(modality): str(name) for modality, name in table_key.items()}
    return {str(name): str(name) for name in table_key or ()}


def fitted_tables(data: Container, table_key: Tables) -> Tables:
    """As `table_names`, for a model that was fitted on `table_key`, which other data with one table may lack.

    Raises
    ------
    ValueError
        If it is none of several tables.
    """
    tables = list(map(str, getattr(data, "tables", ())))
    if isinstance(table_key, Mapping):
        known = {modality: name for modality, name in table_key.items() if name in tables}
        if known or len(tables) <= 1:
            return known or None
        named = dict.fromkeys(list(table_key)[:1], tables[0])
        raise ValueError(
            f"SpatialData: the model was fitted on the tables {dict(table_key)}; these data have {tables}. Say "
            f"which is which: model.view(data, table_key={named})."
        )
    if table_key not in tables and len(tables) > 1:
        fitted = "no SpatialData" if table_key is None else f"the table {table_key!r}"
        raise ValueError(
            f"SpatialData: the model was fitted on {fitted}; these data have {tables}. Give the table itself: "
            f"data.tables[{tables[0]!r}]. Where places are needed: model.view(data, table_key={tables[0]!r})."
        )
    return table_key if table_key in tables else None


def view(data: Container | View, *, table_key: Tables = None, skip_empty: bool = False) -> View:
    """Read a container without changing it; what is a view already stays one.

    Parameters
    ----------
    data
        AnnData (one modality, called ``"rna"``), MuData whose modalities may cover different cells, or SpatialData
        (then `table_key` names the table or tables).
    table_key
        Table of a SpatialData, or several tables of the same cells, by modality: ``{"rna": "cells", "adt": "stains"}``.
    skip_empty
        Whether modalities without cells, which a subset may have, are left out instead of refused.

    Raises
    ------
    TypeError
        If `data` is no such container.
    ValueError
        If there is no modality, a name is not unique, or a cell has no modality.
    """
    if isinstance(data, View):
        return data
    if isinstance(data, AnnData):
        _check_names(data, SINGLE)
        stored = data.names if isinstance(data, Corpus) else None
        return View(data, data.obs_names, {SINGLE: _loaded(data)}, {SINGLE: np.arange(data.n_obs)}, stored=stored)
    if isinstance(data, MuCorpus):
        return View(data, data.obs_names, dict(data.mod), data.rows, stored=data.names)
    if isinstance(data, MuData):
        return _view_mudata(data, skip_empty=skip_empty)
    if hasattr(data, "tables"):
        return _view_spatial(data, table_names(data, table_key), skip_empty=skip_empty)
    read = f" Read it first: scvcell.pp.read_corpus({str(data)!r})." if isinstance(data, str | Path) else ""
    if isinstance(data, list | tuple) and data and all(isinstance(each, str | Path) for each in data):
        read = " Read the files first: scvcell.pp.read_corpus(paths)."
    raise TypeError(f"Expected AnnData, MuData or SpatialData, got {type(data).__name__}.{read}")


def view_units(data: Container | View, table_key: Tables = None) -> View:
    """As `view`, also of units without a feature, such as cells that were mapped: places alone are enough."""
    if isinstance(data, AnnData) and data.n_vars == 0:
        return View(data, data.obs_names, {SINGLE: data}, {SINGLE: np.arange(data.n_obs)})
    return view(data, table_key=table_key)


def _view_spatial(sdata: Any, names: str | dict[str, str] | None, *, skip_empty: bool) -> View:
    """One table as the AnnData it is, several as the MuData they make."""
    if not isinstance(names, Mapping) or len(names) == 1:
        ((modality, name),) = names.items() if isinstance(names, Mapping) else ((SINGLE, str(names)),)
        table = sdata.tables[name]
        found = view(table)
        found = replace(found, modalities={modality: found.modalities[SINGLE]}, rows={modality: found.rows[SINGLE]})
        return replace(found, place=Place.of(sdata, table, name))
    joined, tables, place = join(sdata, names)
    return replace(_view_mudata(joined, skip_empty=skip_empty), tables=tables, place=place)


def _view_mudata(mdata: MuData, *, skip_empty: bool) -> View:
    if len(mdata.mod) == 0:
        raise ValueError("This MuData has no modalities. Build one with mudata.MuData({'rna': adata, 'adt': ...}).")
    if getattr(mdata, "axis", 0) != 0:
        raise ValueError(f"scvcell needs cells on axis 0 of the MuData (this one has axis={mdata.axis}).")
    modalities = {name: adata for name, adata in mdata.mod.items() if adata.n_obs or not skip_empty}
    for name, adata in modalities.items():
        _check_names(adata, name)
    names = mdata.obs_names
    if not names.is_unique:
        raise ValueError(f"Cell names must be unique; {names[names.duplicated()][0]!r} occurs more than once.")
    rows = {}
    for name, adata in modalities.items():
        mapped = np.asarray(mdata.obsmap.get(name, [])).ravel().astype(np.int64) - 1
        present = mapped >= 0
        if (
            len(mapped) != len(names)
            or not (mapped < adata.n_obs).all()
            or not names[present].equals(adata.obs_names[mapped[present]])
        ):
            raise ValueError(f"MuData and its modality {name!r} disagree on cells. Run `mdata.update()` first.")
        rows[name] = mapped
    orphan = ~np.logical_or.reduce([r >= 0 for r in rows.values()])
    if orphan.any():
        raise ValueError(
            f"{orphan.sum()} cells have no modality, e.g. {names[orphan][0]!r}. "
            "Drop them: `mdata = mdata[mask].copy()` with the cells that have one."
        )
    return View(mdata, names, modalities, rows)


def _loaded(adata: AnnData) -> AnnData:
    """The same AnnData; of one that is read lazily the annotation in memory, and the counts where they are."""
    if isinstance(adata.obs, pd.DataFrame):
        return adata
    obs, var = frame(adata.obs), frame(adata.var)
    layers = {key: adata.layers[key] for key in adata.layers if key}
    varm = {key: v.to_memory() if hasattr(v, "to_memory") else v for key, v in adata.varm.items()}
    return AnnData(adata.X, obs, var, adata.uns, obsm=dict(adata.obsm), varm=varm, layers=layers)


def feature_types(adata: AnnData) -> list[str]:
    """Kinds of features that ``var["feature_types"]`` of 10x names, in their order; none without the column."""
    kinds = adata.var["feature_types"].dropna() if "feature_types" in adata.var else ()
    return list(dict.fromkeys(str(kind) for kind in kinds))


def _check_names(adata: AnnData, name: str) -> None:
    if adata.n_obs == 0 or adata.n_vars == 0:
        raise ValueError(f"Modality {name!r} is empty (shape {adata.shape}). Drop it: `del mdata.mod[{name!r}]`.")
    for what, index, fix in (
        ("Cell", adata.obs_names, "obs_names_make_unique"),
        ("Feature", adata.var_names, "var_names_make_unique"),
    ):
        if not index.is_unique:
            twice, kinds = index[index.duplicated()][0], feature_types(adata)
            run = f"Run `mdata[{name!r}].{fix}()` first."
            if what == "Feature" and len(kinds) > 1:
                run = f"It holds features of several kinds, {kinds}: {SPLIT}."
            raise ValueError(
                f"{what} names of modality {name!r} must be unique; {twice!r} occurs more than once. {run}"
            )

"""Read a container of the user as a `View`; what no verb can use is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData

from scvcell._containers._view import Container, View, frame

SINGLE = "rna"
"""Modality name that a bare AnnData gets."""

SPLIT = "`mdata = scvcell.pp.split_modalities(adata)` makes one modality of each"
"""What errors say of features of several kinds in one table."""


def table_name(data: Container, table_key: str | None = None) -> str | None:
    """Name of the table that is read of a SpatialData: `table_key`, or that of the only one; None of other containers.

    Raises
    ------
    ValueError
        If there are several tables, and `table_key` is none of them.
    """
    if isinstance(data, AnnData | MuData) or not hasattr(data, "tables"):
        return None
    tables = list(data.tables)
    if table_key is None and len(tables) == 1:
        return str(tables[0])
    if table_key not in tables:
        raise ValueError(f"SpatialData: give `table_key=` as one of {tables}, not {table_key!r}.")
    return table_key


def fitted_table(data: Container, table_key: str | None) -> str | None:
    """As `table_name`, for a model that was fitted on `table_key`, which other data with one table may lack.

    Raises
    ------
    ValueError
        If it is none of several tables.
    """
    tables = list(getattr(data, "tables", ()))
    if table_key not in tables and len(tables) > 1:
        fitted = "no SpatialData" if table_key is None else f"the table {table_key!r}"
        raise ValueError(
            f"SpatialData: the model was fitted on {fitted}; these data have {tables}. Give the table itself: "
            f"data.tables[{tables[0]!r}]."
        )
    return table_key if table_key in tables else None


def view(data: Container, *, table_key: str | None = None, skip_empty: bool = False) -> View:
    """Read a container without changing it.

    Parameters
    ----------
    data
        AnnData (one modality, called ``"rna"``), MuData whose modalities may cover different cells, or SpatialData
        (then `table_key` names the table).
    table_key
        Table of a SpatialData.
    skip_empty
        Whether modalities without cells, which a subset may have, are left out instead of refused.

    Raises
    ------
    TypeError
        If `data` is no such container.
    ValueError
        If there is no modality, a name is not unique, or a cell has no modality.
    """
    if isinstance(data, AnnData):
        _check_names(data, SINGLE)
        return View(data, data.obs_names, {SINGLE: _loaded(data)}, {SINGLE: np.arange(data.n_obs)})
    if isinstance(data, MuData):
        return _view_mudata(data, skip_empty=skip_empty)
    if hasattr(data, "tables"):
        return view(data.tables[table_name(data, table_key)])
    read = f" Read it first: mudata.read_h5mu({str(data)!r})." if isinstance(data, str | Path) else ""
    raise TypeError(f"Expected AnnData, MuData or SpatialData, got {type(data).__name__}.{read}")


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

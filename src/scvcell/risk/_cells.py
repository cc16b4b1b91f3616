"""The cells of a SpatialData as a container that can be cut, written and sent to other processes."""

from __future__ import annotations

import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData

from scvcell._containers import COORDINATES, view
from scvcell.model import CSL

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scvcell._containers import Container

ATTRS = "spatialdata_attrs"
"""Where a table says which element it annotates."""


def cells_of(data: Container, models: Iterable[Any] = ()) -> Any:
    """AnnData or MuData as they are; of a SpatialData its cells with the places that its elements give them.

    Parameters
    ----------
    data
        The data. They do not change.
    models
        What predictors hold; the first cell-state latent among them knows which tables it was fitted on.

    Returns
    -------
    AnnData of one table, MuData of several, with ``obsm["spatial"]``. Values are shared, annotation is copied.

    Raises
    ------
    ValueError
        If there are several tables, and nobody knows which are meant.
    """
    if isinstance(data, AnnData | MuData) or not hasattr(data, "tables"):
        return data
    model: Any = next((each for each in models if isinstance(each, CSL)), None)
    tables = list(map(str, data.tables))
    if model is None and len(tables) != 1:
        example = ", ".join(f"{name!r}: data.tables[{name!r}]" for name in tables[:2])
        raise ValueError(
            f"This SpatialData has the tables {tables}, and nothing says which are meant. Give one of them, such as "
            f"data.tables[{tables[0]!r}], or several as modalities: mudata.MuData({{{example}}})."
            if tables
            else "This SpatialData has no table, so that there are no cells to ask about."
        )
    seen = view(data) if model is None else model.view(data)
    tables_of = {name: _shallow(table) for name, table in seen.modalities.items()}
    out: Any = next(iter(tables_of.values()))
    if len(tables_of) > 1:
        with warnings.catch_warnings():  # a gene and its protein may share a name
            warnings.filterwarnings("ignore", message="var_names are not unique")
            out = MuData(tables_of)
        out.obs = seen.obs().set_index(seen.obs_names).loc[out.obs_names]
    place = seen.own_place
    with suppress(ValueError):  # elements without a common coordinate system: there are no places then
        if place is not None:
            at = seen.obs_names.get_indexer(out.obs_names)
            out.obsm[COORDINATES] = place.coordinates()[at]
    return out


def held_cells(data: Container, models: Iterable[Any] = ()) -> Any:
    """The same of data whose values are in memory: what asks has to hide some of them, and to copy the others.

    Raises
    ------
    ValueError
        Also if values are on disk: of a backed AnnData, or a corpus of files.
    """
    data = cells_of(data, models)
    for name, table in view(data).modalities.items():
        if not (isinstance(table.X, np.ndarray) or sp.issparse(table.X)):
            raise ValueError(
                f"The values of {name!r} are not in memory ({type(table.X).__name__}). Questions hide cells and copy "
                "the others: choose the cells that are asked about and learned from, and read them, e.g. "
                "data[data.obs['donor'].isin(donors)].to_memory()."
            )
    return data


def _shallow(table: AnnData) -> AnnData:
    """A table that shares values, and annotates no element."""
    uns = {key: value for key, value in table.uns.items() if key != ATTRS}
    parts: Any = {part: dict(getattr(table, part)) for part in ("obsm", "varm", "layers")}
    parts["layers"].pop(None, None)
    return AnnData(table.X, table.obs.copy(), table.var.copy(), uns=uns, **parts)

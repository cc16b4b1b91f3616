"""New cells as a container of the kind that a model has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from anndata.utils import make_index_unique

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from anndata import AnnData
    from mudata import MuData
    from numpy.typing import NDArray


def gather(
    tables: dict[str, AnnData], obsm: dict[str, NDArray[np.float32]], obs: pd.DataFrame | None = None
) -> AnnData | MuData:
    """New cells as AnnData, or as MuData where there are several modalities.

    Parameters
    ----------
    tables
        By modality; those of several modalities may lack cells.
    obsm
        Arrays of all cells.
    obs
        Annotation of all cells, in the order of `obsm`; by default that of the tables, which then have the same cells.
    """
    if len(tables) == 1:
        (only,) = tables.values()
        only.obsm.update(obsm)
        return only
    from mudata import MuData

    mdata = MuData(tables)
    obs = next(iter(tables.values())).obs if obs is None else obs
    at = obs.index.get_indexer(mdata.obs_names)
    mdata.obs = obs.iloc[at].copy()
    mdata.obsm.update({key: value[at] for key, value in obsm.items()})
    return mdata


def unique_names(names: Iterable[str]) -> pd.Index:
    """Names of new cells, of which those that come again are numbered: ``a``, ``a-1``, ``a-2``."""
    return make_index_unique(pd.Index(list(names), dtype=object))

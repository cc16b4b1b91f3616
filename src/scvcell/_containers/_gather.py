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


def gather(tables: dict[str, AnnData], obsm: dict[str, NDArray[np.float32]]) -> AnnData | MuData:
    """New cells as AnnData, or as MuData where there are several modalities."""
    if len(tables) == 1:
        (only,) = tables.values()
        only.obsm.update(obsm)
        return only
    from mudata import MuData

    mdata = MuData(tables)
    mdata.obs = next(iter(tables.values())).obs.copy()
    mdata.obsm.update(obsm)
    return mdata


def unique_names(names: Iterable[str]) -> pd.Index:
    """Names of new cells, of which those that come again are numbered: ``a``, ``a-1``, ``a-2``."""
    return make_index_unique(pd.Index(list(names), dtype=object))

"""Annotation of cells, in memory where it is needed: columns of obs, numbers of obsm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

    from scvcell._types import Array


def frame(obs: Any) -> pd.DataFrame:
    """Annotation in memory; anndata keeps that of data that are read lazily on disk."""
    return obs if isinstance(obs, pd.DataFrame) else obs.to_memory()


def column_of(obs: Any, key: str) -> pd.Series:
    """A column of annotation, alone where that is read lazily."""
    return obs[key] if isinstance(obs, pd.DataFrame) else frame(obs[[key]])[key]


def numbers_of(holder: AnnData | MuData, key: str) -> Array:
    """Numbers in obsm, ``(cells, width)``.

    Raises
    ------
    ValueError
        If they are none.
    """
    try:
        return np.asarray(holder.obsm[key], dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"obsm[{key!r}] holds values that are no numbers.") from None

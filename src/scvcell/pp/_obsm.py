"""pp.modality_from_obsm: an embedding that another model made, as a modality of its own."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData

from scvcell import _keys
from scvcell._registry import near_miss

if TYPE_CHECKING:
    from anndata import AnnData as Cells

logger = logging.getLogger("scvcell")


def modality_from_obsm(adata: Cells, key: str) -> AnnData:
    """An array in ``.obsm`` (scGPT, Geneformer, UNI, a text embedding) as a modality for the ``profile`` operator.

    Parameters
    ----------
    adata
        Holds the array.
    key
        Its key in ``.obsm``.

    Returns
    -------
    AnnData of the cells that have the embedding x its dimensions (``<key>_0``, ...), with the obs of `adata`. Cells
    whose row is missing as a whole (all NaN) are left out: to the model they simply lack this modality.

    Raises
    ------
    KeyError
        If there is no such key.
    ValueError
        If a row is missing in part, a value is infinite, or no row is left.

    Examples
    --------
    >>> mdata = mudata.MuData({"rna": adata, "scgpt": scvcell.pp.modality_from_obsm(adata, "X_scGPT")})
    >>> model = scvcell.tl.fit(mdata)
    """
    if key not in adata.obsm:
        raise KeyError(f"No obsm {key!r}.{near_miss(key, adata.obsm)} Keys: {', '.join(adata.obsm) or 'none'}.")
    held = adata.obsm[key]
    names = list(map(str, held.columns)) if isinstance(held, pd.DataFrame) else None
    values = np.asarray(held.toarray() if hasattr(held, "toarray") else held, dtype=np.float32)
    missing = np.isnan(values)
    absent = missing.all(1)
    torn = missing.any(1) & ~absent
    if torn.any() or np.isinf(values).any():
        bad = torn | np.isinf(values).any(1)
        raise ValueError(
            f"obsm[{key!r}] has NaN or infinite values in {bad.sum()} rows, e.g. {adata.obs_names[bad][0]!r}. "
            "Fill them, or set the whole row to NaN: the cell then counts as not embedded."
        )
    if absent.all():
        raise ValueError(f"obsm[{key!r}] is missing for every cell.")
    if absent.any():
        logger.info("obsm[%r] is missing for %d of %d cells; they lack this modality.", key, absent.sum(), len(absent))
    names = names or [f"{key.removeprefix('X_')}_{i}" for i in range(values.shape[1])]
    out = AnnData(values[~absent], adata.obs[~absent].copy(), pd.DataFrame(index=pd.Index(names)))
    out.uns[_keys.MEASURE] = {"operator": "profile"}
    return out

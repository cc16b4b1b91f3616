"""pp.modality_from_obsm: an embedding that another model made, as a modality of its own."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData

from scvcell import _keys
from scvcell._containers import fault
from scvcell._registry import near_miss

if TYPE_CHECKING:
    from anndata import AnnData as Cells

logger = logging.getLogger("scvcell")


def modality_from_obsm(adata: Cells, key: str) -> AnnData:
    """An array in ``.obsm`` as a modality: an embedding (scGPT, Geneformer, UNI), or counts of proteins.

    Parameters
    ----------
    adata
        Holds the array.
    key
        Its key in ``.obsm``.

    Returns
    -------
    AnnData of the cells that have the array x its columns (their names, for proteins those in ``uns["protein_names"]``,
    else ``<key>_0``, ...), with the obs of `adata`. It is marked for the operator that the key stands for
    (``"protein_expression"``: ``protein``), else for ``profile``; whole numbers under another key are not marked: the
    name of the modality tells. Cells whose row is missing as a whole (all NaN) are left out: to the model they simply
    lack this modality.

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
    operator = _operator(key, values[~absent])
    if names is None and operator == "protein" and len(adata.uns.get("protein_names", ())) == values.shape[1]:
        names = list(map(str, adata.uns["protein_names"]))
    names = names or [f"{key.removeprefix('X_')}_{i}" for i in range(values.shape[1])]
    out = AnnData(values[~absent], adata.obs[~absent].copy(), pd.DataFrame(index=pd.Index(names)))
    if operator:
        out.uns[_keys.MEASURE] = {"operator": operator}
    return out


def _operator(key: str, values: np.ndarray) -> str | None:
    """Operator of an array by its key and values; None for counts whose key says nothing."""
    from scvcell.measure import MEASUREMENTS

    named = MEASUREMENTS.infer(key.removeprefix("X_"))
    if fault(values, counts=True):
        return named if named and not MEASUREMENTS[named].count_data else "profile"
    return named

"""pp.modality_from_layers: mature and nascent counts of the same genes as one modality of coupled counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from scvcell import _keys
from scvcell._registry import near_miss

if TYPE_CHECKING:
    from anndata import AnnData as Cells


def modality_from_layers(
    adata: Cells, mature: str = "spliced", nascent: str = "unspliced", *, time: float | None = None
) -> AnnData:
    """Two layers of counts as a modality for the ``kinetics`` operator.

    Parameters
    ----------
    adata
        Holds the layers, raw counts of the same genes.
    mature, nascent
        Layers of spliced and unspliced counts, or of old and new ones (metabolic labelling).
    time
        Labelling time, in the unit that degradation rates shall have; None for spliced and unspliced counts.

    Returns
    -------
    AnnData of the same cells x twice the genes, named ``GENE:spliced`` and then ``GENE:unspliced`` (by the layers).

    Raises
    ------
    KeyError
        If there is no such layer.
    ValueError
        If both layers are the same one, or `time` is not above 0.

    Examples
    --------
    >>> mdata = mudata.MuData({"kinetics": scvcell.pp.modality_from_layers(adata)})
    >>> model = scvcell.tl.fit(mdata)
    """
    if mature == nascent:
        raise ValueError(f"mature= and nascent= are both {mature!r}; they are two layers.")
    if time is not None and not (np.isfinite(time) and time > 0):
        raise ValueError(f"time must be a labelling time above 0, not {time!r}.")
    for key in (mature, nascent):
        if key not in adata.layers:
            layers = [k for k in adata.layers if k]
            raise KeyError(f"No layer {key!r}.{near_miss(key, layers)} Layers: {', '.join(layers) or 'none'}.")
    names = [f"{gene}:{layer}" for layer in (mature, nascent) for gene in adata.var_names]
    both = [adata.layers[key] for key in (mature, nascent)]
    x: Any = sp.hstack([sp.csr_matrix(part) for part in both], format="csr")
    out = AnnData(x.astype(np.float32), adata.obs.copy(), pd.DataFrame(index=pd.Index(names)))
    options: dict[str, float] = {} if time is None else {"time": float(time)}
    out.uns[_keys.MEASURE] = {"operator": "kinetics", "options": options}
    return out

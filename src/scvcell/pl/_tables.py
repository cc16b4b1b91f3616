"""Reading what the plots draw: obs columns of any container, and predictions beside their truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp
from mudata import MuData

from scvcell._containers import view

if TYPE_CHECKING:
    from typing import Any

    from anndata import AnnData
    from numpy.typing import NDArray


def obs_column(data: AnnData | MuData, key: str) -> pd.Series:
    """Obs column of a container, or ``"modality:column"`` of one modality (NaN where a cell lacks it).

    ``"modalities"`` stands for the assays that each cell of a MuData has.

    Raises
    ------
    ValueError
        If there is no such column; the message lists those that exist.
    """
    if key in data.obs:
        return pd.Series(data.obs[key])
    known = list(data.obs.columns)
    if isinstance(data, MuData):
        if key == "modalities":
            return assays(data)
        modality, _, column = key.partition(":")
        if modality in data.mod and column in data.mod[modality].obs:
            values = data.mod[modality].obs[column]
            return values.reindex(data.obs_names)
        known += ["modalities", *(f"{name}:{c}" for name, adata in data.mod.items() for c in adata.obs.columns)]
    raise ValueError(f"No obs column {key!r}. Columns: {', '.join(map(str, known)) or 'none'}.")


def assays(mdata: MuData) -> pd.Series:
    """Which assays each cell has, e.g. ``"rna"``, ``"adt"`` or ``"rna + adt"``."""
    seen = view(mdata)
    present = {name: seen.present(name) for name in seen.modalities}
    text = [" + ".join(name for name, has in present.items() if has[i]) for i in range(seen.n_obs)]
    order = sorted(
        dict.fromkeys(text), key=lambda t: (t.count(" + "), [list(present).index(m) for m in t.split(" + ")])
    )
    return pd.Series(pd.Categorical(text, categories=order), index=seen.obs_names, name="modalities")


def shared(pred: AnnData, truth: AnnData) -> tuple[AnnData, AnnData]:
    """Return views of prediction and truth on the cells and features that both have, in the order of the prediction.

    Raises
    ------
    ValueError
        If they share no cell or no feature.
    """
    for what, left, right in (
        ("cells", pred.obs_names, truth.obs_names),
        ("features", pred.var_names, truth.var_names),
    ):
        if not left.isin(right).any():
            raise ValueError(
                f"`pred` and `truth` have no {what} in common: {left[0]!r}, ... against {right[0]!r}, ... "
                f"Give the measured modality, e.g. `truth=mdata['adt']`."
            )
    cells = pred.obs_names[pred.obs_names.isin(truth.obs_names)]
    features = pred.var_names[pred.var_names.isin(truth.var_names)]
    return pred[cells, features], truth[cells, features]


def dense(x: Any) -> NDArray[np.float64]:
    """Matrix as a dense float array."""
    return np.asarray(x.toarray() if sp.issparse(x) else x, dtype=np.float64)


def need_layers(pred: AnnData, *names: str) -> None:
    """Check that a prediction is one of `scvcell.tl.translate`.

    Raises
    ------
    ValueError
        If a layer is missing.
    """
    missing = [name for name in names if name not in pred.layers]
    if missing:
        raise ValueError(
            f"`pred` has no layer {missing[0]!r}: run `scvcell.tl.translate(data, model, to=...)` first, "
            "and give its result."
        )

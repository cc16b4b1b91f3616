"""pp.prepare_query: data with the modalities and features of a model, with those that were not measured marked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anndata import AnnData
from mudata import MuData

if TYPE_CHECKING:
    from scvcell._containers import Container
    from scvcell.model import CSL


def prepare_query(data: Container, model: CSL) -> AnnData | MuData:
    """Data in the form a model was fitted on: its modalities by its names, its features in its order.

    Verbs do the same with what they read, so that this is needed only to look at what they see, or to write into it.
    The counterpart of scvi-tools' ``prepare_query_anndata``, but features that the data lack count as not measured.

    Parameters
    ----------
    data
        AnnData or MuData; it does not change. A modality of another name is taken where its name means the same
        (``"Gene Expression"`` for ``"rna"``), an AnnData for the modality whose features it has.
    model
        Fitted model.

    Returns
    -------
    Container of the same cells. Features that the data lack are zero in ``X``, and False in ``varm["observed"]``
    (features x batches), by which the model knows that they were not measured. Features that the model does not know
    are left out. An AnnData where `data` is one and the model has one modality, else a MuData.

    Raises
    ------
    ValueError
        If no modality is known, one has less than a tenth of the features of the model, or its values cannot be used.

    Examples
    --------
    >>> query = scvcell.pp.prepare_query(adata, model)
    >>> scvcell.tl.embed(query, model)
    """
    from scvcell._checks import expect
    from scvcell._containers import frame
    from scvcell.model import CSL

    expect("model", model, CSL, "The data come first, then the model.")
    seen = model.view(data)
    modalities = {name: adata.copy() for name, adata in seen.modalities.items()}
    if isinstance(seen.source, AnnData) and len(model.schema.modalities) == 1:
        return next(iter(modalities.values()))
    out = MuData(modalities)
    out.obs = frame(seen.source.obs).loc[out.obs_names].copy()
    return out

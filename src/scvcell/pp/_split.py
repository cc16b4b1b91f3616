"""pp.split_modalities: one table with features of several kinds, or with proteins in obsm, as a MuData."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData

from scvcell._checks import expect
from scvcell._containers import SINGLE, feature_types
from scvcell.pp._obsm import modality_from_obsm

if TYPE_CHECKING:
    from anndata import AnnData as Cells

logger = logging.getLogger("scvcell")

USUAL = {"counts": SINGLE, "protein": "adt", "atac": "atac"}
"""Names of modalities by their operator."""


def split_modalities(adata: Cells) -> MuData:
    """An AnnData with RNA, proteins, peaks or guides in one table as a MuData with a modality of each.

    Parameters
    ----------
    adata
        Raw counts, as 10x Genomics and scanpy keep them: ``var["feature_types"]`` says what each feature is (``"Gene
        Expression"``, ``"Antibody Capture"``, ``"Peaks"``); or as scvi-tools does: proteins in ``obsm``
        (``"protein_expression"``; names in its columns or in ``uns["protein_names"]``). It does not change.

    Returns
    -------
    MuData with ``"rna"``, ``"adt"`` and ``"atac"``, as far as they are there, and any other kind under its own name;
    obs is that of `adata`. Guides and sample tags are annotation of cells: they become data frames in ``.obsm`` of the
    first modality, under the name of their kind.

    Raises
    ------
    ValueError
        If there is only one kind of features.

    Examples
    --------
    >>> adata = scanpy.read_10x_h5("filtered_feature_bc_matrix.h5", gex_only=False)
    >>> model = scvcell.tl.fit(scvcell.pp.split_modalities(adata))
    """
    from scvcell.measure import MEASUREMENTS
    from scvcell.model import annotation, proteins_in_obsm

    expect("adata", adata, AnnData, "A MuData has its modalities already.")
    kinds, proteins = feature_types(adata), proteins_in_obsm(adata)
    column = adata.var["feature_types"].astype(object).to_numpy() if kinds else np.full(adata.n_vars, None, object)
    assays: list[str | None] = [kind for kind in kinds if not annotation(kind)] or [None]
    if len(kinds) + len(proteins) + (not kinds) < 2:
        raise ValueError(
            f"There is one kind of features: {kinds or 'var has no column feature_types'}, and obsm has no counts of "
            f"proteins; it has {list(adata.obsm) or 'nothing'}. Nothing is to be split."
        )
    modalities: dict[str, AnnData] = {}
    for kind in assays:
        name = str(USUAL.get(str(MEASUREMENTS.infer(kind)), kind)) if kind else SINGLE
        part = adata[:, column == kind] if kind else adata
        if modalities:
            part = AnnData(part.X, adata.obs, part.var, layers={k: part.layers[k] for k in part.layers if k})
        modalities[str(kind) if name in modalities else name] = part.copy()
    first = next(iter(modalities.values()))
    for key in proteins:
        modalities[key if "adt" in modalities else "adt"] = modality_from_obsm(adata, key)
        del first.obsm[key]
    for kind in kinds:
        if annotation(kind):
            part = adata[:, column == kind]
            first.obsm[kind] = pd.DataFrame(part.to_df(), columns=part.var_names)
            logger.warning(
                "%s: counts are in obsm[%r] of the first modality. Assign each cell its own in an obs column%s.",
                kind,
                kind,
                ", and give fit perturbation=" if annotation(kind) == "guides" else "",
            )
    out = MuData(modalities)
    out.obs = adata.obs.loc[out.obs_names].copy()
    return out

"""pp.panels: a reference and a tissue whose panel holds some of its genes, as the modalities of one fit."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData

from scvcell import _keys
from scvcell._containers import Matrix, Space, fault, view
from scvcell._labels import joined
from scvcell.measure import MEASUREMENTS
from scvcell.pp._names import are_ids, same_name

if TYPE_CHECKING:
    from scvcell._containers import Container, View

logger = logging.getLogger("scvcell")

MIN_SHARED = 10
"""Features that reference and tissue must share."""
FEW_SHARED = 50
"""Shared features below which a warning says that hardly anything can be told from them."""
PANEL, REST = "panel", "rest"
REFERENCE, SPATIAL = "reference", "spatial"


def panels(
    reference: Container, spatial: Container, *, layer: str | None = None, key_added: str = "platform"
) -> MuData:
    """Reference and tissue as one MuData, in which the genes of the panel and all others are two assays.

    What the panel lacks is then an assay that the cells of the tissue do not have, and imputation is translation:
    ``tl.fit(mdata, batch_key="platform")``, then :func:`scvcell.tl.impute_space`.

    Parameters
    ----------
    reference
        Cells with many genes, raw counts: AnnData, or MuData of which one modality holds them; the other ones
        (proteins, say) are taken along.
    spatial
        Cells of the tissue with the genes of a panel, raw counts: AnnData, or a container with one modality.
    layer
        Layer of the raw counts, where a table has it; ``X`` else.
    key_added
        Column of obs that tells the two platforms apart.

    Returns
    -------
    MuData. ``panel``: genes that both have, cells of both; ``rest``: genes of the reference only, its cells; then
    further modalities of the reference. obs: the columns of both, and ``obs[key_added]``, ``"reference"`` or
    ``"spatial"``; ``obsm["spatial"]``: places of the tissue's cells, NaN of the reference's. Genes that the tissue
    alone has are left out. Nothing that was given changes.

    Raises
    ------
    ValueError
        If hardly any gene is shared, names come twice, both have cells of one name, values are no raw counts, or the
        reference has nothing that the panel lacks.

    Warns
    -----
    (log) where few genes are shared.

    Examples
    --------
    >>> mdata = scvcell.pp.panels(reference, xenium)
    >>> model = scvcell.tl.fit(mdata, batch_key="platform")
    >>> genes = scvcell.tl.impute_space(mdata, model)
    """
    known, tissue = view(reference), view(spatial)
    if len(tissue.modalities) != 1:
        raise ValueError(
            f"The spatial data have the modalities {list(tissue.modalities)}; give the one with the genes of the panel."
        )
    (own,) = tissue.modalities
    name = _most_shared(known, tissue.modalities[own])
    genes, panel = known.modalities[name], tissue.modalities[own]
    shared = _shared(genes, panel)
    both = known.obs_names.intersection(tissue.obs_names)
    if len(both):
        raise ValueError(
            f"{len(both)} cells have one name in reference and tissue, e.g. {both[0]!r}. Rename those of the "
            "reference: reference.obs_names = 'reference_' + reference.obs_names."
        )
    for what, seen in ((REFERENCE, known), (SPATIAL, tissue)):
        if key_added in seen.columns:
            raise ValueError(f"The {what} data have a column obs[{key_added!r}] already; give another key_added=.")
    counts = _counts(genes, layer, REFERENCE), _counts(panel, layer, SPATIAL)
    obs = _annotation(known, tissue, key_added)
    tables = {PANEL: _joined_panel(counts, (genes, panel), shared)}
    rest = ~genes.var_names.isin(shared)
    if rest.any():
        tables[REST] = AnnData(
            counts[0][:, rest], pd.DataFrame(index=genes.obs_names), genes.var.iloc[np.flatnonzero(rest)].copy()
        )
    for each in tables.values():
        each.uns[_keys.MEASURE] = {"operator": "counts", "options": {}}
    tables |= {other: table.copy() for other, table in known.modalities.items() if other != name}
    if len(tables) == 1:
        raise ValueError("The panel has every feature of the reference: there is nothing to impute.")
    return _as_mudata(tables, obs, key_added, tissue)


def _most_shared(known: View, panel: AnnData) -> str:
    """Modality of the reference that shares the most features with the panel, of those that are no other assay."""
    names = [m for m in known.modalities if MEASUREMENTS.infer(m) in (None, "counts")] or list(known.modalities)
    return max(names, key=lambda m: known.modalities[m].var_names.isin(panel.var_names).sum())


def _shared(genes: AnnData, panel: AnnData) -> pd.Index:
    """Features of both, in the order of the reference.

    Raises
    ------
    ValueError
        If there are too few of them, saying how others are spelled.
    """
    for what, table in ((REFERENCE, genes), (SPATIAL, panel)):
        twice = table.var_names[table.var_names.duplicated()]
        if len(twice):
            raise ValueError(f"Feature names must be unique; the {what} data have {twice[0]!r} more than once.")
    shared = genes.var_names[genes.var_names.isin(panel.var_names)]
    if len(shared) < MIN_SHARED:
        raise ValueError(
            f"Reference and tissue share {len(shared)} features; {MIN_SHARED} are needed. The reference has "
            f"{list(genes.var_names[:3])}, the tissue {list(panel.var_names[:3])}.{_spelling(genes, panel)}"
        )
    if len(shared) < FEW_SHARED:
        logger.warning(
            "Reference and tissue share %d features only: they tell little of a cell. See uns['csl_impute'] of what "
            "is imputed.",
            len(shared),
        )
    left = panel.n_vars - len(shared)
    if left:
        logger.info("%d of %d features of the tissue are not in the reference; they are left out.", left, panel.n_vars)
    return shared


def _spelling(genes: AnnData, panel: AnnData) -> str:
    """How names could be brought together, where they are spelled in two ways."""
    ids = are_ids(genes.var_names), are_ids(panel.var_names)
    if ids[0] != ids[1]:
        what = SPATIAL if ids[1] else REFERENCE
        var = panel.var if ids[1] else genes.var
        columns = f"one of its columns {list(map(str, var.columns))}" if len(var.columns) else "a table of your own"
        return (
            f" Those of the {what} data are Ensembl ids, the others symbols: give the {what} data the symbols as "
            f"var_names, from {columns}."
        )
    found, _ = same_name(genes.var, panel.var, None)
    if len(found) >= MIN_SHARED:
        return f" {len(found)} of them are alike but for case, versions or prefixes: spell var_names alike."
    return " Are both of one species?"


def _counts(table: AnnData, layer: str | None, what: str) -> sp.csr_matrix:
    """Raw counts of a table.

    Raises
    ------
    ValueError
        If they are none, or there are none.
    """
    held = table.layers[layer] if layer is not None and layer in table.layers else table.X
    if held is None:
        raise ValueError(f"The {what} data have no X. Give layer=, one of {[key for key in table.layers if key]}.")
    x = sp.csr_matrix(Matrix(held).rows(np.arange(table.n_obs)))
    wrong = fault(x, counts=True)
    if wrong:
        raise ValueError(
            f"The {what} data hold values that are {wrong}; raw counts are needed. If they are in a layer, give "
            f"layer=, one of {[key for key in table.layers if key] or 'none'}."
        )
    return x.astype(np.float32)


def _annotation(known: View, tissue: View, key_added: str) -> pd.DataFrame:
    """Columns of the cells of both, and the platform of each."""
    parts = [known.obs(), tissue.obs()]
    out: dict[Any, pd.Series] = {}
    names = known.obs_names.append(tissue.obs_names)
    for key in dict.fromkeys([*parts[0], *parts[1]]):
        out[key] = joined([part[key] for part in parts if key in part]).reindex(names)
    frame = pd.DataFrame(out, index=names)
    platform = [REFERENCE] * known.n_obs + [SPATIAL] * tissue.n_obs
    frame[key_added] = pd.Categorical(platform, [REFERENCE, SPATIAL])
    return frame


def _joined_panel(
    counts: tuple[sp.csr_matrix, sp.csr_matrix], tables: tuple[AnnData, AnnData], shared: pd.Index
) -> AnnData:
    """Counts of the shared features of all cells."""
    parts = [x[:, table.var_names.get_indexer(shared)] for x, table in zip(counts, tables, strict=True)]
    names = tables[0].obs_names.append(tables[1].obs_names)
    x = sp.csr_matrix(sp.vstack(parts))
    return AnnData(x, pd.DataFrame(index=names), tables[1].var.loc[shared].copy())


def _as_mudata(tables: dict[str, AnnData], obs: pd.DataFrame, key_added: str, tissue: View) -> MuData:
    """Tables with the platform in each, all annotation and the places in the container."""
    for table in tables.values():
        table.obs[key_added] = obs[key_added].loc[table.obs_names]
    mdata = MuData(tables)
    mdata.obs = obs.loc[mdata.obs_names].copy()
    try:
        space = Space.of(tissue)
    except ValueError as error:
        logger.info("The cells of the tissue get no places. %s", error)
        return mdata
    xy = np.full((mdata.n_obs, space.xy.shape[1]), np.nan)
    xy[mdata.obs_names.get_indexer(space.names)] = space.xy
    mdata.obsm[SPATIAL] = xy
    return mdata

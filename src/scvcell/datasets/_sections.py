"""One loader per tissue section."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scvcell._containers import circles
from scvcell.datasets import _build
from scvcell.datasets._loaders import check
from scvcell.datasets._registry import fetch

if TYPE_CHECKING:
    from anndata import AnnData

SPOT_RADIUS = 27.5
"""Radius of a Visium spot, in um."""


def breast(*, as_anndata: bool = False) -> Any:
    """Human breast tumour, one field measured twice: cells by Xenium, spots by Visium of a neighbouring section.

    17,136 cells x 313 genes and 709 spots x 4,136 genes, 307 of them shared; raw counts. Both are in one frame, which
    STalign has made, in um: 2,963 x 2,074, spots of 55 um diameter are 100 um apart. It is one section of one donor.

    Parameters
    ----------
    as_anndata
        Whether tables are returned instead of a SpatialData.

    Returns
    -------
    SpatialData with the tables ``"xenium"`` and ``"visium"`` and the circles ``"xenium_cells"`` (of each cell's area)
    and ``"visium_spots"``; or the tables, by name, as AnnData. Both have ``obsm["spatial"]``. ``xenium.obs`` has
    ``cell_type`` (11 types by marker genes, ours, missing of 268 cells: no published annotation), ``cell_area`` and
    ``nucleus_area`` (um2); ``visium.obs`` has ``total_counts`` (of all 18,085 genes).

    Raises
    ------
    FileNotFoundError
        If a file is not on this machine; the message says how to point the package to it.
    ValueError
        If what was found is not what is registered.
    ImportError
        If a SpatialData is asked for and spatialdata is not installed.

    References
    ----------
    Janesick et al., High resolution mapping of the tumor microenvironment using integrated single-cell, spatial and in
    situ analysis, Nat Commun 2023; Clifton et al., STalign, Nat Commun 2023 (the frame).

    Examples
    --------
    >>> sdata = scvcell.datasets.breast()
    >>> model = scvcell.tl.fit(sdata, table_key="xenium")
    """
    tables = _build.breast(fetch("breast"))
    check("breast", *(table.X for table in tables.values()))
    if as_anndata:
        return tables
    radius = {
        "xenium": np.sqrt(tables["xenium"].obs["cell_area"].to_numpy() / np.pi),
        "visium": np.full(tables["visium"].n_obs, SPOT_RADIUS),
    }
    elements = {"xenium": "xenium_cells", "visium": "visium_spots"}
    regions = {name: [element] * tables[name].n_obs for name, element in elements.items()}
    return circles(tables, regions, radius)


def dlpfc() -> AnnData:
    """Human dorsolateral prefrontal cortex: two neighbouring Visium sections of one donor.

    7,312 spots x 3,837 genes, those that both sources keep; raw counts. Coordinates are in um, from distances of spots
    (100 um).

    Returns
    -------
    AnnData with ``section`` (``151673``, ``151674``), ``layer`` (``L1`` to ``L6``, ``WM``; missing of 66 spots),
    ``array_row`` and ``array_col`` in ``.obs``, and ``obsm["spatial"]``.

    Raises
    ------
    FileNotFoundError
        If a file is not on this machine; the message says how to point the package to it.
    ValueError
        If what was found is not what is registered.

    References
    ----------
    Maynard, Collado-Torres et al., Transcriptome-scale spatial gene expression in the human dorsolateral prefrontal
    cortex, Nat Neurosci 2021.
    """
    adata = _build.dlpfc(fetch("dlpfc"))
    check("dlpfc", adata.X)
    return adata


def starmap() -> AnnData:
    """Mouse medial prefrontal cortex by STARmap: three sections.

    3,190 cells x 166 genes, raw counts. Coordinates are in pixels, of which the source gives no size.

    Returns
    -------
    AnnData with ``section`` (3), ``cell_type`` (15) and ``domain`` (``1`` to ``4``) in ``.obs``, and
    ``obsm["spatial"]``.

    Raises
    ------
    FileNotFoundError
        If a file is not on this machine; the message says how to point the package to it.
    ValueError
        If what was found is not what is registered.

    References
    ----------
    Wang et al., Three-dimensional intact-tissue sequencing of single-cell transcriptional states, Science 2018; Li and
    Zhou, BASS, Genome Biol 2022 (types and domains).
    """
    adata = _build.starmap(fetch("starmap"))
    check("starmap", adata.X)
    return adata


def lymph_node() -> dict[str, AnnData]:
    """Human lymph node by Visium, and dissociated cells of other donors.

    1,000 spots x 2,000 genes and 330 cells x 10,237 genes, raw counts. Coordinates are in pixels.

    Returns
    -------
    AnnData by name: ``"visium"`` with ``obsm["spatial"]``, and ``"reference"`` with ``cell_type`` (11 types, 30 cells
    each) and ``donor`` in ``.obs``.

    Raises
    ------
    FileNotFoundError
        If a file is not on this machine; the message says how to point the package to it.
    ValueError
        If what was found is not what is registered.

    References
    ----------
    Kleshchevnikov et al., Cell2location maps fine-grained cell types in spatial transcriptomics, Nat Biotechnol 2022.
    """
    tables = _build.lymph_node(fetch("lymph_node"))
    check("lymph_node", *(table.X for table in tables.values()))
    return tables

"""One loader per real data set."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import mudata as md
import pandas as pd

from scvcell.datasets import _build
from scvcell.datasets._registry import DATA_DIR, entry, fetch

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


def pbmc_mosaic() -> MuData:
    """Embedded real mosaic: human blood cells, some with RNA, some with proteins, some with both.

    1,600 cells in four batches of 400: ``p1_0`` has RNA only, ``p2_0`` proteins only, ``p3_0`` and ``p4_0`` both.
    500 genes (``"rna"``) and 224 antibody tags (``"adt"``), raw counts. Ships inside the package; nothing is
    downloaded.

    Returns
    -------
    MuData with ``batch`` and ``celltype`` (8 types) in ``.obs`` and in the obs of each modality.

    References
    ----------
    He et al., Mosaic integration and knowledge transfer of single-cell multimodal data with MIDAS, Nat Biotechnol 2024.

    Examples
    --------
    >>> mdata = scvcell.datasets.pbmc_mosaic()
    >>> model = scvcell.tl.fit(mdata, batch_key="batch")
    """
    (path,) = fetch("pbmc_mosaic").values()
    with warnings.catch_warnings():
        # A gene and its protein may share a name; features are always addressed within their modality here.
        warnings.filterwarnings("ignore", message="var_names are not unique")
        return _shared(md.read_h5mu(path), ["batch", "celltype"])


def pbmc_citeseq() -> MuData:
    """Human blood cells with RNA and proteins (PBMC10k) and with RNA only (PBMC5k).

    10,849 cells x 4,000 genes (``"rna"``), 6,855 of them x 14 proteins (``"prot"``), raw counts.

    Returns
    -------
    MuData with ``batch`` (``pbmc10k``, ``pbmc5k``) in ``.obs`` and in the obs of each modality.

    Raises
    ------
    FileNotFoundError
        If a file is neither on this machine nor can be downloaded; the message says how to point the package to it.
    ValueError
        If what was found is not what is registered.

    References
    ----------
    Gayoso et al., Joint probabilistic modeling of single-cell multi-omic data with totalVI, Nat Methods 2021.
    """
    mdata = _build.pbmc_citeseq(fetch("pbmc_citeseq"))
    check("pbmc_citeseq", mdata["rna"].X, mdata["prot"].X)
    return _shared(mdata, ["batch"])


def snareseq_mouse_cortex() -> MuData:
    """Adult mouse cortex with RNA and open chromatin of the same cells (SNARE-seq).

    10,309 cells x 1,677 genes (``"rna"``) and 25,734 peaks (``"atac"``), raw counts, very sparse (median 247 RNA
    molecules, 83 peak counts a cell). ``atac.var`` has positions of peaks (mm10), and in ``linked_gene`` a gene nearby.

    Returns
    -------
    MuData with ``batch`` (12 pools), ``ident`` and ``cell_type`` (15 types) in ``.obs`` and in the obs of each
    modality. Type ``Mis`` is a remainder class: leave it out when labels are scored.

    Raises
    ------
    FileNotFoundError
        If a file is neither on this machine nor can be downloaded; the message says how to point the package to it.
    ValueError
        If what was found is not what is registered.

    References
    ----------
    Chen, Lake and Zhang, High-throughput sequencing of the transcriptome and chromatin accessibility in the same cell,
    Nat Biotechnol 2019.
    """
    mdata = _build.snareseq_mouse_cortex(fetch("snareseq_mouse_cortex"))
    check("snareseq_mouse_cortex", mdata["rna"].X, mdata["atac"].X)
    return _shared(mdata, ["batch", "ident", "cell_type"])


def kang_ifnb() -> AnnData:
    """Human blood cells of 8 donors, untreated and with interferon beta for 6 hours.

    24,673 cells x 15,706 genes, raw counts; 38 MB are downloaded once. Lanes are confounded with treatment: there is
    no batch to give.

    Returns
    -------
    AnnData with ``perturbation`` (``control``, ``IFN-beta``), ``cell_type`` (8 types) and ``donor`` in ``.obs``.

    Raises
    ------
    FileNotFoundError
        If a file is neither on this machine nor can be downloaded; the message says how to point the package to it.
    ValueError
        If what was found is not what is registered.

    References
    ----------
    Kang et al., Multiplexed droplet single-cell RNA-sequencing using natural genetic variation, Nat Biotechnol 2018.

    Examples
    --------
    >>> adata = scvcell.datasets.kang_ifnb()
    >>> keys = scvcell.PerturbationKeys("perturbation", control="control", context="cell_type")
    >>> model = scvcell.tl.fit(adata, perturbation=keys)
    """
    adata = _build.kang_ifnb(fetch("kang_ifnb"))
    check("kang_ifnb", adata.X)
    return adata


def norman_crispra() -> AnnData:
    """K562 cells in which one gene or two were switched on (CRISPRa), about 100 cells for each perturbation.

    3,375 cells x 500 variable genes, and one more feature, ``other``, with the counts of all other genes, without which
    shares of so small a panel would mean little. Raw counts, recovered from normalised ones.

    Returns
    -------
    AnnData with ``perturbation`` (``control``, 18 singles, 15 doubles as ``A+B``) in ``.obs``.

    Raises
    ------
    FileNotFoundError
        If a file is neither on this machine nor can be downloaded; the message says how to point the package to it.
    ValueError
        If what was found is not what is registered.

    References
    ----------
    Norman et al., Exploring genetic interaction manifolds constructed from rich single-cell phenotypes, Science 2019.
    """
    source = _build.norman_crispra(fetch("norman_crispra"))
    check("norman_crispra", source.X)
    return _build.counts_of_norman(source)


def korkut_drug_pairs() -> AnnData:
    """SK-MEL-133 melanoma cells under 12 drugs, alone at two doses and in 66 pairs.

    90 conditions x 87 readouts: log2 fold changes of 82 proteins and 5 phenotypes (cell cycle phases and viability)
    against untreated cells, which are the one condition ``control`` of zeros. One sample for each condition.

    Returns
    -------
    AnnData with ``perturbation`` (``control``, a drug, or two as ``A+B``) and ``dose`` (as ``1.5+6``; one unit per
    drug) in ``.obs``.

    Raises
    ------
    FileNotFoundError
        If a file is neither on this machine nor can be downloaded; the message says how to point the package to it.
    ValueError
        If what was found is not what is registered.

    References
    ----------
    Korkut et al., Perturbation biology nominates upstream-downstream drug combinations in RAF inhibitor resistant
    melanoma cells, eLife 2015.
    """
    adata = _build.korkut_drug_pairs(fetch("korkut_drug_pairs"))
    check("korkut_drug_pairs", adata.X)
    return adata


def pancreas_velocity() -> AnnData:
    """Mouse pancreas at day 15.5: endocrine cells in the making, with spliced and unspliced counts.

    3,696 cells x 27,998 genes, raw counts; 50 MB are downloaded once.

    Returns
    -------
    AnnData with the layers ``spliced`` (also ``.X``) and ``unspliced``, and ``clusters`` (8) and ``clusters_coarse`` in
    ``.obs``.

    Raises
    ------
    FileNotFoundError
        If a file is neither on this machine nor can be downloaded; the message says how to point the package to it.
    ValueError
        If what was found is not what is registered.

    References
    ----------
    Bastidas-Ponce et al., Comprehensive single cell mRNA profiling reveals a detailed roadmap for pancreatic
    endocrinogenesis, Development 2019.

    Examples
    --------
    >>> adata = scvcell.datasets.pancreas_velocity()
    >>> mdata = mudata.MuData({"kinetics": scvcell.pp.modality_from_layers(adata)})
    >>> model = scvcell.tl.fit(mdata)
    >>> scvcell.tl.velocity(mdata, model)
    """
    adata = _build.pancreas_velocity(fetch("pancreas_velocity"))
    check("pancreas_velocity", adata.X)
    return adata


def check(name: str, *tables: Any) -> None:
    """Refuse values that are not those of the registered data set."""
    item = entry(name)
    shapes = [(table.shape[0], table.shape[1]) for table in tables]
    if shapes[0][0] != item.cells or [shape[1] for shape in shapes] != list(item.features.values()):
        raise ValueError(f"What {item.url} serves for {name!r} has other cells or features than registered: {shapes}.")
    if item.content is not None and (found := _build.fingerprint(*tables)) != item.content:
        raise ValueError(
            f"What {item.url} serves for {name!r} has other values than registered: fingerprint {found}, not "
            f"{item.content}. Delete incomplete files, or set {DATA_DIR} to a folder with the right ones."
        )


def _shared(mdata: MuData, keys: list[str]) -> MuData:
    """The same, with `keys` of its modalities' obs in the container's obs too."""
    for key in keys:
        columns = [adata.obs[key].astype(str) for adata in mdata.mod.values()]
        column = pd.concat(columns)
        column = column[~column.index.duplicated()].reindex(mdata.obs_names)
        mdata.obs[key] = pd.Categorical(column)
    return mdata

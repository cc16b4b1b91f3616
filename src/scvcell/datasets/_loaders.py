"""One loader per real data set."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, NamedTuple

import anndata as ad
import mudata as md
import numpy as np
import pandas as pd
import scipy.sparse as sp

from scvcell._calm import calm
from scvcell.datasets._registry import entry, locate

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


class ProteinBackground(NamedTuple):
    """Cells and empty droplets of one CITE-seq experiment, with the same proteins in the same order."""

    cells: AnnData
    empty: AnnData


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
    return _read_mudata("pbmc_mosaic", ["batch", "celltype"])


def pbmc_citeseq() -> MuData:
    """Human blood cells with RNA and proteins (PBMC10k) and with RNA only (PBMC5k).

    10,849 cells x 4,000 genes (``"rna"``), 6,855 of them x 14 proteins (``"prot"``), raw counts. ``rna.var`` has
    gene positions (hg38).

    Returns
    -------
    MuData with ``batch`` (``pbmc10k``, ``pbmc5k``) and ``cell_type_adt_gate`` in ``.obs`` and in the obs of each
    modality. The labels are gated on the proteins: never score a prediction of proteins with them.

    Raises
    ------
    FileNotFoundError
        If the file is not on this machine; the message says how to point the package to it.
    ValueError
        If the file found has another SHA-256 than the registered one.

    References
    ----------
    Gayoso et al., Joint probabilistic modeling of single-cell multi-omic data with totalVI, Nat Methods 2021.
    """
    return _read_mudata("pbmc_citeseq", ["batch", "cell_type_adt_gate"])


def snareseq_mouse_cortex() -> MuData:
    """Adult mouse cortex with RNA and open chromatin of the same cells (SNARE-seq).

    10,309 cells x 1,677 genes (``"rna"``) and 25,734 peaks (``"atac"``), raw counts, very sparse (median 247 RNA
    molecules, 83 peak counts a cell). ``rna.var`` has gene positions and ``atac.var`` peak positions (mm10).

    Returns
    -------
    MuData with ``batch`` (12 pools), ``ident`` and ``cell_type`` (15 types) in ``.obs`` and in the obs of each
    modality. Type ``Mis`` is a remainder class: leave it out when labels are scored.

    Raises
    ------
    FileNotFoundError
        If the file is not on this machine; the message says how to point the package to it.
    ValueError
        If the file found has another SHA-256 than the registered one.

    References
    ----------
    Chen, Lake and Zhang, High-throughput sequencing of the transcriptome and chromatin accessibility in the same cell,
    Nat Biotechnol 2019.
    """
    return _read_mudata("snareseq_mouse_cortex", ["batch", "ident", "cell_type"])


def dsb_protein_background() -> ProteinBackground:
    """Protein counts of human blood cells and of the empty droplets of the same lanes.

    The empty droplets show the true background of each antibody.

    Returns
    -------
    Named tuple ``(cells, empty)`` of AnnData, 2,872 cells and 8,005 empty droplets x the same 87 proteins, raw counts,
    with ``obs["lane"]`` (6 lanes) and ``var["isotype"]`` (True for the 4 isotype controls).

    Raises
    ------
    FileNotFoundError
        If a file is not on this machine; the message says how to point the package to it.
    ValueError
        If a file found has another SHA-256 than the registered one.

    References
    ----------
    Mulè, Martins and Tsang, Normalizing and denoising protein expression data from droplet-based single cell profiling,
    Nat Commun 2022.

    Examples
    --------
    >>> cells, empty = scvcell.datasets.dsb_protein_background()
    """
    name = "dsb_protein_background"
    tables = [ad.read_h5ad(locate(name, file)) for file in ("cells.h5ad", "empty_droplets.h5ad")]
    for table in tables:
        table.var["isotype"] = table.var_names.str.contains("isotype", case=False)
    return ProteinBackground(*tables)


def kang_ifnb() -> AnnData:
    """Human blood cells of 8 donors, untreated and with interferon beta for 6 hours.

    4,034 cells x 2,006 genes, raw counts. Lanes are confounded with treatment: do not give one as the batch.

    Returns
    -------
    AnnData with ``perturbation`` (``control``, ``IFN-beta``), ``cell_type`` (8 types), ``donor`` and ``time_h`` in
    ``.obs``. Labels of cells with ``cell_type_source`` ``transferred`` are predicted.

    Raises
    ------
    FileNotFoundError
        If the file is not on this machine; the message says how to point the package to it.
    ValueError
        If the file found has another SHA-256 than the registered one.

    References
    ----------
    Kang et al., Multiplexed droplet single-cell RNA-sequencing using natural genetic variation, Nat Biotechnol 2018.

    Examples
    --------
    >>> adata = scvcell.datasets.kang_ifnb()
    >>> keys = scvcell.PerturbationKeys("perturbation", control="control", context="cell_type")
    >>> model = scvcell.tl.fit(adata, perturbation=keys)
    """
    adata = ad.read_h5ad(locate("kang_ifnb", "kang18_ifnb_mini.h5ad"))
    for key in ("perturbation", "cell_type", "donor"):
        adata.obs[key] = pd.Categorical(adata.obs[key].astype(str))
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
        If the file is not on this machine; the message says how to point the package to it.
    ValueError
        If the file found has another SHA-256 than the registered one.

    References
    ----------
    Norman et al., Exploring genetic interaction manifolds constructed from rich single-cell phenotypes, Science 2019.
    """
    adata = ad.read_h5ad(locate("norman_crispra", "norman19_mcfaline23_subset.h5ad"))
    adata = adata[(adata.obs["dataset"] == "norman19").to_numpy()]
    value = np.expm1(adata.X.toarray())
    one = np.where(value > 0, value, np.inf).min(1, keepdims=True)
    counts = np.round(value / one)
    # A count is worth 10,000 over the total of the cell; what the genes do not hold is the rest.
    worth = np.nanmedian(np.divide(value, counts, out=np.full_like(value, np.nan), where=counts > 0), axis=1)
    other = np.maximum(np.round(1e4 / worth) - counts.sum(1), 0)
    var = pd.DataFrame(index=pd.Index([*map(str, adata.var_names), "other"]))
    obs = pd.DataFrame({"perturbation": pd.Categorical(adata.obs["perturbation"].astype(str))}, adata.obs_names)
    return ad.AnnData(sp.csr_matrix(np.column_stack([counts, other]).astype(np.float32)), obs=obs, var=var)


def papalexi_eccite() -> AnnData:
    """THP-1 cells with one of 25 genes around interferon signalling knocked out, or with a non-targeting guide.

    18,826 cells x 299 genes, raw counts; cells without a clear guide are left out.

    Returns
    -------
    AnnData with ``perturbation`` (``non-targeting`` or one of 25 genes), ``guide`` and ``bio_rep`` (3) in ``.obs``.

    Raises
    ------
    FileNotFoundError
        If the file is not on this machine; the message says how to point the package to it.
    ValueError
        If the file found has another SHA-256 than the registered one.

    References
    ----------
    Papalexi et al., Characterizing the molecular regulation of inhibitory immune checkpoints with multimodal
    single-cell screens, Nat Genet 2021.
    """
    adata = md.read_h5mu(locate("papalexi_eccite", "papalexi21_eccite_thp1.h5mu")).mod["rna"]
    adata = adata[(adata.obs["perturbation"].astype(str) != "unassigned").to_numpy()].copy()
    for key in ("perturbation", "guide", "bio_rep"):
        adata.obs[key] = pd.Categorical(adata.obs[key].astype(str))
    return adata


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
        If the file is not on this machine; the message says how to point the package to it.
    ValueError
        If the file found has another SHA-256 than the registered one.

    References
    ----------
    Korkut et al., Perturbation biology nominates upstream-downstream drug combinations in RAF inhibitor resistant
    melanoma cells, eLife 2015.
    """
    adata = ad.read_h5ad(locate("korkut_drug_pairs", "korkut15_skmel133_drugpairs.h5ad"))
    adata = adata[:, ~adata.var["is_drug_node"].to_numpy()]
    # As "901|1.5,HN|6": codes and doses in one order; the names beside them are in another. Some end in " 1".
    given = [[part.split("|") for part in label.split(" ")[0].split(",")] for label in adata.obs["condition_label"]]
    names = {entry[0][0]: name for entry, name in zip(given, adata.obs["perturbation"], strict=True) if len(entry) == 1}
    obs = pd.DataFrame(
        {
            "perturbation": ["+".join(names[code] for code, _ in entry) for entry in given] + ["control"],
            "dose": ["+".join(dose for _, dose in entry) for entry in given] + ["0"],
        },
        index=[*adata.obs_names, "control"],
    )
    values = np.vstack([np.asarray(adata.X, np.float32), np.zeros((1, adata.n_vars), np.float32)])
    return ad.AnnData(values, obs=obs, var=pd.DataFrame(index=adata.var_names))


def tggates_hepatocytes() -> AnnData:
    """Human hepatocytes under 73 compounds at up to three doses, for 2, 8 and 24 hours; bulk samples.

    1,194 samples x 196 genes, normalised log2 microarray values. Every compound and time has its own controls.

    Returns
    -------
    AnnData with ``perturbation`` (``control`` or the compound), ``compound``, ``dose`` (micromolar), ``dose_level``
    (``Control``, ``Low``, ``Middle``, ``High``), ``time_h``, and the readouts of viability ``DNA`` and ``LDH`` (per
    cent of control) in ``.obs``.

    Raises
    ------
    FileNotFoundError
        If the file is not on this machine; the message says how to point the package to it.
    ValueError
        If the file found has another SHA-256 than the registered one.

    References
    ----------
    Igarashi et al., Open TG-GATEs: a large-scale toxicogenomics database, Nucleic Acids Res 2015.
    """
    adata = ad.read_h5ad(locate("tggates_hepatocytes", "tggates_hepatocyte_dose_time.h5ad"))
    old = adata.obs
    compound, untreated = old["treatmentid"].astype(str), (old["dose_level"] == "Control").to_numpy()
    adata.obs = pd.DataFrame(
        {
            "perturbation": pd.Categorical(np.where(untreated, "control", compound)),
            "compound": pd.Categorical(compound),
            "dose": old["concentration"].astype(float),
            "dose_level": pd.Categorical(old["dose_level"].astype(str), ["Control", "Low", "Middle", "High"]),
            "time_h": old["duration_h"].astype(float),
            "DNA": old["DNA"].astype(float),
            "LDH": old["LDH"].astype(float),
        }
    )
    return adata


@calm()
def _read_mudata(name: str, keys: list[str]) -> MuData:
    """Read the one file of a MuData set, and put `keys` of its modalities' obs into the container's obs too."""
    (file,) = entry(name).files
    with warnings.catch_warnings():
        # A gene and its protein may share a name; features are always addressed within their modality here.
        warnings.filterwarnings("ignore", message="var_names are not unique")
        mdata = md.read_h5mu(locate(name, file))
    for key in keys:
        columns = [adata.obs[key].astype(str) for adata in mdata.mod.values()]
        column = pd.concat(columns)
        column = column[~column.index.duplicated()].reindex(mdata.obs_names)
        mdata.obs[key] = pd.Categorical(column)
    return mdata

"""Data sets that the tables read from the folder of the data sets, as they were cut for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anndata as ad
import mudata as md
import numpy as np
import pandas as pd

from scvcell.datasets._build import counts_of_norman

if TYPE_CHECKING:
    from pathlib import Path

    from anndata import AnnData


def kang_ifnb(data: Path) -> AnnData:
    """4,034 cells x 2,006 genes, stratified by donor, condition and cell type."""
    adata = ad.read_h5ad(data / "kang18_ifnb" / "kang18_ifnb_mini.h5ad")
    for key in ("perturbation", "cell_type", "donor"):
        adata.obs[key] = pd.Categorical(adata.obs[key].astype(str))
    return adata


def norman_crispra(data: Path) -> AnnData:
    """The K562 cells of perturbench's development table, counts recovered."""
    adata = ad.read_h5ad(data / "norman19_subset" / "norman19_mcfaline23_subset.h5ad")
    return counts_of_norman(adata[(adata.obs["dataset"] == "norman19").to_numpy()])


def papalexi_eccite(data: Path) -> AnnData:
    """Cells of sceptredata's low-MOI example with a clear guide: 18,826 x 299 genes."""
    adata = md.read_h5mu(data / "papalexi21_eccite_thp1" / "papalexi21_eccite_thp1.h5mu").mod["rna"]
    adata = adata[(adata.obs["perturbation"].astype(str) != "unassigned").to_numpy()].copy()
    for key in ("perturbation", "guide", "bio_rep"):
        adata.obs[key] = pd.Categorical(adata.obs[key].astype(str))
    return adata


def korkut_drug_pairs(data: Path) -> AnnData:
    """All conditions of CellBox's table, as `scvcell.datasets.korkut_drug_pairs` makes them from its files."""
    adata = ad.read_h5ad(data / "korkut15_skmel133_drugpairs" / "korkut15_skmel133_drugpairs.h5ad")
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


def tggates_hepatocytes(data: Path) -> AnnData:
    """1,194 bulk samples x 196 genes of ToxicoGx's example, log2; every compound and time has its own controls."""
    adata = ad.read_h5ad(data / "tggates_hepatocyte_dose_time" / "tggates_hepatocyte_dose_time.h5ad")
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

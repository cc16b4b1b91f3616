"""From the files of the public sources to AnnData and MuData: nothing but reading, naming and selecting."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp
from mudata import MuData

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    Files = Mapping[str, Path]

SNARE_TYPES = {
    **dict.fromkeys(("E2Rasgrf2", "E3Rmst", "E3Rorb"), "L2/3"),
    **dict.fromkeys(("E4Il1rapl2", "E4Thsd7a", "E5Galnt14", "E5Parm1", "E5Sulf1", "E5Tshz2"), "L4/5"),
    **{"E6Tle4": "L6", "Ast": "Astro", "InN": "Npy", "InP": "Pvalb", "InS": "Sst", "InV": "CGE", "Mic": "MGC"},
    **dict.fromkeys(("OliI", "OliM"), "Oligo"),
}
"""Cell types of the clusters whose names say more than the type; the others are types themselves."""


def fingerprint(*tables: sp.spmatrix | np.ndarray) -> str:
    """SHA-256 of the values of some tables, in whatever order of cells and features and however they are stored.

    Of each row, and of each column, the non-zero values count, sorted, as little-endian 32-bit floats.
    """
    digest = hashlib.sha256()
    for table in tables:
        # a copy, as what follows works in place
        rows = sp.csr_matrix(table, dtype=np.float32, copy=True)
        rows.sum_duplicates()
        rows.eliminate_zeros()
        digest.update(np.asarray(rows.shape, "<i8").tobytes())
        for part in (rows, rows.tocsc()):
            lines = np.split(part.data.astype("<f4"), part.indptr[1:-1])
            digest.update(b"".join(sorted(hashlib.sha256(np.sort(line).tobytes()).digest() for line in lines)))
    return digest.hexdigest()


def pbmc_citeseq(files: Files) -> MuData:
    """Three tables of genes or proteins x cells."""
    rna = {
        batch: pd.read_csv(files[f"{batch}_harmo_rna.csv.gz"], index_col=0).T.astype(np.float32)
        for batch in ("pbmc10k", "pbmc5k")
    }
    prot = pd.read_csv(files["pbmc10k_harmo_pro.csv.gz"], index_col=0).T.astype(np.float32)
    if set(rna["pbmc10k"].index) & set(rna["pbmc5k"].index):
        for batch, table in rna.items():
            table.index = [f"{name}_{batch.removeprefix('pbmc')}" for name in table.index]
    prot.index = rna["pbmc10k"].index
    genes = rna["pbmc10k"].columns
    joined = pd.concat([rna["pbmc10k"], rna["pbmc5k"][genes]])
    batches = np.repeat(list(rna), [len(table) for table in rna.values()])
    tables = {"rna": (joined, batches), "prot": (prot, np.repeat("pbmc10k", len(prot)))}
    return MuData(
        {
            name: ad.AnnData(
                sp.csr_matrix(table.to_numpy()),
                obs=pd.DataFrame({"batch": pd.Categorical(batch, list(rna))}, index=table.index.astype(str)),
                var=pd.DataFrame(index=table.columns.astype(str)),
            )
            for name, (table, batch) in tables.items()
        }
    )


def snareseq_mouse_cortex(files: Files) -> MuData:
    """Two matrices of features x cells, names of features, a table of cells, and which gene each peak is linked to."""
    obs = pd.read_csv(files["meta_c1.csv"], index_col=0)
    obs = obs.set_axis(obs.index.astype(str)).rename_axis(None)
    obs["cell_type"] = obs["ident"].replace(SNARE_TYPES)
    obs = obs.astype("category")
    genes, peaks = (pd.read_csv(files[name], header=None)[0].astype(str) for name in ("genes.txt", "regions.txt"))
    place = peaks.str.rsplit("_", n=2, expand=True)
    linked = sp.csc_matrix(sp.load_npz(files["GxR.npz"]))
    ends = zip(linked.indptr[:-1], linked.indptr[1:], strict=True)
    first = [genes[linked.indices[start]] if stop > start else "" for start, stop in ends]
    var = pd.DataFrame(
        {
            "chrom": place[0].to_numpy(),
            "start": place[1].astype(int).to_numpy(),
            "end": place[2].astype(int).to_numpy(),
            "genome": "mm10",
            "linked_gene": first,
        },
        index=(place[0] + ":" + place[1] + "-" + place[2]).to_numpy(),
    )
    return MuData(
        {
            name: ad.AnnData(sp.csr_matrix(sp.load_npz(files[file]).T, dtype=np.float32), obs=obs.copy(), var=features)
            for name, file, features in (
                ("rna", "GxC1.npz", pd.DataFrame(index=genes.to_numpy())),
                ("atac", "RxC1.npz", var),
            )
        }
    )


def kang_ifnb(files: Files) -> ad.AnnData:
    """The counts, and the columns that say what was done to whom."""
    source = ad.read_h5ad(files["kang_2018.h5ad"])
    treated = source.obs["label"].astype(str).map({"ctrl": "control", "stim": "IFN-beta"})
    obs = pd.DataFrame(
        {
            "perturbation": pd.Categorical(treated),
            "cell_type": pd.Categorical(source.obs["cell_type"].astype(str)),
            "donor": pd.Categorical(source.obs["replicate"].astype(str)),
        },
        index=source.obs_names.astype(str),
    )
    var = pd.DataFrame(index=source.var_names.astype(str))
    return ad.AnnData(sp.csr_matrix(source.X, dtype=np.float32), obs=obs, var=var)


def norman_crispra(files: Files) -> ad.AnnData:
    """The K562 cells, as they come: log-normalised."""
    source = ad.read_h5ad(files["devel.h5ad"])
    return source[(source.obs["dataset"].astype(str) == "norman19").to_numpy()].copy()


def counts_of_norman(source: ad.AnnData) -> ad.AnnData:
    """Recover counts, and those of the genes that are not in the table."""
    value = np.expm1(source.X.toarray() if sp.issparse(source.X) else np.asarray(source.X))
    one = np.where(value > 0, value, np.inf).min(1, keepdims=True)
    counts = np.round(value / one)
    # A count is worth 10,000 over the total of the cell; what the genes do not hold is the rest.
    worth = np.nanmedian(np.divide(value, counts, out=np.full_like(value, np.nan), where=counts > 0), axis=1)
    other = np.maximum(np.round(1e4 / worth) - counts.sum(1), 0)
    var = pd.DataFrame(index=pd.Index([*map(str, source.var_names), "other"]))
    obs = pd.DataFrame({"perturbation": pd.Categorical(source.obs["perturbation"].astype(str))}, source.obs_names)
    return ad.AnnData(sp.csr_matrix(np.column_stack([counts, other]).astype(np.float32)), obs=obs, var=var)


def korkut_drug_pairs(files: Files) -> ad.AnnData:
    """One row per condition and one column per readout; the last columns are the drugs themselves."""
    nodes = files["node_Index.csv"].read_text().split()
    values = np.loadtxt(files["expr.csv"], delimiter=",", dtype=np.float32)
    given = np.loadtxt(files["pert.csv"], delimiter=",") != 0
    # As "901|1.5,HN|6   1   1": codes and doses, then which split the authors had them in.
    labels = [line.split()[0] for line in files["expr_index.txt"].read_text().splitlines() if line.strip()]
    parts = [[part.split("|") for part in label.split(",")] for label in labels]
    names = {part[0][0]: nodes[int(row.argmax())] for part, row in zip(parts, given, strict=True) if len(part) == 1}
    obs = pd.DataFrame(
        {
            "perturbation": ["+".join(names[code] for code, _ in part) for part in parts] + ["control"],
            "dose": ["+".join(dose for _, dose in part) for part in parts] + ["0"],
        },
        index=[*(f"cond{i:03d}" for i in range(len(labels))), "control"],
    )
    readout = ~given.any(0)
    values = np.vstack([values[:, readout], np.zeros((1, int(readout.sum())), np.float32)])
    var = pd.DataFrame(index=[name for name, kept in zip(nodes, readout, strict=True) if kept])
    return ad.AnnData(values, obs=obs, var=var)


def pancreas_velocity(files: Files) -> ad.AnnData:
    """The counts of both kinds, and the clusters."""
    source = ad.read_h5ad(files["endocrinogenesis_day15.h5ad"])
    layers = {name: sp.csr_matrix(source.layers[name], dtype=np.float32) for name in ("spliced", "unspliced")}
    obs = pd.DataFrame(
        {key: pd.Categorical(source.obs[key].astype(str)) for key in ("clusters_coarse", "clusters")},
        index=source.obs_names.astype(str),
    )
    var = pd.DataFrame(index=source.var_names.astype(str))
    return ad.AnnData(layers["spliced"].copy(), obs=obs, var=var, layers=layers)


UM_PER_UNIT = 5.926
"""Of the breast section's frame: Visium spots, 100 um apart, are 16.876 units apart."""
UM_PER_PIXEL = 0.7263
"""Of the cortex sections' images: two columns of spots, 100 um apart, are 137.7 pixels apart."""


def breast(files: Files) -> dict[str, ad.AnnData]:
    """Cells and spots with coordinates in um."""
    cells, spots = (ad.read_h5ad(files[f"{name}.h5ad"]) for name in ("xenium", "visium"))
    obs = {
        "cell_type": pd.Categorical(cells.obs["cell_type_marker"].astype(str)).remove_categories("unassigned"),
        "cell_area": cells.obs["cell_area"].to_numpy(float),
        "nucleus_area": cells.obs["nucleus_area"].to_numpy(float),
    }
    total = {"total_counts": spots.obs["total_counts_all_genes"].to_numpy(np.int64)}
    names = ("cell_" + cells.obs_names.astype(str), spots.obs_names.astype(str))
    return {
        "xenium": _placed(cells, pd.DataFrame(obs, names[0]), UM_PER_UNIT),
        "visium": _placed(spots, pd.DataFrame(total, names[1]), UM_PER_UNIT),
    }


def dlpfc(files: Files) -> ad.AnnData:
    """Both sections over the genes that both have, with coordinates in um."""
    parts = [ad.read_h5ad(path) for path in files.values()]
    genes = parts[0].var_names[parts[0].var_names.isin(parts[1].var_names)]
    out = []
    for part in parts:
        obs = pd.DataFrame(
            {
                "section": part.obs["sample"].astype(str).to_numpy(),
                "layer": part.obs["layer"].astype(str).replace("unassigned", np.nan).to_numpy(),
                "array_row": part.obs["array_row"].to_numpy(),
                "array_col": part.obs["array_col"].to_numpy(),
            },
            index=part.obs_names.astype(str),
        )
        out.append(_placed(part[:, genes], obs, UM_PER_PIXEL))
    whole = ad.concat(out)
    for key in ("section", "layer"):
        whole.obs[key] = pd.Categorical(whole.obs[key])
    return whole


def starmap(files: Files) -> ad.AnnData:
    """The cells of all sections, in pixels."""
    cells = ad.read_h5ad(files["starmap_mpfc.h5ad"])
    obs = {key: pd.Categorical(cells.obs[key].astype(str)) for key in ("section", "cell_type", "domain")}
    return _placed(cells, pd.DataFrame(obs, cells.obs_names.astype(str)), 1.0)


def lymph_node(files: Files) -> dict[str, ad.AnnData]:
    """Spots in pixels, and dissociated cells."""
    spots, cells = (ad.read_h5ad(files[name]) for name in ("visium.h5ad", "scrna_ref.h5ad"))
    obs = {
        "cell_type": pd.Categorical(cells.obs["cell_type"].astype(str)),
        "donor": pd.Categorical(cells.obs["sample"].astype(str)),
    }
    var = pd.DataFrame(index=cells.var_names.astype(str))
    reference = ad.AnnData(sp.csr_matrix(cells.X), pd.DataFrame(obs, cells.obs_names.astype(str)), var)
    return {"visium": _placed(spots, pd.DataFrame(index=spots.obs_names.astype(str)), 1.0), "reference": reference}


def _placed(source: ad.AnnData, obs: pd.DataFrame, scale: float) -> ad.AnnData:
    """Counts and coordinates of a table, under other annotation."""
    var = pd.DataFrame(index=source.var_names.astype(str))
    xy = scale * np.asarray(source.obsm["spatial"], dtype=float)
    return ad.AnnData(sp.csr_matrix(source.X), obs=obs, var=var, obsm={"spatial": xy})

"""Loaders read what the public sources serve: here files of the same layout, and the values of the local copies."""

import os
from pathlib import Path

import anndata as ad
import mudata as md
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from scvcell import datasets
from scvcell.datasets import _build
from scvcell.datasets._registry import entries

ROOT = Path(os.environ.get("SCVCELL_DATA_DIR", "/nowhere"))


def counts(*shape, seed=0):
    return np.random.default_rng(seed).poisson(1.0, shape).astype(np.float32)


def copy(path):
    if not (ROOT / path).is_file():
        pytest.skip(f"{path} is not on this machine")
    return md.read_h5mu(ROOT / path) if path.endswith("h5mu") else ad.read_h5ad(ROOT / path)


def test_fingerprint_is_of_values_not_of_order_or_storage():
    rng, x = np.random.default_rng(0), counts(30, 20)
    known = _build.fingerprint(x)
    assert known == _build.fingerprint(sp.csc_matrix(x.astype(np.int64)))
    assert known == _build.fingerprint(x[rng.permutation(30)][:, rng.permutation(20)])
    for other in (x.T, x + np.eye(30, 20), x[:-1], np.where(x == 2, 3, x)):
        assert known != _build.fingerprint(other)
    with_zeros = sp.csr_matrix(x)
    with_zeros.data[:3] = 0
    stored = with_zeros.nnz
    _build.fingerprint(with_zeros)
    assert with_zeros.nnz == stored, "what is given does not change"


@pytest.mark.parametrize("apart", [True, False])
def test_citeseq_tables_are_genes_by_cells(tmp_path, apart):
    a, b, p = counts(5, 4), counts(5, 3, seed=1), counts(2, 4, seed=2)
    names = {"a": [f"c{i}" for i in range(4)], "b": [f"{'d' if apart else 'c'}{i}" for i in range(3)]}
    tables = {
        "pbmc10k_harmo_rna.csv.gz": pd.DataFrame(a, list("vwxyz"), names["a"]),
        "pbmc5k_harmo_rna.csv.gz": pd.DataFrame(b, list("vwxyz"), names["b"]).loc[list("zyxwv")],
        "pbmc10k_harmo_pro.csv.gz": pd.DataFrame(p, ["CD3", "CD4"], names["a"]),
    }
    for file, table in tables.items():
        table.to_csv(tmp_path / file)
    mdata = _build.pbmc_citeseq({file: tmp_path / file for file in tables})
    np.testing.assert_array_equal(mdata["rna"].X.toarray(), np.vstack([a.T, b.T]))
    np.testing.assert_array_equal(mdata["prot"].X.toarray(), p.T)
    assert mdata["prot"].obs_names.tolist() == mdata["rna"].obs_names[:4].tolist()
    assert mdata.n_obs == 7
    assert mdata["rna"].obs["batch"].tolist() == ["pbmc10k"] * 4 + ["pbmc5k"] * 3
    assert mdata["rna"].var_names.tolist() == list("vwxyz")


def snare(folder, rna, atac, obs, genes, peaks, linked):
    """Files of the layout of the source."""
    sp.save_npz(folder / "GxC1.npz", sp.csr_matrix(rna.T), compressed=False)
    sp.save_npz(folder / "RxC1.npz", sp.csr_matrix(atac.T), compressed=False)
    number = {gene: i for i, gene in enumerate(genes)}
    where = [number[gene] for gene in linked]
    links = sp.csr_matrix((np.ones(len(where)), (where, range(len(where)))), shape=(len(genes), len(peaks)))
    sp.save_npz(folder / "GxR.npz", links)
    (folder / "genes.txt").write_text("".join(f"{gene}\n" for gene in genes))
    (folder / "regions.txt").write_text("".join(f"{peak}\n" for peak in peaks))
    obs[["batch", "barcode", "ident"]].to_csv(folder / "meta_c1.csv")


def test_snareseq_from_the_layout_of_the_source(tmp_path, monkeypatch):
    local = copy("snareseq_mouse_cortex/snareseq_mouse_cortex.h5mu")
    rna, atac = local["rna"], local["atac"]
    assert entries()["snareseq_mouse_cortex"].content == _build.fingerprint(rna.X, atac.X)
    folder = tmp_path / "snareseq_mouse_cortex"
    folder.mkdir()
    peaks = atac.var_names.str.replace("[:-]", "_", regex=True)
    snare(folder, rna.X, atac.X, rna.obs, rna.var_names, peaks, atac.var["linked_gene"])
    monkeypatch.setenv("SCVCELL_DATA_DIR", str(tmp_path))
    mdata = datasets.snareseq_mouse_cortex()
    for name, adata in local.mod.items():
        assert (mdata[name].X != adata.X).nnz == 0
        assert mdata[name].obs_names.equals(adata.obs_names)
        assert mdata[name].var_names.equals(adata.var_names)
        for key in ("batch", "ident", "cell_type"):
            assert (mdata[name].obs[key].astype(str) == adata.obs[key].astype(str)).all()
            assert (mdata.obs[key].astype(str) == adata.obs[key].astype(str)).all()
    for key in ("chrom", "start", "end", "linked_gene"):
        assert (mdata["atac"].var[key].astype(str) == atac.var[key].astype(str)).all()


def test_korkut_from_the_layout_of_the_source(tmp_path, monkeypatch):
    local = copy("korkut15_skmel133_drugpairs/korkut15_skmel133_drugpairs.h5ad")
    drug = local.var["is_drug_node"].to_numpy()
    given = np.zeros(local.shape, np.float32)
    given[:, drug] = np.asarray(local.obsm["pert"])
    folder = tmp_path / "korkut_drug_pairs"
    folder.mkdir()
    (folder / "node_Index.csv").write_text("\n".join(local.var_names))
    (folder / "expr_index.txt").write_text("".join(f"{x.split()[0]:<15}1   0\n" for x in local.obs["condition_label"]))
    for name, table in (("expr", local.X), ("pert", given)):
        text = "\n".join(",".join(f"{v:g}" for v in row) for row in table)
        (folder / f"{name}.csv").write_text(text)
    # the source's files have so many characters
    assert {f: len((folder / f"{f}.csv").read_text()) for f in ("expr", "pert")} == {"expr": 51545, "pert": 18384}
    monkeypatch.setenv("SCVCELL_DATA_DIR", str(tmp_path))
    adata = datasets.korkut_drug_pairs()
    assert adata.shape == (90, 87)
    np.testing.assert_array_equal(adata.X[:-1], local.X[:, ~drug])
    obs = adata.obs.astype(str)
    assert all(t.count("+") == d.count("+") for t, d in zip(obs["perturbation"], obs["dose"], strict=True))
    assert [set(x.split("+")) for x in obs["perturbation"][:-1]] == [
        set(x.split("+")) for x in local.obs["perturbation"].astype(str)
    ]
    single = obs[~obs["perturbation"].str.contains("+", regex=False)].groupby("perturbation")["dose"].agg(set)
    pair = obs.loc["cond001"]
    assert all(d in single[t] for t, d in zip(pair["perturbation"].split("+"), pair["dose"].split("+"), strict=True))
    assert not adata["control"].X.any()


def test_norman_from_the_layout_of_the_source(tmp_path, monkeypatch):
    local = copy("norman19_subset/norman19_mcfaline23_subset.h5ad")
    (tmp_path / "norman_crispra").mkdir()
    local.write_h5ad(tmp_path / "norman_crispra" / "devel.h5ad")
    monkeypatch.setenv("SCVCELL_DATA_DIR", str(tmp_path))
    adata = datasets.norman_crispra()
    assert adata.shape == (3375, 501)
    assert (adata.X.data == adata.X.data.round()).all()
    assert sum("+" in name for name in adata.obs["perturbation"].cat.categories) == 15
    other = adata[:, "other"].X.toarray().ravel()
    assert other.min() > 0.5 * np.asarray(adata.X.sum(1)).min()


def test_citeseq_values_are_those_of_the_local_copy():
    local = copy("pbmc_citeseq_10k5k/pbmc_citeseq_10k5k.h5mu")
    assert entries()["pbmc_citeseq"].content == _build.fingerprint(local["rna"].X, local["prot"].X)


def test_kang_columns(tmp_path):
    obs = pd.DataFrame(
        {
            "label": pd.Categorical(["ctrl", "stim", "stim"]),
            "replicate": pd.Categorical(["patient_1", "patient_1", "patient_2"]),
            "cell_type": pd.Categorical(["B cells", "B cells", "NK cells"]),
        },
        index=list("abc"),
    )
    ad.AnnData(sp.csc_matrix(counts(3, 4)), obs=obs).write_h5ad(tmp_path / "kang_2018.h5ad")
    adata = _build.kang_ifnb({"kang_2018.h5ad": tmp_path / "kang_2018.h5ad"})
    np.testing.assert_array_equal(adata.X.toarray(), counts(3, 4))
    assert adata.obs["perturbation"].tolist() == ["control", "IFN-beta", "IFN-beta"]
    assert adata.obs["donor"].tolist() == obs["replicate"].tolist()
    assert adata.obs["cell_type"].tolist() == obs["cell_type"].tolist()


def test_pancreas_layers(tmp_path):
    layers = {name: sp.csr_matrix(counts(3, 4, seed=i)) for i, name in enumerate(("spliced", "unspliced"))}
    obs = pd.DataFrame({"clusters_coarse": ["a", "a", "b"], "clusters": ["a1", "a2", "b"], "S_score": 0.0}, list("xyz"))
    ad.AnnData(layers["spliced"].copy(), obs=obs, layers=layers).write_h5ad(tmp_path / "e.h5ad")
    adata = _build.pancreas_velocity({"endocrinogenesis_day15.h5ad": tmp_path / "e.h5ad"})
    for name, table in layers.items():
        assert (adata.layers[name] != table).nnz == 0
    assert (layers["spliced"] != adata.X).nnz == 0
    assert adata.obs["clusters"].tolist() == ["a1", "a2", "b"]


def test_other_values_are_refused(tmp_path, monkeypatch):
    local = copy("norman19_subset/norman19_mcfaline23_subset.h5ad")
    local.X = local.X * 1.01
    local.write_h5ad(tmp_path / "devel.h5ad")
    monkeypatch.setenv("SCVCELL_DATA_DIR", str(tmp_path))
    with pytest.raises(ValueError, match="'norman_crispra' has other values than registered: fingerprint"):
        datasets.norman_crispra()
    local[:, :100].write_h5ad(tmp_path / "devel.h5ad")
    with pytest.raises(ValueError, match="'norman_crispra' has other cells or features than registered"):
        datasets.norman_crispra()

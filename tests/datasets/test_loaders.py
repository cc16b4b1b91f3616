import subprocess
import sys

import numpy as np
import pytest

from scvcell import datasets
from scvcell.datasets._registry import entries

LARGER = (
    "pbmc_citeseq",
    "snareseq_mouse_cortex",
    "dsb_protein_background",
    "kang_ifnb",
    "korkut_drug_pairs",
    "norman_crispra",
    "papalexi_eccite",
    "tggates_hepatocytes",
)


def needs(name):
    return pytest.mark.skipif(not entries()[name].available(), reason=f"{name} is not on this machine")


def median_depth(adata):
    return np.median(np.asarray(adata.X.sum(1)))


def assert_counts(adata):
    rows = adata.X[:200].toarray()
    assert (rows >= 0).all()
    assert (rows == rows.round()).all()
    assert rows.any()


def assert_shared_obs(mdata, keys):
    for key in keys:
        assert mdata.obs[key].notna().all()
        for adata in mdata.mod.values():
            assert (adata.obs[key].astype(str) == mdata.obs.loc[adata.obs_names, key].astype(str)).all()


def test_pbmc_mosaic():
    mdata = datasets.pbmc_mosaic()
    assert mdata.n_obs == 1600
    assert {m: a.shape for m, a in mdata.mod.items()} == {"rna": (1200, 500), "adt": (1200, 224)}
    batches = {m: set(a.obs["batch"]) for m, a in mdata.mod.items()}
    assert batches == {"rna": {"p1_0", "p3_0", "p4_0"}, "adt": {"p2_0", "p3_0", "p4_0"}}
    assert mdata.obs["celltype"].nunique() == 8
    assert_shared_obs(mdata, ["batch", "celltype"])
    for adata in mdata.mod.values():
        assert_counts(adata)


@needs("pbmc_citeseq")
def test_pbmc_citeseq():
    mdata = datasets.pbmc_citeseq()
    assert {m: a.shape for m, a in mdata.mod.items()} == {"rna": (10849, 4000), "prot": (6855, 14)}
    assert_shared_obs(mdata, ["batch", "cell_type_adt_gate"])
    assert set(mdata["prot"].obs["batch"]) == {"pbmc10k"}
    for adata in mdata.mod.values():
        assert_counts(adata)


@needs("snareseq_mouse_cortex")
def test_snareseq_mouse_cortex():
    mdata = datasets.snareseq_mouse_cortex()
    assert {m: a.shape for m, a in mdata.mod.items()} == {"rna": (10309, 1677), "atac": (10309, 25734)}
    assert_shared_obs(mdata, ["batch", "cell_type"])
    assert median_depth(mdata["rna"]) == 247


@needs("dsb_protein_background")
def test_dsb_protein_background():
    cells, empty = datasets.dsb_protein_background()
    assert (cells.shape, empty.shape) == ((2872, 87), (8005, 87))
    assert cells.var_names.equals(empty.var_names)
    assert cells.var["isotype"].sum() == 4
    assert median_depth(cells) > 3 * median_depth(empty)


@needs("kang_ifnb")
def test_kang_ifnb():
    adata = datasets.kang_ifnb()
    assert adata.shape == (4034, 2006)
    assert adata.obs["perturbation"].cat.categories.tolist() == ["IFN-beta", "control"]
    assert adata.obs["cell_type"].nunique() == 8
    assert_counts(adata)


@needs("norman_crispra")
def test_norman_crispra():
    adata = datasets.norman_crispra()
    assert adata.shape == (3375, 501)
    assert_counts(adata)
    assert (adata.obs["perturbation"] == "control").any()
    assert sum("+" in name for name in adata.obs["perturbation"].cat.categories) == 15
    other = adata[:, "other"].X.toarray().ravel()
    assert other.min() > 0.5 * np.asarray(adata.X.sum(1)).min()


@needs("papalexi_eccite")
def test_papalexi_eccite():
    adata = datasets.papalexi_eccite()
    assert adata.shape == (18826, 299)
    assert adata.obs["perturbation"].nunique() == 26
    assert_counts(adata)


@needs("korkut_drug_pairs")
def test_korkut_drug_pairs():
    adata = datasets.korkut_drug_pairs()
    assert adata.shape == (90, 87)
    obs = adata.obs.astype(str)
    assert all(t.count("+") == d.count("+") for t, d in zip(obs["perturbation"], obs["dose"], strict=True))
    single = obs[~obs["perturbation"].str.contains("+", regex=False)].groupby("perturbation")["dose"].agg(set)
    pair = obs.loc["cond001"]
    assert all(d in single[t] for t, d in zip(pair["perturbation"].split("+"), pair["dose"].split("+"), strict=True))
    assert not adata["control"].X.any()


@needs("tggates_hepatocytes")
def test_tggates_hepatocytes():
    adata = datasets.tggates_hepatocytes()
    assert adata.shape == (1194, 196)
    control = adata.obs["perturbation"] == "control"
    assert (adata.obs["dose"][control] == 0).all()
    assert (adata.obs["dose"][~control] > 0).all()
    contexts = adata.obs.groupby(["compound", "time_h"], observed=True)["perturbation"]
    assert contexts.agg(lambda labels: "control" in set(labels)).all()


@pytest.mark.parametrize("name", LARGER)
def test_absent_file_is_explained(name, tmp_path, monkeypatch):
    monkeypatch.setattr("pooch.os_cache", lambda _: tmp_path)
    monkeypatch.delenv("SCVCELL_DATA_DIR", raising=False)
    with pytest.raises(FileNotFoundError, match="SCVCELL_DATA_DIR is not set"):
        getattr(datasets, name)()


def test_registered_shapes_are_those_of_the_files():
    mdata = datasets.pbmc_mosaic()
    item = entries()["pbmc_mosaic"]
    assert item.cells == mdata.n_obs
    assert item.features == {m: a.n_vars for m, a in mdata.mod.items()}


def test_needs_no_torch():
    code = "import sys, scvcell.datasets as d; d.pbmc_mosaic(); d.simulate(20); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=False).returncode == 0

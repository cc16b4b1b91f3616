import subprocess
import sys

import pytest

from scvcell import datasets
from scvcell.datasets._registry import entries

LARGER = [name for name, item in entries().items() if not item.embedded]


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


@pytest.mark.parametrize("name", LARGER)
def test_what_cannot_be_downloaded_is_explained(name, tmp_path, monkeypatch):
    def offline(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr("pooch.retrieve", offline)
    monkeypatch.setattr("pooch.os_cache", lambda _: tmp_path)
    monkeypatch.delenv("SCVCELL_DATA_DIR", raising=False)
    with pytest.raises(FileNotFoundError, match="could not be downloaded") as caught:
        getattr(datasets, name)()
    item = entries()[name]
    assert (next(iter(item.files.values())).url or item.url) in str(caught.value)
    assert "SCVCELL_DATA_DIR is not set" in str(caught.value)


def test_registered_shapes_are_those_of_the_files():
    mdata = datasets.pbmc_mosaic()
    item = entries()["pbmc_mosaic"]
    assert item.cells == mdata.n_obs
    assert item.features == {m: a.n_vars for m, a in mdata.mod.items()}


def test_needs_no_torch():
    made = "d.pbmc_mosaic(); d.simulate(20); d.simulate_tissue()"
    code = f"import sys, scvcell.datasets as d; {made}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=False).returncode == 0

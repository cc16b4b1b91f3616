"""Absence that is written as zeros is told, and never trusted."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import scvcell


@pytest.fixture(scope="module")
def padded():
    mdata = scvcell.datasets.simulate(400, n_genes=40, n_proteins=6, paired=1.0, n_batches=3, seed=1)
    batch = mdata["adt"].obs["batch"].astype(str).to_numpy()
    zero = batch == np.unique(batch)[1]
    mdata["adt"].X = sp.csr_matrix(np.where(zero[:, None], 0, mdata["adt"].X.toarray()))
    return mdata, zero, np.unique(batch)[1]


def test_a_batch_of_zeros_is_told_with_both_ways_out_and_not_trusted(padded, caplog, tmp_path):
    mdata, zero, name = padded
    train = scvcell.TrainConfig(max_epochs=6, validation=0.3, progress=False, accelerator="cpu")
    with caplog.at_level("WARNING", logger="scvcell"):
        model = scvcell.tl.fit(mdata, batch_key="batch", train=train)
    assert model.absent == {"adt": [name]}
    assert f"'adt' is zero in all cells and features of batch {name!r}" in caplog.text
    assert ".isin(" in caplog.text
    assert "varm['observed']" in caplog.text
    loaded = scvcell.CSL.load(model.save(tmp_path / "m"), mdata)
    for one in (model, loaded):
        found = scvcell.tl.translate(mdata, one, to="adt", source="rna")
        assert not found.obs["trusted"].to_numpy()[zero].any()
        elsewhere = scvcell.tl.translate(mdata, one, to="adt", source="rna", batch=name)
        assert not elsewhere.obs["trusted"].any()
    # both ways out say nothing
    caplog.clear()
    without = mdata.copy()
    without.mod["adt"] = mdata["adt"][~zero].copy()
    without.update()
    told = mdata.copy()
    batches = sorted(set(mdata["adt"].obs["batch"].astype(str)))
    told["adt"].varm["observed"] = pd.DataFrame(
        {batch: batch != name for batch in batches}, index=told["adt"].var_names
    )
    for data in (without, told):
        other = scvcell.tl.fit(data, batch_key="batch", train=scvcell.TrainConfig(max_epochs=1, progress=False))
        assert other.absent == {}
    assert "is zero in all cells" not in caplog.text


def test_a_query_batch_of_zeros(padded, caplog):
    mdata, zero, name = padded
    train = scvcell.TrainConfig(max_epochs=1, progress=False, accelerator="cpu")
    batch = mdata["rna"].obs["batch"].astype(str).to_numpy()
    reference = batch == np.unique(batch)[0]
    model = scvcell.tl.fit(mdata[reference].copy(), batch_key="batch", train=train)
    mapped = model.load_query_data(mdata[~reference].copy(), train=train)
    assert mapped.absent == {"adt": [name]}
    assert model.absent == {}
    assert "is zero in all cells" in caplog.text
    alone = model.load_query_data(mdata[zero].copy(), train=train)
    assert not scvcell.tl.translate(mdata[zero].copy(), alone, to="adt").obs["trusted"].any()


@pytest.mark.parametrize("modality", ["adt", "atac"])
def test_a_modality_without_a_count_is_told_and_not_trusted(modality, caplog):
    mdata = scvcell.datasets.simulate(120, n_genes=60, n_proteins=5, n_peaks=80, n_batches=1, seed=1)
    mdata[modality].X = mdata[modality].X * 0
    model = scvcell.tl.fit(mdata, train=scvcell.TrainConfig(max_epochs=1, progress=False, accelerator="cpu"))
    assert f"'{modality}' has no count in any cell" in caplog.text
    assert f"del mdata.mod['{modality}']" in caplog.text
    assert np.isfinite(mdata.obsm["X_csl"]).all()
    assert not scvcell.tl.translate(mdata, model, to=modality, source=["rna"]).obs["trusted"].any()


def test_many_cells_without_a_count_are_asked_about(caplog):
    mdata = scvcell.datasets.simulate(120, n_genes=60, n_proteins=5, n_batches=1, seed=1)
    x = mdata["adt"].X.toarray()
    x[: len(x) // 3] = 0
    mdata["adt"].X = sp.csr_matrix(x)
    scvcell.tl.fit(mdata, train=scvcell.TrainConfig(max_epochs=1, progress=False, accelerator="cpu"))
    assert f"{len(x) // 3} of {len(x)} cells have no count at all and are taken for measured" in caplog.text


def test_panels(caplog):
    mdata = scvcell.datasets.simulate(120, n_genes=60, n_proteins=5, n_batches=2, seed=1)
    batches = sorted(set(mdata["rna"].obs["batch"].astype(str)))
    mdata["rna"].varm["observed"] = pd.DataFrame({batches[0]: np.ones(60, bool)}, index=mdata["rna"].var_names)
    train = scvcell.TrainConfig(max_epochs=1, progress=False, accelerator="cpu")
    scvcell.tl.fit(mdata, batch_key="batch", train=train)
    assert f"varm['observed'] has no column for batch {batches[1]!r}" in caplog.text
    mdata["rna"].varm["observed"] = pd.DataFrame({"other": np.ones(60, bool)}, index=mdata["rna"].var_names)
    with pytest.raises(ValueError, match=r"the columns of varm\['observed'\] are \['other'\]; the batches are"):
        scvcell.tl.fit(mdata, batch_key="batch", train=train)

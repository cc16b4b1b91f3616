import mudata as md
import numpy as np
import pytest
from sklearn.linear_model import Ridge

from scvcell.datasets import World, simulate


@pytest.fixture(scope="module")
def mdata():
    return simulate(1500, n_genes=200, n_proteins=20, n_batches=3, paired=0.4, seed=3)


@pytest.mark.parametrize("name", ["rna", "adt"])
def test_counts_have_the_moments_of_the_true_rates(mdata, name):
    adata = mdata[name]
    rate = adata.layers["rate"].astype(float)
    variance = rate + rate**2 / adata.var["dispersion"].to_numpy()
    error = adata.X.toarray() - rate
    z_mean = error.sum(0) / np.sqrt(variance.sum(0))
    assert np.abs(z_mean).max() < 4.5
    assert z_mean.std() == pytest.approx(1, abs=0.3)
    assert (error**2).sum() / variance.sum() == pytest.approx(1, abs=0.06)


def test_depth_is_the_sum_of_rates(mdata):
    rna = mdata["rna"]
    np.testing.assert_allclose(rna.layers["rate"].sum(1), rna.obs["size"], rtol=1e-4)
    assert np.median(rna.obs["size"]) == pytest.approx(1000, rel=0.05)


def test_missing_assays_are_absent_rows(mdata):
    rna, adt = (set(mdata[m].obs_names) for m in ("rna", "adt"))
    assert len(rna & adt) == 600
    assert len(rna - adt) == len(adt - rna) == 450
    assert rna | adt == set(mdata.obs_names)
    assert mdata["rna"].X.format == "csr"
    assert mdata["rna"].X.dtype == np.int32


@pytest.mark.parametrize(("paired", "expected"), [(0.0, (4, 3)), (1.0, (7, 7))])
def test_paired_extremes(paired, expected):
    mdata = simulate(7, n_genes=5, n_proteins=3, paired=paired)
    assert (mdata["rna"].n_obs, mdata["adt"].n_obs) == expected


def test_annotation_follows_the_cells(mdata):
    for adata in mdata.mod.values():
        for key in ("batch", "cell_type"):
            assert (adata.obs[key].astype(str) == mdata.obs.loc[adata.obs_names, key].astype(str)).all()
    assert mdata.obs["batch"].value_counts().to_list() == [500, 500, 500]


def test_z_explains_both_modalities_and_the_types(mdata):
    both = mdata["rna"].obs_names.intersection(mdata["adt"].obs_names)
    z = mdata.obsm["z"][mdata.obs_names.get_indexer(both)]
    half = len(both) // 2
    for name, floor in (("rna", 0.8), ("adt", 0.6)):
        x = np.log1p(mdata[name][both].X.toarray())
        x = x - x.mean(1, keepdims=True)
        assert Ridge(10.0).fit(x[:half], z[:half]).score(x[half:], z[half:]) > floor
    types = mdata.obs.loc[both, "cell_type"]
    within = np.concatenate([z[types == t] - z[types == t].mean(0) for t in types.cat.categories])
    assert within.std() == pytest.approx(0.45, abs=0.02)


def test_without_background_every_cell_carries():
    mdata = simulate(600, n_genes=20, n_proteins=10, background=False, paired=1, batch_effect=0)
    adt = mdata["adt"]
    assert set(adt.layers) - {None} == {"rate"}
    log_rate = np.log(adt.layers["rate"] / adt.obs["size"].to_numpy()[:, None])
    residual = (
        log_rate
        - np.column_stack([mdata.obsm["z"], np.ones(600)])
        @ np.linalg.lstsq(np.column_stack([mdata.obsm["z"], np.ones(600)]), log_rate, rcond=None)[0]
    )
    assert np.abs(residual).max() < 1e-3


def test_panels_differ_between_batches():
    mdata = simulate(400, n_genes=90, n_proteins=12, n_batches=3, panel=0.5)
    for adata, n in ((mdata["rna"], 45), (mdata["adt"], 6)):
        observed = adata.varm["observed"]
        assert list(observed.columns) == list(adata.obs["batch"].cat.categories)
        assert (observed.sum() == n).all()
        assert observed.any(axis=1).all()
        measured = observed[adata.obs["batch"].astype(str)].to_numpy().T
        assert not adata.X.toarray()[~measured].any()
        assert (adata.layers["rate"][measured] > 0).all()


def test_same_seed_same_data_and_truth_costs_nothing():
    first, again, other = (
        simulate(200, n_genes=30, n_proteins=5, seed=seed, keep_truth=keep)
        for seed, keep in ((1, True), (1, False), (2, True))
    )
    for name in ("rna", "adt"):
        assert (first[name].X != again[name].X).nnz == 0
        assert first[name].obs_names.equals(again[name].obs_names)
        assert not set(again[name].layers) - {None}
    np.testing.assert_array_equal(first.obsm["z"], again.obsm["z"])
    assert not np.array_equal(first.obsm["z"], other.obsm["z"])


def test_chunks_leave_no_seam(monkeypatch):
    monkeypatch.setattr("scvcell.datasets._simulate.CHUNK", 64)
    mdata = simulate(50, n_genes=30, n_proteins=5, paired=1)
    mdata["rna"].X.check_format(full_check=True)
    rate = mdata["rna"].layers["rate"]
    np.testing.assert_allclose(rate.sum(1), mdata["rna"].obs["size"], rtol=1e-4)
    assert np.corrcoef(mdata["rna"].X.toarray().ravel(), rate.ravel())[0, 1] > 0.8


def test_survives_a_file(tmp_path):
    mdata = simulate(60, n_genes=10, n_proteins=4, panel=0.5)
    mdata.write(tmp_path / "x.h5mu")
    back = md.read_h5mu(tmp_path / "x.h5mu")
    assert World.of(back).parameters == World.of(mdata).parameters
    assert (back["adt"].X != mdata["adt"].X).nnz == 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n_cells": 0}, "n_cells"),
        ({"paired": 1.5}, "paired"),
        ({"n_genes": 0}, "n_genes"),
        ({"panel": 0.3}, "panel"),
        ({"depth": 0}, "depth"),
    ],
)
def test_arguments_out_of_range(wrong, message):
    with pytest.raises(ValueError, match=message):
        simulate(**wrong)


@pytest.fixture(scope="module")
def three():
    return simulate(600, n_genes=80, n_proteins=10, n_peaks=200, paired=0.4, seed=2)


def test_no_cell_has_three_assays(three):
    cells = {name: set(adata.obs_names) for name, adata in three.mod.items()}
    assert len(cells["rna"] & cells["adt"]) == len(cells["rna"] & cells["atac"]) == 120
    assert not cells["adt"] & cells["atac"]
    assert [len(c) for c in cells.values()] == [360, 240, 240]


def test_peaks_open_with_the_gene_they_are_near(three):
    rna, atac = three["rna"].var, three["atac"].var
    gene = rna.loc[atac["gene"]]
    assert (gene["chrom"].to_numpy() == atac["chrom"].to_numpy()).all()
    assert (np.abs(atac["start"].to_numpy() - gene["tss"].to_numpy()) <= 100_000).all()
    assert (atac["end"] - atac["start"] == 500).all()
    shared = three["rna"].obs_names.intersection(three["atac"].obs_names)
    x = np.log(three["rna"][shared].layers["rate"])[:, rna.index.get_indexer(atac["gene"])]
    y = np.log(three["atac"][shared].layers["rate"])
    r = [np.corrcoef(a, b)[0, 1] for a, b in zip(x.T, y.T, strict=True)]
    other = [np.corrcoef(a, b)[0, 1] for a, b in zip(np.roll(x, 7, axis=1).T, y.T, strict=True)]
    assert np.median(r) > 0.7
    assert abs(np.median(other)) < 0.2


def test_without_peaks_nothing_changes(three):
    plain = simulate(600, n_genes=80, n_proteins=10, paired=0.4, seed=2)
    assert set(plain.mod) == {"rna", "adt"}
    assert "chrom" not in plain["rna"].var
    np.testing.assert_array_equal(World.of(plain).measures["rna"].loading, World.of(three).measures["rna"].loading)

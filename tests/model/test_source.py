"""Mini-batches: every cell once, missing is not zero, panels masked, the same from memory and from disk."""

import numpy as np
import pandas as pd
import pytest
import torch

import scvcell
from scvcell.measure._nb import dense
from scvcell.model._loader import Loader


def source_of(model, data):
    return model.source(model.view(data))


def test_disk_and_memory_cut_the_same_batches_in_order(setting, stored):
    mdata, model = setting
    disk = stored(mdata, "h5ad csr")
    assert list(disk.obs_names) == list(mdata.obs_names)
    index = np.arange(mdata.n_obs)
    for one, other in zip(
        Loader(source_of(model, mdata), index, 32), Loader(source_of(model, disk), index, 32), strict=True
    ):
        assert torch.equal(one.index, other.index)
        assert torch.equal(one.context.design, other.context.design)
        assert set(one.observed) == set(other.observed)
        for name, o in one.observed.items():
            assert torch.equal(o.rows, other.observed[name].rows)
            assert torch.equal(dense(o.x), dense(other.observed[name].x))
            torch.testing.assert_close(o.scores, other.observed[name].scores)


@pytest.mark.parametrize("form", ["csr_matrix", "h5ad csr"])
@pytest.mark.parametrize("later", [False, True])
def test_encoders_are_given_scores_and_nothing_that_they_do_not_need(setting, stored, monkeypatch, form, later):
    """Where scores are at hand no file is read; else as from whole mini-batches."""
    monkeypatch.setattr("scvcell.model._loader.CELLS_PER_BUFFER", 48)
    if later:
        monkeypatch.setattr("scvcell.model._fitted.MAX_KEPT_ROWS", 10)
    mdata, model = setting
    source, index = source_of(model, stored(mdata, form)), np.arange(mdata.n_obs)
    read = []
    whole = list(Loader(source, index, 16))
    for name, matrix in source.matrices.items():
        rows = type(matrix).rows
        monkeypatch.setattr(matrix, "rows", lambda at, m=matrix, n=name, r=rows: read.append(n) or r(m, at))
    bare = list(Loader(source, index, 16, values=False))
    assert bool(read) == (later and form == "h5ad csr")
    assert len(bare) == len(whole)
    for one, other in zip(bare, whole, strict=True):
        assert torch.equal(one.index, other.index)
        assert torch.equal(one.context.design, other.context.design)
        assert list(one.observed) == list(other.observed)
        for name, o in one.observed.items():
            assert o.x.shape == (len(o.rows), 0)
            assert torch.equal(o.rows, other.observed[name].rows)
            torch.testing.assert_close(o.scores, other.observed[name].scores)
        mean = model.network.posterior(one).mean
        torch.testing.assert_close(mean, model.network.posterior(other).mean)


@pytest.mark.parametrize("form", ["csr_matrix", "h5ad csr", "zarr dense"])
@pytest.mark.parametrize("later", [False, True])
def test_cells_that_are_held_are_those_of_the_file_and_are_read_once(setting, stored, monkeypatch, form, later):
    if later:
        monkeypatch.setattr("scvcell.model._fitted.MAX_KEPT_ROWS", 10)
    mdata, model = setting
    source = source_of(model, stored(mdata, form))
    cells = np.random.default_rng(1).permutation(mdata.n_obs)[:50]
    own, at = source.held(cells)
    assert not own.on_disk
    assert (own is source) == (form == "csr_matrix")
    for one, other in zip(Loader(own, at, 16), Loader(source, cells, 16), strict=True):
        assert torch.equal(one.context.design, other.context.design)
        assert torch.equal(one.context.batch, other.context.batch)
        assert set(one.observed) == set(other.observed)
        for name, o in one.observed.items():
            assert torch.equal(o.rows, other.observed[name].rows)
            assert torch.equal(dense(o.x), dense(other.observed[name].x))
            assert torch.equal(o.depth, other.observed[name].depth)
            torch.testing.assert_close(o.scores, other.observed[name].scores)
    none, at = source.held(cells[:0])
    assert none is source
    assert len(at) == 0


def test_missing_is_a_mask_and_zero_is_a_measurement(mosaic, quick):
    mdata = mosaic(90)
    silent = mdata["adt"].obs_names[3]
    mdata["adt"].X[3] = 0
    mdata["adt"].X.eliminate_zeros()
    assert mdata["adt"][silent].X.sum() == 0
    model = scvcell.tl.fit(mdata, train=quick)
    cell = mdata.obs_names.get_loc(silent)
    (batch,) = Loader(source_of(model, mdata), np.array([cell]), 8)
    assert batch.observed["adt"].rows.tolist() == [0]
    assert batch.observed["adt"].x.sum() == 0
    bits = model.posterior(mdata, modalities=["adt"])
    assert (bits.var[cell] < 1).all(), "an all-zero cell is observed and informs its state"
    lacking = ~model.view(mdata).present("adt")
    assert (bits.var[lacking] == 1).all()
    assert (bits.mean[lacking] == 0).all()


def test_a_modality_that_no_cell_of_the_batch_has_is_absent(setting):
    mdata, model = setting
    only = np.flatnonzero(~model.view(mdata).present("adt"))[:5]
    (batch,) = Loader(source_of(model, mdata), only, 8)
    assert list(batch.observed) == ["rna"]


def panelled(mosaic, n=150):
    """Batch b1 did not measure the first two proteins: zeros there, and varm says so. Returns also what it lost."""
    mdata = mosaic(n)
    adt = mdata["adt"]
    late = (adt.obs["batch"] == "b1").to_numpy()
    x = adt.X.toarray()
    lost = x[late][:, :2].copy()
    x[np.ix_(late, [0, 1])] = 0
    adt.X = type(adt.X)(x)
    adt.varm["observed"] = pd.DataFrame({"b0": [True] * 6, "b1": [False] * 2 + [True] * 4}, index=adt.var_names)
    return mdata, lost


def test_panels_become_masks_by_batch(mosaic, quick):
    mdata, _ = panelled(mosaic)
    model = scvcell.tl.fit(mdata, batch_key="batch", train=quick)
    masked = 0
    for batch in Loader(source_of(model, mdata), np.arange(mdata.n_obs), 32):
        for name, o in batch.observed.items():
            if name == "rna":
                assert o.mask is None
                continue
            expected = np.ones((len(o.rows), 6), bool)
            expected[np.ix_((batch.context.batch[o.rows] == 1).numpy(), [0, 1])] = False
            np.testing.assert_array_equal(o.mask, expected)
            masked += int((~expected).sum())
    assert masked == 2 * (mdata["adt"].obs["batch"] == "b1").sum()


def test_a_feature_off_the_panel_is_not_learned_as_zero(mosaic, quick):
    """With the mask, proteins that batch b1 never measured are predicted there at about their true level."""
    from dataclasses import replace

    mdata, lost = panelled(mosaic, 400)
    model = scvcell.tl.fit(mdata, batch_key="batch", train=replace(quick, max_epochs=40, batch_size=64))
    out = scvcell.tl.translate(mdata, model, to="adt", source=["rna"])
    rna = mdata["rna"].obs_names[mdata["rna"].obs["batch"] == "b1"]
    ratio = out[rna].X[:, :2].mean(0) / lost.mean(0)
    assert (ratio > 0.4).all()
    assert (ratio < 1.6).all()


def test_a_gene_off_the_panel_is_not_learned_as_zero(quick):
    """Genes that a batch did not measure are predicted there at about the level they have in the other batch."""
    from dataclasses import replace

    mdata = scvcell.datasets.simulate(600, n_genes=100, n_proteins=20, n_types=4, panel=0.6, paired=0.6, seed=1)
    model = scvcell.tl.fit(mdata, batch_key="batch", train=replace(quick, max_epochs=40, batch_size=64))
    counts, batch = mdata["rna"].to_df(), mdata["rna"].obs["batch"]
    predicted = scvcell.tl.translate(mdata, model, to="rna", source=["adt"]).to_df().dropna()
    here = mdata.obs.loc[predicted.index, "batch"]
    panel = mdata["rna"].varm["observed"]
    for name, other in (("batch1", "batch2"), ("batch2", "batch1")):
        missed = panel.index[~panel[name]]
        ratio = predicted.loc[here == name, missed].mean().sum() / counts.loc[batch == other, missed].mean().sum()
        assert 0.4 < ratio < 2.5


def test_batches_move_between_devices(setting):
    mdata, model = setting
    (batch,) = Loader(source_of(model, mdata), np.arange(9), 16)
    moved = batch.to("meta")
    assert moved.context.design.device.type == moved.observed["rna"].x.device.type == "meta"
    assert len(moved) == 9

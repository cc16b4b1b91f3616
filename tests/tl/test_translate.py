"""tl.translate: predictions from any source, intervals that cover, NaN and distrust where nothing can be said."""

import dataclasses
import itertools
import tracemalloc

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from anndata import AnnData
from mudata import MuData

import scvcell
from scvcell.measure import Context
from scvcell.risk import correlation


def by_hand(model, mdata, to, source):
    """Point prediction of every cell, from the posterior mean and the operator alone."""
    posterior = model.posterior(mdata, modalities=source)
    design, batch = model.schema.context(model.view(mdata))
    operator = model.module.operators[to]
    with torch.no_grad():
        return operator.predict(
            posterior.mean, Context(torch.from_numpy(design[np.arange(len(batch))]), torch.from_numpy(batch))
        ).numpy()


@pytest.mark.parametrize(("to", "source"), [("adt", "rna"), ("rna", "adt")])
def test_point_prediction_and_table(small, to, source, fingerprint):
    before = fingerprint(small.mdata)
    out = scvcell.tl.translate(small.mdata, small.model, to=to)
    assert fingerprint(small.mdata) == before, "nothing is written to the data"
    assert list(out.obs_names) == list(small.mdata.obs_names)
    assert list(out.var_names) == list(small.mdata[to].var_names)
    has = small.model.view().present(source)
    np.testing.assert_allclose(out.X[has], by_hand(small.model, small.mdata, to, [source])[has], rtol=1e-4)
    assert set(out.layers) - {None} == {"mean", "lower", "upper"}
    assert out.uns["csl_translate"]["to"] == to
    assert out.uns["csl_translate"]["source"] == [source]


def test_split_says_whether_the_fit_saw_what_is_predicted(small, pbmc):
    out = scvcell.tl.translate(small.mdata, small.model, to="adt")
    parts = {part: set(names) for part, names in small.model.split_.items()}
    proteins = set(small.mdata["adt"].obs_names)
    for name, part in out.obs["split"].items():
        assert part == next((p for p, names in parts.items() if name in names and name in proteins), "test")
    # Cells that were left out of the fit, and cells under names that it has never met, are neither.
    out = scvcell.tl.translate(pbmc.mdata[pbmc.test], pbmc.model, to="adt")
    assert (out.obs["split"] == "test").all()
    other = small.mdata["rna"][:20].copy()
    other.obs_names = "new " + other.obs_names
    assert (scvcell.tl.translate(MuData({"rna": other}), small.model, to="adt").obs["split"] == "test").all()


def test_nan_rules(small, caplog):
    out = scvcell.tl.translate(small.mdata, small.model, to="adt", source=["rna"])
    has = small.model.view().present("rna")
    assert 0 < has.sum() < len(has)
    for values in (out.X, *out.layers.values()):
        assert np.isnan(values[~has]).all()
        assert np.isfinite(values[has]).all()
    assert not out.obs["trusted"][~has].any()
    assert f"{(~has).sum()} of {len(has)} cells have none of ['rna']" in caplog.text


def test_intervals_contain_the_prediction_and_are_nested(small):
    tables = [scvcell.tl.translate(small.mdata, small.model, to="adt", level=level) for level in (0.5, 0.8, 0.9)]
    has = small.model.view().present("rna")
    for out in tables:
        lower, upper = (out.layers[k][has] for k in ("lower", "upper"))
        assert (lower >= 0).all()
        assert (lower <= out.X[has] * 1.0001).all()
        assert (upper >= out.X[has] * 0.9999).all()
        np.testing.assert_array_equal(out.X, tables[0].X)
    for narrow, wide in itertools.pairwise(tables):
        assert (narrow.layers["upper"][has] < wide.layers["upper"][has]).all()
        assert (narrow.layers["lower"][has] >= wide.layers["lower"][has]).all()


@pytest.mark.parametrize(("to", "source"), [("adt", "rna"), ("rna", "adt")])
@pytest.mark.parametrize("level", [0.5, 0.9])
def test_real_held_out_cells_are_covered(pbmc, to, source, level):
    """Cells that neither training nor calibration saw."""
    out = scvcell.tl.translate(pbmc.mdata, pbmc.model, to=to, source=[source], level=level)[pbmc.test]
    truth = pbmc.mdata[to][pbmc.test].X.toarray()
    inside = (truth >= out.layers["lower"]) & (truth <= out.layers["upper"])
    n = min(out.uns["csl_translate"]["calibration_cells"], len(pbmc.test))
    # features of a cell go together: the error is that of a mean over cells, doubled
    assert inside.mean() > level - 2 * np.sqrt(level * (1 - level) / n)


def test_real_proteins_are_predicted(pbmc):
    out = scvcell.tl.translate(pbmc.mdata, pbmc.model, to="adt", source=["rna"])[pbmc.test]
    truth = np.log1p(pbmc.mdata["adt"][pbmc.test].X.toarray())
    log = np.log1p(out.X)
    assert correlation(log - log.mean(1, keepdims=True), truth - truth.mean(1, keepdims=True)).mean() > 0.25
    assert np.corrcoef(log.mean(0), truth.mean(0))[0, 1] > 0.95


def test_flags_follow_width_and_reach(pbmc):
    out = scvcell.tl.translate(pbmc.mdata, pbmc.model, to="adt", source=["rna"])
    np.testing.assert_array_equal(out.var["trusted"], out.var["relative_width"] <= 0.9)
    has = pbmc.model.view().present("rna")
    batch = pbmc.mdata.obs.loc[out.obs_names, "batch"].astype(str).to_numpy()
    measured = np.isin(batch, ["p3_0", "p4_0"])
    assert out.obs["trusted"][has & measured].mean() > 0.9
    assert not out.obs["trusted"][~measured].any(), "nobody knows how strongly proteins stain there"
    there = scvcell.tl.translate(pbmc.mdata, pbmc.model, to="adt", source=["rna"], batch="p3_0")
    assert there.obs["trusted"][has].mean() > 0.8
    far = pbmc.mdata["rna"].copy()
    far.X = far.X[:, np.random.default_rng(0).permutation(far.n_vars)]
    strange = scvcell.tl.translate(far, pbmc.model, to="adt")
    assert strange.obs["trusted"].mean() < 0.5, "cells with shuffled genes are like no calibration cell"


@pytest.mark.parametrize("how", ["anndata", "shuffled", "subset", "only the source"])
def test_new_data_give_the_same_cells_the_same(small, how):
    mdata = small.mdata
    full = scvcell.tl.translate(mdata, small.model, to="adt", source=["rna"])
    rng = np.random.default_rng(0)
    data = {
        "anndata": lambda: mdata["rna"].copy(),
        "shuffled": lambda: mdata[rng.permutation(mdata.n_obs)].copy(),
        "subset": lambda: mdata[rng.random(mdata.n_obs) < 0.3].copy(),
        "only the source": lambda: MuData({"rna": mdata["rna"].copy()}),
    }[how]()
    out = scvcell.tl.translate(data, small.model, to="adt", source=["rna"])
    assert list(out.obs_names) == list(data.obs_names)
    there = full[data.obs_names]
    for one, other in (
        (out.X, there.X),
        (out.layers["upper"], there.layers["upper"]),
        (out.layers["lower"], there.layers["lower"]),
    ):
        np.testing.assert_allclose(one, other, rtol=2e-3, atol=2e-3)
    np.testing.assert_array_equal(out.obs["trusted"], there.obs["trusted"])


def test_batch_in_whose_terms(small):
    own = scvcell.tl.translate(small.mdata, small.model, to="adt")
    as_b0, as_b1 = (scvcell.tl.translate(small.mdata, small.model, to="adt", batch=b) for b in ("b0", "b1"))
    first = (small.mdata.obs["batch"] == "b0").to_numpy()
    np.testing.assert_allclose(own.X[first], as_b0.X[first], rtol=1e-5)
    np.testing.assert_allclose(own.X[~first], as_b1.X[~first], rtol=1e-5)
    assert np.nanmax(np.abs(as_b0.X - as_b1.X)) > 0.1


def test_without_bridge_cells_nothing_is_trusted(mosaic, quick, caplog):
    mdata = mosaic(90)
    rna, adt = mdata["rna"].copy(), mdata["adt"].copy()
    adt.obs_names = [f"{n}-p" for n in adt.obs_names]
    apart = MuData({"rna": rna, "adt": adt})
    model = scvcell.tl.fit(apart, train=quick)
    out = scvcell.tl.translate(apart, model, to="adt")
    assert "No cells with both ['rna'] and 'adt' to calibrate on" in caplog.text
    for layer in ("lower", "upper"):
        assert np.isnan(out.layers[layer]).all()
    assert np.isfinite(out[rna.obs_names].X).all()
    assert not out.obs["trusted"].any()
    assert not out.var["trusted"].any()
    assert out.uns["csl_translate"]["calibration_cells"] == 0


def test_batches_that_never_had_the_modality(mosaic, quick):
    """Proteins are translated in the mean context of the batches that measured them, not in an untrained one."""
    mdata = mosaic(150)
    late = mdata["adt"].obs["batch"] == "b1"
    partly = MuData({"rna": mdata["rna"], "adt": mdata["adt"][~late].copy()})
    partly.obs = mdata.obs.loc[partly.obs_names]
    model = scvcell.tl.fit(partly, batch_key="batch", train=quick)
    own, as_b0 = (scvcell.tl.translate(partly, model, to="adt", batch=b) for b in (None, "b0"))
    np.testing.assert_allclose(own.X, as_b0.X, rtol=1e-5)


def test_a_table_that_can_be_written(small, tmp_path):
    import anndata

    out = scvcell.tl.translate(small.mdata, small.model, to="adt")
    out.write_h5ad(tmp_path / "adt.h5ad")
    again = anndata.read_h5ad(tmp_path / "adt.h5ad")
    np.testing.assert_array_equal(again.layers["upper"], out.layers["upper"])
    assert again.uns["csl_translate"]["to"] == "adt"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"to": "atac"}, r"no modality 'atac'; it has \['rna', 'adt'\]"),
        ({"to": "adt", "source": ["atac"]}, "no modality 'atac'"),
        ({"to": "adt", "source": []}, r"source= is empty; give some of \['rna', 'adt'\]"),
        ({"to": "adt", "level": 90}, "level must lie between 0 and 1, e.g. 0.9, not 90"),
        ({"to": "adt", "level": 1.0}, "level must lie between 0 and 1"),
        ({"to": "adt", "batch": "b7"}, r"knows no batch 'b7'; it has \['b0', 'b1'\]"),
    ],
)
def test_mistakes(small, options, message):
    with pytest.raises(ValueError, match=message):
        scvcell.tl.translate(small.mdata, small.model, **options)


def test_data_without_the_source(small):
    only = MuData({"adt": small.mdata["adt"].copy()})
    with pytest.raises(
        ValueError, match=r"none of \['rna'\], from which 'adt' is to be predicted; they have \['adt'\]"
    ):
        scvcell.tl.translate(only, small.model, to="adt")


@pytest.fixture(scope="module")
def alone(quick):
    """RNA only; true rates are known; half of the cells are held out from training altogether."""
    from dataclasses import replace
    from types import SimpleNamespace

    rng = np.random.default_rng(0)
    n, genes = 600, 60
    kind = rng.integers(3, size=n)
    rate = np.where(np.arange(genes)[None] % 3 == kind[:, None], 4.0, 1.0) * rng.gamma(2, 0.5, genes)
    rate = rate / rate.sum(1, keepdims=True) * rng.lognormal(4.5, 0.5, n)[:, None]
    names = [f"cell{i}" for i in range(n)]
    adata = AnnData(rng.poisson(rate).astype(np.float32), obs=pd.DataFrame({"kind": kind}, index=names))
    hidden = np.arange(n) % 2 == 0
    model = scvcell.tl.fit(adata, train=replace(quick, max_epochs=30, validation=0.3), split=hidden)
    return SimpleNamespace(adata=adata, model=model, rate=rate, hidden=hidden)


def test_an_assay_is_denoised_by_its_own_state(alone):
    found = scvcell.tl.translate(alone.adata, alone.model, to="rna")
    assert found.uns["csl_translate"]["input_seen"]
    off, raw = (
        np.sqrt(np.square(np.log1p(x) - np.log1p(alone.rate)).mean()) for x in (found.layers["mean"], alone.adata.X)
    )
    assert off < 0.5 * raw, "nearer to the true rates than what was measured"
    new = alone.hidden
    inside = (found.layers["lower"] <= alone.adata.X) & (found.layers["upper"] >= alone.adata.X)
    assert abs(inside[new].mean() - 0.9) < 0.04, "cells that training did not see"
    assert found.obs["trusted"][new].mean() > 0.9


def test_denoised_values_are_at_the_depth_of_the_cell(alone, small):
    found = scvcell.tl.translate(alone.adata, alone.model, to="rna", source=["rna"])
    np.testing.assert_allclose(found.layers["mean"].sum(1), alone.adata.X.sum(1), rtol=1e-4)
    both = scvcell.tl.translate(small.mdata, small.model, to="rna", source=["rna", "adt"])
    assert np.isfinite(both.X).all(), "cells without RNA are at the depth that is expected of them"
    assert not scvcell.tl.translate(small.mdata, small.model, to="rna").uns["csl_translate"]["input_seen"]


def test_normalized_expression_as_in_scvi_tools(alone):
    model, adata = alone.model, alone.adata
    share = model.get_normalized_expression()
    assert list(share.index) == list(adata.obs_names)
    assert list(share.columns) == list(adata.var_names)
    np.testing.assert_allclose(share.sum(1), 1, rtol=1e-4)
    np.testing.assert_allclose(
        model.get_normalized_expression(library_size=1e4, return_numpy=True).sum(1), 1e4, rtol=1e-4
    )
    latent = model.get_normalized_expression(library_size="latent")
    np.testing.assert_allclose(latent.sum(1), adata.X.sum(1), rtol=1e-4)
    some = model.get_normalized_expression(adata, [5, 2, 5], None, ["7", "3"])
    np.testing.assert_allclose(some, share.iloc[[5, 2, 5]][["7", "3"]], rtol=1e-5)
    named = model.get_normalized_expression(adata, indices="kind == 1")
    pd.testing.assert_frame_equal(named, share[(adata.obs["kind"] == 1).to_numpy()], rtol=1e-5)
    draws = model.get_normalized_expression(n_samples=20, return_mean=False)
    assert draws.shape == (20, *share.shape)
    mean = model.get_normalized_expression(n_samples=20)
    np.testing.assert_allclose(draws.mean(0), mean, rtol=1e-4, atol=1e-7)
    assert np.corrcoef(mean.to_numpy().ravel(), share.to_numpy().ravel())[0, 1] > 0.99


def test_intervals_are_those_of_the_sources_that_the_data_have(mosaic, quick):
    mdata = mosaic(240)
    second = mdata["rna"].copy()
    three = MuData({"rna": mdata["rna"], "gex": second, "adt": mdata["adt"]})
    from dataclasses import replace

    model = scvcell.tl.fit(three, train=replace(quick, validation=0.4))
    fewer = MuData({"rna": mdata["rna"].copy()})
    all_sources = scvcell.tl.translate(fewer, model, to="adt")
    one_source = scvcell.tl.translate(fewer, model, to="adt", source=["rna"])
    np.testing.assert_allclose(all_sources.layers["upper"], one_source.layers["upper"], rtol=1e-5)


def test_a_batch_that_never_measured_the_target_is_told_and_not_trusted(mosaic, quick, caplog):
    mdata = mosaic(600)
    batch = mdata["adt"].obs["batch"].astype(str)
    one = sorted(set(batch))[0]
    mdata.mod["adt"] = mdata["adt"][(batch != one).to_numpy()].copy()
    mdata.update()
    model = scvcell.tl.fit(mdata, batch_key="batch", train=dataclasses.replace(quick, validation=0.3))
    caplog.clear()
    out = scvcell.tl.translate(mdata, model, to="adt", source=["rna"])
    here = (mdata["rna"].obs["batch"].astype(str).reindex(out.obs_names) == one).to_numpy()
    assert f"'adt' was never measured in batch {one!r}" in caplog.text
    assert not out.obs["trusted"][here].any()
    assert out.obs["trusted"][~here].any()
    query = mdata["rna"][here[mdata.obs_names.get_indexer(mdata["rna"].obs_names)]].copy()
    query.obs["batch"] = "new"
    mapped = model.load_query_data(query, train=quick)
    assert not scvcell.tl.translate(query, mapped, to="adt").obs["trusted"].any()
    assert bool(mapped.module.operators["rna"].seen[-1])
    assert not bool(mapped.module.operators["adt"].seen[-1])


def test_the_expected_range_of_coverage_is_told(pbmc):
    info = scvcell.tl.translate(pbmc.mdata, pbmc.model, to="adt", source=["rna"], level=0.9).uns["csl_translate"]
    low, high = info["expected_coverage"]
    assert 0.6 < low < 0.9 < high < 1
    assert info["calibration_cells"] > 0


def test_cells_far_shallower_than_calibration_cells_are_not_trusted(pbmc):
    cells = pbmc.mdata["rna"].copy()
    keep = cells.obs["batch"].astype(str).isin(["p3_0", "p4_0"]).to_numpy()
    cells = cells[keep].copy()
    usual = scvcell.tl.translate(cells, pbmc.model, to="adt").obs["trusted"].mean()
    x = sp.csr_matrix(cells.X)
    x.data = np.random.default_rng(0).binomial(x.data.astype(int), 0.05).astype(np.float32)
    x.eliminate_zeros()
    cells.X = x
    assert usual > 0.8
    assert scvcell.tl.translate(cells, pbmc.model, to="adt").obs["trusted"].mean() < 0.1


class TestToDisk:
    """Answers that are written by blocks are those that are returned, and memory holds one block of them."""

    @pytest.fixture
    def small_blocks(self, monkeypatch):
        monkeypatch.setattr("scvcell._containers._blocks.MAX_BLOCK_ROWS", 64)

    @pytest.mark.parametrize(("to", "source"), [("adt", None), ("rna", ["rna", "adt"])])
    def test_the_same_answers(self, small, tmp_path, small_blocks, caplog, to, source):
        caplog.set_level("INFO")
        with caplog.at_level("INFO", "scvcell"):
            whole = scvcell.tl.translate(small.mdata, small.model, to=to, source=source)
            first = [record.message for record in caplog.records]
            caplog.clear()
            left = scvcell.tl.translate(small.mdata, small.model, to=to, source=source, out=tmp_path / "a.zarr")
            assert [record.message for record in caplog.records] == first, "each thing is said once"
        for read in (left.to_memory(), anndata.read_zarr(tmp_path / "a.zarr")):
            np.testing.assert_allclose(read.layers["mean"], whole.layers["mean"], rtol=1e-5, atol=1e-6)
            # the expected log is an integral whose steps go by the largest mean of a block
            for ours, theirs in ((read.X, whole.X), *((read.layers[e], whole.layers[e]) for e in ("lower", "upper"))):
                np.testing.assert_allclose(np.log1p(ours), np.log1p(theirs), atol=2e-3)
            np.testing.assert_allclose(read.var["relative_width"], whole.var["relative_width"], rtol=1e-5)
            np.testing.assert_array_equal(read.var["trusted"], whole.var["trusted"])
            np.testing.assert_array_equal(read.obs["trusted"], whole.obs["trusted"])
            assert list(read.obs["split"]) == list(whole.obs["split"])
            assert list(read.obs_names) == list(whole.obs_names)
        assert whole.obs["trusted"].any()
        assert read.uns["csl_translate"]["expected_coverage"] == pytest.approx(
            whole.uns["csl_translate"]["expected_coverage"]
        )
        assert len(left) == small.mdata.n_obs

    def test_memory_holds_a_block(self, small, tmp_path, monkeypatch):
        monkeypatch.setattr("scvcell._containers._blocks.MAX_BLOCK_ROWS", 256)

        def peak(n, **where):
            cells = np.arange(n) % small.mdata["adt"].n_obs
            x = sp.csr_matrix(small.mdata["adt"].X)[cells]
            obs = pd.DataFrame(
                {"batch": np.asarray(small.mdata["adt"].obs["batch"])[cells]}, [f"c{i}" for i in range(n)]
            )
            mdata = MuData({"adt": AnnData(x, obs=obs, var=small.mdata["adt"].var)})
            mdata.obs["batch"] = obs["batch"]
            tracemalloc.start()
            out = scvcell.tl.translate(mdata, small.model, to="rna", **where)
            found = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert out.shape == (n, 60)
            return found

        few, many = 512, 2048
        scvcell.tl.translate(small.mdata, small.model, to="rna", out=tmp_path / "first.zarr")
        low, high = (peak(n, out=tmp_path / f"{n}.zarr") for n in (few, many))
        answer = 4 * 60 * 4
        assert (high - low) / (many - few) < answer / 3

    def test_a_store_that_is_there_is_not_touched(self, small, tmp_path):
        (tmp_path / "a.zarr").mkdir()
        with pytest.raises(FileExistsError, match="exists already"):
            scvcell.tl.translate(small.mdata, small.model, to="adt", out=tmp_path / "a.zarr")
        with pytest.raises(ValueError, match=r"out= takes the folder of a zarr store"):
            scvcell.tl.translate(small.mdata, small.model, to="adt", out=tmp_path / "a.h5ad")
        assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]

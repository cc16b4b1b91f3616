"""Velocity, forecasts and fates on simulated kinetics whose direction, branches and times are known."""

import logging

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import MuData
from sklearn.neighbors import NearestNeighbors

import scvcell
from scvcell import PerturbationKeys, TrainConfig

QUICK = TrainConfig(max_epochs=25, accelerator="cpu", progress=False)


@pytest.fixture(scope="module")
def branching():
    """Cells of a branching process with their velocity."""
    adata = scvcell.datasets.simulate_kinetics(600, n_genes=200, seed=0)
    mdata = MuData({"kinetics": scvcell.pp.modality_from_layers(adata)})
    mdata.obs["ends"] = ends(adata)
    model = scvcell.tl.fit(mdata, train=QUICK)
    scvcell.tl.velocity(mdata, model)
    return adata, mdata, model


def ends(adata):
    """First and last tenth of the process, by branch; no label between."""
    time, stage = adata.obs["time"], adata.obs["stage"].astype(str)
    return np.where(time > 10.5, stage, np.where(time < 1.2, "first", None))


def gone(adata, mdata, later):
    """By how much later the cells are to which forecasts have come."""
    nearest = NearestNeighbors(n_neighbors=5).fit(mdata.obsm["X_csl"]).kneighbors(later.obsm["X_csl"])[1]
    return adata.obs["time"].to_numpy()[nearest].mean(1) - adata.obs.loc[later.obs["source_cell"], "time"].to_numpy()


def test_what_is_written(branching):
    _, mdata, model = branching
    assert mdata.obsm["velocity_csl"].shape == (600, model.n_latent)
    assert mdata.obs["velocity_confidence"].between(-1, 1).all()
    assert mdata.obs["velocity_trusted"].equals(mdata.obs["velocity_confidence"] >= 0.5)
    assert mdata.uns["csl_velocity"]["unit"] == "lifetime of a typical mRNA"
    assert np.isfinite(mdata["kinetics"].layers["velocity"]).all()


def test_ends_are_given_as_their_labels_are_held(branching):
    _, mdata, model = branching
    data = mdata.copy()
    expected = scvcell.tl.fate(data, model, groupby="ends", terminal=["A", "B"]).to_df()
    number = data.obs["ends"].map({"A": 0, "B": 1, "first": 2}).astype(float)
    for held in ("float64", "Int64", "category", "string"):
        values = number.astype("Int64").astype(held) if held == "string" else number.astype(held)
        data.obs["number"] = values
        for terminal in ([0, 1], ["0", 1.0], np.array([0, 1]), (np.int8(0), "1")):
            found = scvcell.tl.fate(data, model, groupby="number", terminal=terminal)
            np.testing.assert_allclose(found.X, expected.to_numpy(), atol=1e-6)
            assert found.var_names.tolist() == ["0", "1"]
            assert found.obs["number"].dtype == values.dtype
            if held != "float64":
                break
    one = scvcell.tl.fate(data, model, groupby="number", terminal=0)
    assert one.var_names.tolist() == ["0"]


def test_genes_change_as_they_do(branching):
    adata, mdata, _ = branching
    n = adata.n_vars
    found = mdata["kinetics"].layers["velocity"][:, :n] / mdata["kinetics"].X[:, :n].sum(1)
    true = adata.layers["velocity"] / adata.layers["rate"].sum(1, keepdims=True)
    each = [np.corrcoef(a, b)[0, 1] for a, b in zip(np.asarray(found).T, true.T, strict=True)]
    assert np.median(each) > 0.5


def test_the_layer_is_the_derivative_of_expected_counts(branching):
    _, mdata, model = branching
    operator = model.module.operators["kinetics"]
    view = model.view(mdata)
    ctx, z = model.readout(view, "kinetics").ctx, model.posterior(view).mean.numpy()
    step = 1e-2 * mdata.obsm["velocity_csl"]
    import torch

    depth = torch.tensor(np.asarray(mdata["kinetics"].X.sum(1)).ravel())
    with torch.no_grad():
        before, after = (operator.predictive(torch.tensor(z + s), ctx.measured(depth)).mean for s in (-step, step))
    np.testing.assert_allclose((after - before) / 2e-2, mdata["kinetics"].layers["velocity"], atol=0.05, rtol=0.05)


def test_forecasts_come_to_later_cells_of_the_same_branch(branching):
    adata, mdata, model = branching
    early = adata.obs_names[adata.obs["time"] < 9][:200]
    later = scvcell.tl.forecast(mdata, model, time=2.0, cells=early)
    assert 0.8 < np.median(gone(adata, mdata, later)) < 3.5
    assert (later.obs["support"] > 0.5).mean() > 0.8
    scvcell.tl.embed(mdata, model)
    directed = model.drift.trusted(np.asarray(mdata[early].obsm["X_csl"], float))
    assert (later.obs["trusted"] == ((later.obs["support"] >= 0.5) & directed)).all()
    assert directed.mean() > 0.4
    assert (later.layers["lower"] <= later.X + 1e-4).all()
    assert (later.layers["upper"] >= later.X - 1e-4).all()
    wide, narrow = (scvcell.tl.forecast(mdata, model, time=1.0, cells=early, level=v) for v in (0.95, 0.5))
    assert (wide.layers["upper"] - wide.X).mean() > 1.5 * (narrow.layers["upper"] - narrow.X).mean()


def test_times_add_up(branching):
    _, mdata, model = branching
    z = mdata.obsm["X_csl"][:100].astype(float)
    once, _, _ = model.drift.flow(z, 1.5)
    twice, _, _ = model.drift.flow(model.drift.flow(z, 0.9)[0], 0.6)
    np.testing.assert_allclose(once, twice, atol=1e-4)
    np.testing.assert_array_equal(model.drift.flow(z, 0)[0], z)


def test_far_from_the_data_there_is_no_support_and_no_velocity(branching):
    _, mdata, model = branching
    z = mdata.obsm["X_csl"].astype(float)
    assert model.drift.support(z).mean() > 0.8
    assert model.drift.support(z + 10).max() < 0.01
    assert np.abs(model.drift.velocity(z + 10)).max() < 1e-6


def test_fates(branching):
    adata, mdata, model = branching
    found = scvcell.tl.fate(mdata, model, groupby="ends", terminal=["A", "B", "first"]).to_df()
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)
    stage, between = adata.obs["stage"].astype(str).to_numpy(), mdata.obs["ends"].isna().to_numpy()
    assert found.loc[between & (stage == "A"), "A"].mean() > 0.8
    assert found.loc[between & (stage == "B"), "B"].mean() > 0.8
    assert found.loc[between, "first"].mean() < 0.25


def test_ends_are_found_and_have_intervals(branching):
    adata, mdata, model = branching
    mdata.obs["stage"] = adata.obs["stage"]
    found = scvcell.tl.fate(mdata, model, groupby="stage")
    del mdata.obs["stage"]
    assert set(found.var_names) == {"A", "B"}
    assert (found.layers["lower"] <= found.X).all()
    assert (found.layers["upper"] >= found.X).all()
    assert (found.layers["upper"] > found.layers["lower"]).any()


def test_the_known_way_is_trusted(branching):
    """Most cells are, and of these hardly any goes to cells that are earlier."""
    adata, mdata, model = branching
    trusted = mdata.obs["velocity_trusted"].to_numpy()
    later = gone(adata, mdata, scvcell.tl.forecast(mdata, model, time=1.0))
    assert trusted.mean() > 0.55
    assert (later[trusted] < -0.5).mean() < 0.05


@pytest.fixture(scope="module")
def unrelated():
    """The same process, with the unspliced counts of other cells."""
    adata = scvcell.datasets.simulate_kinetics(400, n_genes=100, seed=0)
    adata.layers["unspliced"] = adata.layers["unspliced"][np.random.default_rng(0).permutation(400)]
    mdata = MuData({"kinetics": scvcell.pp.modality_from_layers(adata)})
    mdata.obs["stage"] = adata.obs["stage"].to_numpy()
    return mdata, scvcell.tl.fit(mdata, train=QUICK)


def test_nothing_is_trusted_where_splicing_tells_nothing(unrelated, caplog):
    mdata, model = unrelated
    with caplog.at_level(logging.WARNING, "scvcell"):
        scvcell.tl.velocity(mdata, model)
    assert "In no cell is it told reliably" in caplog.text
    assert not mdata.obs["velocity_trusted"].any()
    assert mdata.obs["velocity_confidence"].max() < 0.2


def test_no_ends_are_named_without_trust_and_fates_that_are_all_the_same_are_flagged(unrelated, caplog):
    mdata, model = unrelated
    scvcell.tl.velocity(mdata, model)
    with pytest.raises(ValueError, match=r"as far as velocities are trusted \(0% of cells.*terminal="):
        scvcell.tl.fate(mdata, model, groupby="stage")
    with caplog.at_level(logging.WARNING, "scvcell"):
        found = scvcell.tl.fate(mdata, model, groupby="stage", terminal=["A", "B"])
    assert not found.obs["trusted"].any()
    assert "have no trusted velocity" in caplog.text
    np.testing.assert_allclose(found.X.sum(1), 1, atol=1e-6)


def test_an_end_where_the_walk_starts_is_warned_of(branching, caplog):
    adata, mdata, model = branching
    mdata.obs["stage"] = adata.obs["stage"]
    with caplog.at_level(logging.WARNING, "scvcell"):
        scvcell.tl.fate(mdata, model, groupby="stage", terminal=["A", "B"])
        assert "leave it" not in caplog.text
        assert "do not head for" not in caplog.text
        scvcell.tl.fate(mdata, model, groupby="stage", terminal=["start", "middle", "B"])
    del mdata.obs["stage"]
    assert "Cells of 'middle' leave it" in caplog.text
    assert "do not head for 'start'" in caplog.text


def test_a_field_learned_before_trust_was_asked_has_none(branching):
    from dataclasses import replace

    _, mdata, model = branching
    z = mdata.obsm["X_csl"].astype(float)
    arrays = model.drift.as_arrays()
    del arrays["told"]
    assert not type(model.drift).from_arrays(arrays).trusted(z).any()
    assert replace(model.drift, time_key="day", told=np.zeros(0)).trusted(z).any()


def test_saved_and_loaded(branching, tmp_path):
    _, mdata, model = branching
    model.save(tmp_path / "model")
    loaded = scvcell.CSL.load(tmp_path / "model", mdata)
    z = mdata.obsm["X_csl"][:5].astype(float)
    np.testing.assert_array_equal(loaded.drift.velocity(z), model.drift.velocity(z))
    assert loaded.drift.unit == model.drift.unit
    np.testing.assert_array_equal(loaded.drift.confidence(z), model.drift.confidence(z))


def test_new_cells_use_the_field_and_keep_the_order_of_their_features(branching):
    _, mdata, model = branching
    new = mdata["kinetics"][:20, ::-1].copy()
    drift = model.drift
    other = MuData({"kinetics": new})
    scvcell.tl.velocity(other, model)
    assert model.drift is drift
    np.testing.assert_allclose(other.obsm["velocity_csl"], mdata.obsm["velocity_csl"][:20], atol=1e-5)
    layer = mdata["kinetics"].layers["velocity"][:20, ::-1]
    np.testing.assert_allclose(other["kinetics"].layers["velocity"], layer, atol=1e-4)


def test_nothing_else_is_changed(branching, fingerprint):
    _, mdata, model = branching
    before = fingerprint(mdata)
    scvcell.tl.forecast(mdata, model, time=0.5, cells=mdata.obs_names[:10])
    scvcell.tl.fate(mdata, model, groupby="ends", terminal="A")
    assert fingerprint(mdata) == before


def test_an_end_that_cannot_be_reached_is_no_number(branching, monkeypatch, caplog):
    import scipy.sparse as sp

    _, mdata, model = branching
    halves = sp.block_diag([sp.coo_array(np.ones((300, 300)))] * 2)
    monkeypatch.setattr("scvcell.tl._fate.neighbours", lambda _: sp.coo_array(halves))
    label = np.full(600, "on", object)
    label[0] = "end"
    mdata.obs["half"] = label
    with caplog.at_level(logging.WARNING, "scvcell"):
        found = scvcell.tl.fate(mdata, model, groupby="half", terminal="end")
    del mdata.obs["half"]
    assert np.isnan(found.X[300:]).all()
    np.testing.assert_allclose(found.X[:300], 1)
    assert "From 300 of 600 cells no terminal group" in caplog.text


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d, m: scvcell.tl.forecast(d, m, time=-1), "time must be 0 or later"),
        (lambda d, m: scvcell.tl.forecast(d, m, time=float("nan")), "time must be 0 or later"),
        (lambda d, m: scvcell.tl.forecast(d, m, time=1, level=1.2), "level"),
        (lambda d, m: scvcell.tl.forecast(d, m, time=1, action="A"), "learned no perturbation"),
        (lambda d, m: scvcell.tl.fate(d, m, groupby="ends", terminal=["C"]), r"no group 'C'.*Groups: A, B, first"),
        (lambda d, m: scvcell.tl.velocity(d, m, time_key="ends"), "must hold numbers"),
    ],
)
def test_refused(branching, call, message):
    _, mdata, model = branching
    drift = model.drift
    with pytest.raises(ValueError, match=message):
        call(mdata, model)
    assert model.drift is drift


def test_a_model_without_kinetics_says_what_to_do(small, fingerprint):
    before = fingerprint(small.mdata)
    with pytest.raises(ValueError, match=r"The model measures no kinetics.*modality_from_layers.*time_key="):
        scvcell.tl.velocity(small.mdata, small.model)
    for verb in (
        lambda: scvcell.tl.forecast(small.mdata, small.model, time=1),
        lambda: scvcell.tl.fate(small.mdata, small.model, groupby="celltype"),
    ):
        with pytest.raises(ValueError, match=r"Run `scvcell.tl.velocity"):
            verb()
    assert fingerprint(small.mdata) == before


def test_too_few_counts_are_said():
    adata = scvcell.datasets.simulate_kinetics(60, n_genes=30, depth=10)
    mdata = MuData({"kinetics": scvcell.pp.modality_from_layers(adata)})
    model = scvcell.tl.fit(mdata, train=TrainConfig(max_epochs=1, accelerator="cpu", progress=False))
    with pytest.raises(ValueError, match=r"Only \d+ genes have 20 mature"):
        scvcell.tl.velocity(mdata, model)


@pytest.fixture(scope="module")
def series():
    """A factor that rises with time, by a unit per day; a drug sets it back."""
    rng = np.random.default_rng(0)
    day, drug = rng.integers(4, size=600), rng.choice(["none", "D"], 600)
    level = day + rng.uniform(0, 0.5, 600) - 1.5 * (drug == "D")
    log = 1 + np.outer(level, np.r_[np.full(10, 0.4), np.full(10, -0.4), np.zeros(20)])
    obs = pd.DataFrame({"day": day, "drug": drug, "level": level}, index=[f"c{i}" for i in range(600)])
    adata = AnnData(rng.poisson(np.exp(log)).astype(np.float32), obs=obs)
    keys = PerturbationKeys("drug", control="none", context="day")
    return adata, scvcell.tl.fit(adata, perturbation=keys, train=QUICK)


def test_times_teach_a_field_and_actions_come_first(series):
    adata, model = series
    with pytest.raises(ValueError, match="at least two times"):
        scvcell.tl.velocity(adata[adata.obs["day"] == 1].copy(), model, time_key="day")
    scvcell.tl.velocity(adata, model, time_key="day")
    assert adata.uns["csl_velocity"] == {"unit": "unit of day", "time_key": "day", "clone_key": ""}
    assert "velocity" not in adata.layers
    start = "day == 1 and drug == 'none'"

    def level(found):
        nearest = NearestNeighbors(n_neighbors=5).fit(adata.obsm["X_csl"]).kneighbors(found.obsm["X_csl"])[1]
        return adata.obs["level"].to_numpy()[nearest].mean()

    now, later = (scvcell.tl.forecast(adata, model, time=t, cells=start) for t in (0, 1))
    treated = scvcell.tl.forecast(adata, model, time=1, cells=start, action="D")
    assert 0.5 < level(later) - level(now) < 1.5
    assert level(treated) < level(later) - 0.5
    assert set(treated.obs["action"]) == {"D"}
    known = scvcell.tl.effects(adata, model, "D", cells=start)["support"].max()
    assert (treated.obs["support"] <= known + 1e-9).all()
    assert set(treated.obs["forecast_time"]) == {1.0}


@pytest.fixture(scope="module")
def grown():
    """Two kinds of cells that stay what they are; one grows, from half of the cells to nine in ten."""
    rng = np.random.default_rng(0)
    day = np.repeat([0, 1], 300)
    kind = rng.random(600) < np.where(day == 1, 0.9, 0.5)
    log = 1 + np.outer(kind * 1.5 + rng.normal(0, 0.1, 600), np.r_[np.full(10, 1.0), np.full(10, -1.0), np.zeros(20)])
    clone = np.where(
        rng.random(600) < 0.7, np.char.add(np.where(kind, "a", "b"), rng.integers(20, size=600).astype(str)), None
    )
    obs = pd.DataFrame({"day": day, "kind": kind, "clone": clone}, index=[f"c{i}" for i in range(600)])
    adata = AnnData(rng.poisson(np.exp(log)).astype(np.float32), obs=obs)
    return adata, scvcell.tl.fit(adata, train=QUICK)


def test_clones_tell_growth_from_change(grown):
    adata, model = grown
    kind = adata.obs["kind"].to_numpy()

    def changed(**keys):
        """Share of the cells of the kind that does not grow whose later state is that of the other."""
        scvcell.tl.velocity(adata, model, time_key="day", **keys)
        later = scvcell.tl.forecast(adata, model, time=1, cells="day == 0 and not kind")
        nearest = NearestNeighbors(n_neighbors=5).fit(adata.obsm["X_csl"]).kneighbors(later.obsm["X_csl"])[1]
        return (kind[nearest].mean(1) > 0.5).mean()

    by_times, by_clones = changed(), changed(clone_key="clone")
    assert adata.uns["csl_velocity"]["clone_key"] == "clone"
    assert by_clones < 0.05 < 0.25 < by_times


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"clone_key": "clone"}, "clone_key= needs time_key="),
        ({"time_key": "day", "clone_key": "alone"}, "No clone .* at two consecutive times"),
        ({"time_key": "day", "clone_key": "clones"}, "No obs column 'clones'.*'clone'"),
    ],
)
def test_clones_that_do_not_tell(grown, keys, message):
    adata, model = grown
    adata.obs["alone"] = adata.obs_names
    model.drift = None
    with pytest.raises((ValueError, KeyError), match=message):
        scvcell.tl.velocity(adata, model, **keys)
    assert model.drift is None


def test_labelling_gives_absolute_time():
    """Twice the labelling time at the same counts: everything is half as fast."""
    adata = scvcell.datasets.simulate_kinetics(300, n_genes=60, unspliced=0.5, seed=2)
    speeds = []
    for time in (1.0, 2.0):
        table = scvcell.pp.modality_from_layers(adata, time=time)
        mdata = MuData({"labelling": table})
        model = scvcell.tl.fit(mdata, train=TrainConfig(max_epochs=15, accelerator="cpu", progress=False))
        scvcell.tl.velocity(mdata, model)
        assert mdata.uns["csl_velocity"]["unit"] == "unit of the labelling time"
        speeds.append(np.median(np.linalg.norm(mdata.obsm["velocity_csl"], axis=1)))
    assert speeds[1] / speeds[0] == pytest.approx(0.5, rel=0.15)


def test_few_genes_are_no_crash():
    adata = scvcell.datasets.simulate_kinetics(100, n_genes=20, seed=0)
    data = MuData({"kinetics": scvcell.pp.modality_from_layers(adata)})
    model = scvcell.tl.fit(data, train=QUICK)
    scvcell.tl.velocity(data, model)
    assert np.isfinite(data.obsm["velocity_csl"]).all()

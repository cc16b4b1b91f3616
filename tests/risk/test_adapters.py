"""Simple predictors and a cell-state latent answer the same questions."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.decomposition import PCA
from sklearn.linear_model import RidgeCV

import scvcell
from scvcell import risk
from scvcell.risk import (
    QUANTILES,
    Effect,
    EffectBaseline,
    LinearMatch,
    ModelPredictor,
    Place,
    Split,
    Translate,
    Translator,
)
from scvcell.risk._adapters import shown_split
from scvcell.risk.axes import Modality
from scvcell.risk.baselines import BASELINES, TRANSLATORS

KEYS = scvcell.PerturbationKeys("action", control="control", context="cell_type")


@pytest.fixture(scope="module")
def world():
    mdata = scvcell.datasets.simulate(700, n_genes=80, n_proteins=12, paired=0.6, seed=0)
    return mdata, risk.hide_pairing(mdata, "rna", "adt", share=0.3, seed=1), Modality("rna", "adt")


@pytest.fixture(scope="module")
def fitted(world, quick):
    train = replace(quick, max_epochs=30, validation=0.25)
    return ModelPredictor(options={"batch_key": "batch", "train": train})


@pytest.fixture(scope="module")
def found(world, fitted):
    """Scores of all of them, metric by metric."""
    mdata, split, axis = world
    each = [fitted, LinearMatch(), *map(Translator, TRANSLATORS)]
    return {p.name: risk.ask(p, axis, mdata, split, seed=0).set_index(["test", "metric"])["value"] for p in each}


def test_a_latent_finds_hidden_pairs_and_translates(found):
    ours = found["scvcell"]
    assert ours["match rna and adt", "foscttm"] < 0.2
    assert ours["rna to adt", "pearson"] > 0.4
    assert ours["rna to adt", "answered"] == ours["adt to rna", "answered"] == 1
    assert 0.8 < ours["rna to adt", "coverage"] < 0.98, "intervals at 90 %"
    assert 0 < ours["rna to adt", "pit_quantiles"] < 0.1, "all quantiles are near their levels, not only the ends"
    assert 0 < ours["rna to adt", "crps_quantiles"] < ours["rna to adt", "rmse"]
    assert "crps_quantiles" not in found["PCA + ridge"]["rna to adt"]


def test_simple_predictors_answer_what_they_can(found):
    assert found["CCA"]["match rna and adt", "foscttm"] < 0.35
    assert found["CCA"]["rna to adt", "answered"] == 0
    for name in TRANSLATORS:
        assert found[name]["match rna and adt", "answered"] == 0
        assert found[name]["rna to adt", "answered"] == 1
    assert found["mean profile"]["rna to adt", "pearson"] == pytest.approx(0, abs=1e-9)
    assert found["PCA + ridge"]["rna to adt", "rmse"] < 0.9 * found["mean profile"]["rna to adt", "rmse"]


def test_a_translation_by_hand(world):
    mdata, split, axis = world
    seen = axis.hide(mdata, split)
    predictor = Translator("PCA + ridge")
    predictor.fit(seen, split, 0)
    cells = seen["rna"].obs_names[:5]
    point = predictor.predict(Translate("rna", "adt", cells)).point
    pairs = seen["rna"].obs_names[seen["rna"].obs_names.isin(seen["adt"].obs_names)]
    counts = seen["rna"].to_df()
    x = np.log1p(1e4 * counts.div(np.maximum(counts.sum(axis=1), 1), axis=0))
    y = np.log1p(seen["adt"].to_df().loc[pairs])
    pca = PCA(30, random_state=0).fit(x.loc[pairs].to_numpy())
    model = RidgeCV(np.logspace(0, 4, 9)).fit(pca.transform(x.loc[pairs].to_numpy()), y)
    np.testing.assert_allclose(point, np.expm1(model.predict(pca.transform(x.loc[cells].to_numpy()))), rtol=1e-5)
    assert point.index.equals(cells)
    assert predictor.predict(Place({"rna": cells})) is None


def test_without_pairs_linear_methods_abstain(world):
    mdata, _, axis = world
    split = risk.hide_pairing(mdata, "rna", "adt", share=1.0)
    for predictor in (LinearMatch(), Translator()):
        answered = risk.ask(predictor, axis, mdata, split).query("metric == 'answered'")["value"]
        assert (answered == 0).all()


def test_what_is_hidden_changes_nothing_that_a_latent_learns(world, quick):
    """The held-out half of the audit: other measurements of the test cells' proteins, the same predicted proteins."""
    mdata, _, _ = world
    cells = mdata["rna"].obs_names.intersection(mdata["adt"].obs_names)[:60]
    split = risk.hide_pairing(mdata, "rna", "adt", cells=cells)
    answers = []
    for noise in (0, 1):
        other = mdata.copy()
        hidden = other["adt"].obs_names.isin(cells)
        other["adt"].X = sp.csr_matrix(other["adt"].X.toarray() + 50 * noise * hidden[:, None])
        predictor = ModelPredictor(options={"train": quick})
        predictor.fit(other, split, 0)
        values = predictor.predict(Translate("rna", "adt", cells))
        answers.append(values.point.to_numpy())
    np.testing.assert_array_equal(*answers)


def test_calibration_cells_of_the_split_set_its_intervals_as_they_do_for_a_user(world, quick):
    mdata, _, axis = world
    split = risk.hide_pairing(mdata, "rna", "adt", share=0.3, calibration=0.4, seed=1)
    asked = Translate("rna", "adt", split.test[:20])
    predictor = ModelPredictor(options={"train": quick})
    predictor.fit(mdata.copy(), split, 0)
    own = scvcell.tl.fit(mdata.copy(), split=split, seed=0, train=quick)
    found = scvcell.tl.translate(mdata[asked.cells].copy(), own, to="adt", source=["rna"])
    answer = predictor.predict(asked)
    np.testing.assert_array_equal(answer.point, found.X)
    np.testing.assert_array_equal(answer.upper, found.layers["upper"])
    assert set(predictor._asked.split_["calibration"]) == set(split.calibration)
    assert predictor._asked.split_digest == split.digest
    both = mdata["rna"].obs_names.intersection(mdata["adt"].obs_names)
    assert found.uns["csl_translate"]["calibration_cells"] == len(both.intersection(split.calibration)) > 20
    torn = shown_split(axis.hide(mdata, split), split)
    new = torn.train.difference(split.train)
    assert (len(new), torn.calibration.equals(split.calibration)) == (2 * len(split.test), True)
    assert not torn.hidden.isin(torn.train).any()


def test_cells_in_no_part_stay_so_where_others_have_new_names(world):
    mdata, split, axis = world
    few = Split(split.train[5:], split.calibration, split.test, why=split.reasons)
    shown = shown_split(axis.hide(mdata, few), few)
    assert set(split.train[:5]) <= set(shown.hidden)
    assert shown_split(mdata, few) is few


def test_a_model_that_has_seen_test_cells_is_refused(world, quick):
    mdata, split, axis = world
    seen = scvcell.tl.fit(mdata.copy(), train=quick)
    with pytest.raises(ValueError, match=r"The model was fitted on \d+ test cells, e\.g\. 'cell\d+'"):
        risk.ask(ModelPredictor(seen), axis, mdata, split)
    blind = scvcell.tl.fit(mdata.copy(), train=quick, split=split)
    scores = risk.ask(ModelPredictor(blind, name="blind"), axis, mdata, split)
    assert (scores.loc[scores["metric"] == "answered", "value"] == 1).all()
    assert set(scores["predictor"]) == {"blind"}


def test_each_question_round_is_a_new_fit(world, fitted, quick):
    mdata, split, axis = world
    predictor = ModelPredictor(options={"train": quick})
    first, again = (risk.ask(predictor, axis, mdata, split, seed=s)["value"] for s in (0, 0))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, risk.ask(predictor, axis, mdata, split, seed=1)["value"])


@pytest.fixture(scope="module")
def screen():
    """A simulated screen without contexts, and the predictor of a model that was fitted to it and saved."""
    options = {"n_targets": 2, "pairs": False, "n_genes": 20, "n_proteins": 4, "seed": 1, "doses": (1.0, 10.0)}
    data = scvcell.datasets.simulate_actions(120, **options)
    model = scvcell.CSL.load(Path(__file__).parents[1] / "data" / "models" / "actions", data)
    predictor = ModelPredictor(model)
    predictor.fit(data, Split(data.obs_names[1:], data.obs_names[:0], pd.Index(["another cell"])), 0)
    return data, predictor


@pytest.fixture(scope="module")
def pairs():
    """A simulated screen of pairs in two contexts, and a split that hides one pair in one of them."""
    data = scvcell.datasets.simulate_actions(500, n_targets=3, n_genes=40, n_proteins=4, n_types=2, seed=1)
    hidden = cells_of(data, "T1+T2", kinds_of(data)[:1])
    return data, Split(data.obs_names.difference(hidden), data.obs_names[:0], hidden, "another action")


def by_hand(data, modality="rna"):
    """log1p of counts per 10,000, labelled."""
    counts = data[modality].to_df()
    return np.log1p(1e4 * counts.div(counts.sum(axis=1), axis=0))


def kinds_of(data):
    return sorted(set(data.obs["cell_type"]))


def cells_of(data, action, kinds=None):
    return data.obs_names[(data.obs["action"] == action) & data.obs["cell_type"].isin(kinds or kinds_of(data))]


def test_a_latent_tells_effects_on_the_scale_of_the_contract(screen):
    data, predictor = screen
    action, controls = scvcell.Action({"T1": 10.0}), cells_of(data, "control")
    told = predictor.predict(Effect(action, controls, n_treated=20))
    found, share = told.change, told.after.div(told.after.sum(axis=1), axis=0)
    moved = np.log1p(1e4 * share).mean() - by_hand(data).loc[controls].mean()
    assert found.index.equals(data["rna"].var_names)
    assert 0.85 < found["effect"] @ moved / (moved @ moved) < 1.15, "natural logs: in log2 the slope would be 1.44"
    assert np.corrcoef(found["effect"], moved)[0, 1] > 0.95
    assert (found["lower"] <= found["effect"]).all()
    assert (found["effect"] <= found["upper"]).all()
    narrow, wide = (
        predictor.predict(Effect(action, controls, n_treated=n, level=level)).change
        for n, level in ((100, 0.5), (5, 0.99))
    )
    assert (wide["upper"] - wide["lower"] > narrow["upper"] - narrow["lower"]).all()
    half = predictor.predict(Effect(action, controls, n_treated=20, level=0.5)).change
    for low, high, ends in ((0.05, 0.95, found), (0.25, 0.75, half)):
        np.testing.assert_allclose(told.quantiles[[low, high]], ends[["lower", "upper"]])
    np.testing.assert_allclose(told.quantiles[0.5], found["effect"])
    assert list(told.quantiles) == list(QUANTILES)


def test_effects_of_several_contexts_are_averaged_by_cells(screen, monkeypatch):
    data, predictor = screen
    response = predictor.model.parts["response"]
    monkeypatch.setattr(response, "keys", replace(response.keys, context="cell_type"))
    action = scvcell.Action({"T1": 1.0})
    parts = [cells for kind in kinds_of(data) if len(cells := cells_of(data, "control", [kind]))]
    every = cells_of(data, "control")
    each = [predictor.predict(Effect(action, cells)).change["effect"] for cells in parts]
    both = predictor.predict(Effect(action, every))
    expected = sum(len(cells) * effect for cells, effect in zip(parts, each, strict=True)) / len(every)
    assert len(parts) > 1
    assert np.abs(each[0] - each[1]).max() > 0.01
    np.testing.assert_allclose(both.change["effect"], expected, rtol=1e-5, atol=1e-6)
    again = predictor.predict(Effect(action, every[::-1]))
    np.testing.assert_allclose(again.change["effect"], both.change["effect"], rtol=1e-4, atol=1e-6)
    assert both.after.index.equals(every)
    assert again.after.index.equals(every[::-1])
    assert (both.after.to_numpy() == both.after.to_numpy().round()).all(), "counts"
    assert (both.after.to_numpy() >= 0).all()


def test_effects_on_an_assay_without_a_depth_come_from_cells(screen):
    data, predictor = screen
    controls = cells_of(data, "control")
    found = predictor.predict(Effect(scvcell.Action({"T2": 10.0}), controls, "adt"))
    share = found.after.div(found.after.sum(axis=1), axis=0)
    expected = np.log1p(1e4 * share).mean() - by_hand(data, "adt").loc[controls].mean()
    np.testing.assert_allclose(found.change["effect"], expected, rtol=1e-4, atol=1e-5)
    assert list(found.change) == ["effect"]


def test_who_knows_of_no_action_does_not_answer(screen, pairs, world, fitted):
    (_, ours), (data, split), (mdata, hidden, _) = screen, pairs, world
    question = Effect(scvcell.Action("T1"), data.obs_names[:3])
    baseline = EffectBaseline("mean", KEYS)
    baseline.fit(data, split, 0)
    assert baseline.predict(replace(question, modality="atac")) is None
    assert baseline.predict(Translate("rna", "adt", question.cells)) is None
    assert ours.predict(replace(question, modality="atac")) is None
    assert Translator().predict(question) is None
    assert LinearMatch().predict(question) is None
    without = ModelPredictor(fitted._asked)
    without.fit(mdata, Split(hidden.train, hidden.calibration, pd.Index(["another cell"])), 0)
    assert without.predict(question) is None


@pytest.mark.parametrize("name", [name for name in BASELINES if name != "replicate"])
def test_baselines_of_effects_see_no_test_cell(pairs, name):
    data, split = pairs
    shown, controls = data[~data.obs_names.isin(split.test)].copy(), cells_of(data, "control", kinds_of(data)[:1])
    question = Effect(scvcell.Action("T1+T2"), controls)
    answers = []
    for seen in (data, shown, shown[::-1].copy()):
        predictor = EffectBaseline(name, KEYS)
        predictor.fit(seen, split, 0)
        answers.append(predictor.predict(question))
    first = answers[0].change["effect"]
    assert first.index.equals(data["rna"].var_names)
    for other in answers[1:]:
        np.testing.assert_allclose(other.change["effect"], first, rtol=1e-3, atol=1e-4)
    assert answers[0].after.index.equals(controls)
    assert (answers[0].after.to_numpy() >= 0).all()


def test_baselines_of_effects_by_hand(pairs):
    data, split = pairs
    values, seen = by_hand(data), data.obs.drop(split.test)
    controls = cells_of(data, "control", kinds_of(data)[:1])
    answers = {}
    for name in ("control", "mean"):
        predictor = EffectBaseline(name, KEYS)
        predictor.fit(data, split, 0)
        answers[name] = predictor.predict(Effect(scvcell.Action("T1+T2"), controls))
    deltas = [
        values.loc[cells.index].mean()
        - values.loc[seen.index[(seen["action"] == "control") & (seen["cell_type"] == k)]].mean()
        for (k, action), cells in seen.groupby(["cell_type", "action"], observed=True)
        if action != "control"
    ]
    np.testing.assert_allclose(
        answers["mean"].change["effect"], pd.concat(deltas, axis=1).mean(axis=1), rtol=1e-4, atol=1e-5
    )
    assert (answers["control"].change["effect"] == 0).all()
    np.testing.assert_allclose(answers["control"].after, data["rna"].to_df().loc[controls], rtol=1e-4, atol=1e-4)


def test_a_replicate_needs_cells_that_were_measured(pairs):
    data, split = pairs
    half = Split(split.train.union(split.test[::2]), split.calibration, split.test[1::2])
    controls = cells_of(data, "control", kinds_of(data)[:1])
    predictor = EffectBaseline("replicate", KEYS)
    predictor.fit(data, half, 0)
    found = predictor.predict(Effect(scvcell.Action("T1+T2"), controls))
    values = by_hand(data)
    expected = values.loc[split.test[::2]].mean() - values.loc[controls].mean()
    assert np.corrcoef(found.change["effect"], expected)[0, 1] > 0.99
    predictor.fit(data, split, 0)
    with pytest.raises(ValueError, match="No cell that may be learned from was measured after 'T1\\+T2'"):
        predictor.predict(Effect(scvcell.Action("T1+T2"), controls))


def test_a_name_that_nobody_has_is_told_at_once():
    with pytest.raises(ValueError, match=r"There is no baseline 'aditive'.*'additive'.*There are .*control"):
        EffectBaseline("aditive", KEYS)
    with pytest.raises(ValueError, match=r"There is no translation 'PCA \+ kN'.*'PCA \+ kNN'"):
        Translator("PCA + kN")


def test_quantiles_of_values_are_the_ends_of_intervals_at_their_levels(world, fitted, found):
    mdata, split, axis = world
    assert found["scvcell"]["rna to adt", "answered"] == 1, "it was fitted for the scores"
    cells = axis._torn(mdata, split).a[:40]
    wide, half = (fitted.predict(Translate("rna", "adt", cells, level)) for level in (0.9, 0.5))
    for low, high, ends in ((0.05, 0.95, wide), (0.25, 0.75, half)):
        for answer in (wide, half):
            np.testing.assert_allclose(answer.quantiles[low], ends.lower, rtol=1e-4, atol=1e-4)
            np.testing.assert_allclose(answer.quantiles[high], ends.upper, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(wide.quantiles[0.5], wide.point, rtol=1e-4, atol=1e-5)
    assert (half.upper < wide.upper).all(axis=None)

"""The axis of modalities: what it hides stays hidden, and its scores are those of the answer."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr

from scvcell import risk
from scvcell.risk import Place, States, Values
from scvcell.risk.axes import AXES, Axis, Modality

AXIS = Modality("rna", "adt", keep=("batch",), seed=5)


@pytest.fixture(scope="module")
def world(mosaic):
    mdata = mosaic(240)
    split = risk.hide_pairing(mdata, "rna", "adt", share=0.5, seed=1)
    return mdata, split, risk.unpair(mdata, split.test, "rna", "adt", seed=AXIS.seed, keep=AXIS.keep)


class Told:
    """Answers by functions that are told which cells belong together, or guess it."""

    def __init__(self, place=None, translate=None, name="told"):
        self.place, self.translate, self.name = place, translate, name

    def fit(self, data, split, seed):
        self.data, self.split, self.seed = data, split, seed

    def predict(self, question):
        answer = self.place if isinstance(question, Place) else self.translate
        return None if answer is None else answer(question)


def value(frame, metric, test=None):
    rows = frame[(frame["metric"] == metric) & ((frame["test"] == test) if test else True)]
    return rows["value"].iloc[0]


def test_it_is_registered_and_an_axis():
    assert AXES["modality"] is Modality
    assert issubclass(Modality, Axis)
    assert hash(AXIS) == hash(Modality("rna", "adt", keep=("batch",), seed=5)), "plain values"


def test_nothing_that_a_predictor_is_given_tells_the_pairs(world):
    mdata, split, torn = world
    spy = Told()
    risk.ask(spy, AXIS, mdata, split, seed=7)
    assert spy.seed == 7
    assert not spy.data.obs_names.isin(split.test).any()
    assert not spy.data["rna"].obs_names.intersection(spy.data["adt"].obs_names).isin([*torn.a, *torn.b]).any()
    for part in (spy.data, *spy.data.mod.values()):
        assert set(part.obs.columns) <= {"batch"}
        assert not (set(part.layers) if part is not spy.data else set()) - {None}
    visible = spy.data["rna"].obs_names.intersection(spy.data["adt"].obs_names)
    paired = mdata["rna"].obs_names.intersection(mdata["adt"].obs_names)
    assert sorted(visible) == sorted(paired.difference(split.test)), "the other pairs are seen"


def test_questions_hold_no_answer(world):
    mdata, split, torn = world
    tests = list(AXIS.stress_tests(mdata, split))
    assert [t.name for t in tests] == ["match rna and adt", "rna to adt", "adt to rna"]
    assert {(t.regime, t.severity, t.axis) for t in tests} == {("hidden pairing", len(torn.a) / 80, "modality")}
    truth = dict(zip(torn.a, torn.b, strict=True))
    places = tests[0].question.cells
    assert sorted(places["rna"]) == sorted(torn.a)
    assert (places["adt"] == [truth[name] for name in places["rna"]]).mean() < 0.1
    for test in tests:
        for field in dataclasses.fields(test.question):
            told = getattr(test.question, field.name)
            held = told.values() if isinstance(told, dict) else [told]
            assert all(isinstance(x, str | float | pd.Index) for x in held)


@pytest.mark.parametrize("guess", ["order", "number", "rows"])
def test_who_matches_by_what_is_no_measurement_is_at_chance(world, guess):
    mdata, split, _ = world
    scores = []
    for seed in range(6):
        axis = dataclasses.replace(AXIS, seed=seed)

        cheat = Told()

        def place(question, cheat=cheat):
            of = {}
            for m, cells in question.cells.items():
                number = np.arange(len(cells))
                if guess == "number":
                    number = cells.str.extract(r"(\d+)", expand=False).astype(int)
                if guess == "rows":
                    number = cheat.data[m].obs_names.get_indexer(cells)
                of[m] = pd.DataFrame({"z": np.asarray(number, float)}, index=cells)
            return States(of)

        cheat.place = place
        scores.append(value(risk.ask(cheat, axis, mdata, split), "foscttm"))
    assert np.mean(scores) == pytest.approx(0.5, abs=0.1)


def knower(mdata, split, torn, blind=0, shuffled=False):
    """A predictor that knows the truth, of all cells but the first `blind`."""
    of = {"rna": torn.a, "adt": torn.b}
    rng = np.random.default_rng(0)

    def turn(frame):
        frame = frame.copy()
        frame.iloc[:blind] = np.nan
        return frame.iloc[rng.permutation(len(frame)), rng.permutation(frame.shape[1])] if shuffled else frame

    def place(question):
        where = np.random.default_rng(1).normal(size=(len(torn.a), 3))
        frames = {m: pd.DataFrame(where, index=of[m]) for m in question.cells}
        frames["rna"].iloc[:blind] = np.nan
        return States(frames)

    def translate(question):
        true = pd.DataFrame(
            mdata[question.to][split.test].X.toarray().astype(float),
            index=of[question.source],
            columns=mdata[question.to].var_names,
        )
        return Values(*(turn(x) for x in (true * 1.5, true * 0.5, true * 2 + 1)))

    return Told(place, translate)


def test_who_knows_the_answer_is_right(world):
    mdata, split, torn = world
    found = risk.ask(knower(mdata, split, torn), AXIS, mdata, split)
    assert list(found.columns) == [
        *("axis", "test", "regime", "severity", "measure", "predictor", "metric", "value", "better")
    ]
    assert value(found, "foscttm") == 0
    assert value(found, "match_recall") == 1
    assert (found.loc[found["metric"] == "answered", "value"] == 1).all()
    true = np.log1p(mdata["adt"][split.test].X.toarray().astype(float))
    point = np.log1p(np.expm1(true) * 1.5)
    each = [pearsonr(a, b)[0] for a, b in zip(point.T, true.T, strict=True)]
    assert value(found, "pearson", "rna to adt") == pytest.approx(np.mean(each))
    assert value(found, "rmse", "rna to adt") == pytest.approx(np.sqrt(((point - true) ** 2).mean()))
    assert value(found, "coverage", "rna to adt") == 1
    width = (np.log1p(np.expm1(true) * 2 + 1) - np.log1p(np.expm1(true) * 0.5)).mean(0)
    whole = np.quantile(true, 0.95, axis=0) - np.quantile(true, 0.05, axis=0)
    assert value(found, "relative_width", "rna to adt") == pytest.approx((width / whole).mean())
    assert dict(zip(found["metric"], found["better"], strict=True))["foscttm"] == "lower"


def test_order_never_matters_and_who_abstains_is_scored_on_the_rest(world):
    mdata, split, torn = world
    plain, mixed = (risk.ask(knower(mdata, split, torn, shuffled=s), AXIS, mdata, split) for s in (False, True))
    pd.testing.assert_frame_equal(plain, mixed)
    some = risk.ask(knower(mdata, split, torn, blind=10), AXIS, mdata, split)
    assert (some.loc[some["metric"] == "answered", "value"] == 1 - 10 / len(torn.a)).all()
    assert value(some, "match_recall") == 1
    assert value(some, "rmse", "rna to adt") != value(plain, "rmse", "rna to adt")
    silent = risk.ask(knower(mdata, split, torn, blind=len(torn.a)), AXIS, mdata, split)
    assert set(silent["metric"]) == {"answered"}
    assert (silent["value"] == 0).all()


def test_a_user_asks_for_other_metrics(world):
    mdata, split, torn = world
    axis = dataclasses.replace(AXIS, metrics=("nmae", "mixing", "accuracy"))
    found = risk.ask(knower(mdata, split, torn), axis, mdata, split)
    assert set(found["metric"]) == {"answered", "nmae", "mixing"}, "of labels nothing is asked"
    true = np.log1p(mdata["adt"][split.test].X.toarray().astype(float))
    off = np.abs(np.log1p(np.expm1(true) * 1.5) - true).sum() / true.sum()
    assert value(found, "nmae", "rna to adt") == pytest.approx(off)
    with pytest.raises(KeyError, match=r"No metric is called 'nmaee'\. Did you mean 'nmae'"):
        risk.ask(knower(mdata, split, torn), dataclasses.replace(AXIS, metrics=("nmaee",)), mdata, split)

"""Scores of an effect against halves of the cells that show it, by hand."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from scvcell import PerturbationKeys, score
from scvcell.risk import QUANTILES, Effects, Split, ask
from scvcell.risk.axes import Perturbation
from scvcell.risk.readouts import Activity

KEYS = PerturbationKeys("drug", control="no")


@pytest.fixture(scope="module")
def world():
    rng = np.random.default_rng(0)
    drug = np.repeat(["no", "a", "b", "c"], [60, 60, 50, 44])
    change = {"no": 0, **{name: rng.normal(0, 0.7, 30) for name in "abc"}}
    rate = np.array([np.exp(change[d]) * np.full(30, 3.0) for d in drug])
    obs = pd.DataFrame({"drug": drug}, index=[f"c{i:03d}" for i in range(len(drug))])
    data = AnnData(rng.poisson(rate).astype(np.float32), obs)
    hidden = data.obs_names[data.obs["drug"].isin(["a", "b"]).to_numpy()]
    return data, Split(data.obs_names.difference(hidden), hidden[:0], hidden)


def asked_of(world, **more):
    axis = Perturbation(KEYS, n_top=10, **more)
    return axis, {test.name: test for test in axis.stress_tests(*world)}


def effects(data, values, **columns):
    return Effects(pd.DataFrame({"effect": values, **columns}, index=data.var_names))


def test_without_halves_scores_are_against_all_treated_cells(world):
    data, _ = world
    axis, tests = asked_of(world, n_partitions=0)
    values = score.log_cp10k(data.X).astype(float)
    a, no, b = (values[(data.obs["drug"] == d).to_numpy()].mean(0) for d in ("a", "no", "b"))
    true, rival = a - no, b - no
    predicted = 0.5 * true + 0.1
    width = np.linspace(0.01, 0.6, 30)
    answer = effects(data, predicted, lower=predicted - width, upper=predicted + width)
    found = {each.metric: each.value for each in axis.scored(tests["a"], answer)}
    top = np.argsort(-np.abs(true))[:10]
    assert found["pearson_effect"] == pytest.approx(np.corrcoef(predicted, true)[0, 1])
    assert found["nmae"] == pytest.approx(np.abs(predicted - true)[top].sum() / np.abs(true)[top].sum())
    assert found["slope"] == pytest.approx(predicted @ true / (true @ true))
    likeness = [predicted @ t / np.linalg.norm(t) for t in (true, rival)]
    assert found["pds"] == (likeness[0] > likeness[1])
    held = np.abs(predicted - true) <= width
    assert found["coverage"] == pytest.approx(held.mean())
    assert found["coverage_strongest"] == pytest.approx(held[np.argsort(-np.abs(true))[:10]].mean())
    assert axis.replicate(tests["a"]) is None
    assert tests["a"].question.n_treated == 60


def test_the_replicate_and_all_others_are_scored_against_the_same_half(world):
    axis, tests = asked_of(world, n_partitions=3)
    test = tests["b"]
    assert (axis.parts(test), test.question.n_treated) == (3, 25)
    conditions, of = test.truth()
    for part in range(3):
        again = axis.replicate(test, part)
        half = conditions.effect(of, part, second=False)
        np.testing.assert_allclose(again.change["effect"], half)
        found = {each.metric: each.value for each in axis.scored(test, again, part)}
        true = conditions.effect(of, part)
        assert found["pearson_effect"] == pytest.approx(np.corrcoef(half, true)[0, 1])
        top = conditions.top(of)
        cells = [conditions.values[conditions.half(of, part, second)][:, top] for second in (False, True)]
        assert found["energy_distance"] == pytest.approx(score.energy_distance(*cells), abs=2e-3)


def test_a_network_is_one_more_readout(world):
    data, _ = world
    axis, tests = asked_of(world, n_partitions=0)
    network = pd.DataFrame({"source": np.repeat(["s", "t", "u"], 8), "target": data.var_names[:24]})
    conditions, of = tests["a"].truth()
    true = conditions.effect(of)
    readout = Activity(network)
    found = axis.scored(tests["a"], effects(data, true + 0.1 * true[::-1]), readouts=[readout])
    p, t = readout(np.array([true + 0.1 * true[::-1], true]), data.var_names)
    assert {(each.readout, each.metric) for each in found} >= {("pathway", "nmae"), ("pathway", "pearson_effect")}
    (value,) = [each.value for each in found if each.metric == "nmae"]
    assert value == pytest.approx(np.abs(p - t).sum() / np.abs(t).sum())


def test_nothing_of_the_truth_is_left_in_what_is_shown(world):
    data, split = world
    axis, tests = asked_of(world)
    shown = axis.hide(data, split)
    assert set(shown.obs["drug"]) == {"no", "c"}
    assert set(tests["a"].question.cells) == set(data.obs_names[(data.obs["drug"] == "no").to_numpy()])
    assert data.n_obs == 214


def test_features_without_an_answer_are_left_out(world):
    data, split = world

    class Some:
        name = "some"

        def fit(self, data, split, seed):
            self.genes = data.var_names

        def predict(self, question):
            return Effects(pd.DataFrame({"effect": np.arange(12.0)}, index=self.genes[:12]))

    found = ask(Some(), Perturbation(KEYS), data, split).set_index(["test", "metric"])["value"]
    assert found["a", "answered"] == pytest.approx(0.4)
    assert np.isfinite(found["a", "nmae"])


def test_quantiles_are_scored_where_features_are_found(world):
    data, _ = world
    axis, tests = asked_of(world, n_partitions=0)
    conditions, of = tests["a"].truth()
    true = conditions.effect(of)
    levels, found = np.array(QUANTILES), conditions.found(of, 0.01)
    assert len(found) == 30

    def scored(share, width):
        answer = effects(data, share * true)
        quantiles = pd.DataFrame(share * true[:, None] + width * (levels - 0.5), data.var_names, QUANTILES)
        answer = Effects(answer.change, quantiles=quantiles.sample(frac=1, random_state=0)[list(QUANTILES[::-1])])
        return {each.metric: each.value for each in axis.scored(tests["a"], answer)}

    right, half = scored(1, 0.1), scored(0.5, 0.1)
    assert right["crps_quantiles"] == pytest.approx(np.mean(2 * 0.1 * (levels - 0.5) * ((levels >= 0.5) - levels)))
    assert right["pit_quantiles"] == pytest.approx(0.25), "all lie at the median, so three quarters are too many"
    assert right["crps_quantiles"] < half["crps_quantiles"]
    assert "coverage" not in right
    few = Effects(effects(data, true).change, quantiles=pd.DataFrame(0.0, data.var_names[:2], QUANTILES))
    assert not any("quantiles" in each.metric for each in axis.scored(tests["a"], few))

"""Actions and translations in contexts that were not seen."""

import numpy as np
import pytest

from scvcell import PerturbationKeys
from scvcell.risk import RiskConfig, Split, evaluate
from scvcell.risk._adapters import Translator
from scvcell.risk.axes import Context, ContextTranslation, Perturbation
from scvcell.risk.axes._context import severity_of


def test_severity_is_the_distance_to_the_nearest_context():
    rng = np.random.default_rng(0)
    others = rng.normal(size=(3, 40))
    assert severity_of(2 * others[1] + 1, others) == pytest.approx(0)
    profile = rng.normal(size=40)
    assert severity_of(profile, others) == pytest.approx(1 - max(np.corrcoef(profile, o)[0, 1] for o in others))
    assert severity_of(profile, others[:0]) == 1


def test_each_axis_asks_for_its_own_conditions(mosaic):
    data = mosaic(240)["rna"].copy()
    data.obs["drug"] = np.where(np.arange(data.n_obs) % 2, "A", "no")
    data.obs["drug"] = np.where(np.arange(data.n_obs) % 4 == 1, "B", data.obs["drug"])
    keys = PerturbationKeys("drug", control="no", context="batch")
    obs = data.obs
    hidden = data.obs_names[((obs["batch"] == "b0") & (obs["drug"] != "no") | (obs["drug"] == "B")).to_numpy()]
    split = Split(data.obs_names.difference(hidden), hidden[:0], hidden)
    assert [t.name for t in Context(keys).stress_tests(data, split)] == ["A in b0", "B in b0"]
    (other,) = Perturbation(keys).stress_tests(data, split)
    assert (other.name, other.regime) == ("B in b1", "new target")
    (test, _) = Context(keys).stress_tests(data, split)
    assert test.regime == "another batch"
    assert 0 <= test.severity < 1


@pytest.fixture(scope="module")
def translated(mosaic):
    mdata = mosaic(400, n_batches=3)
    hidden = mdata.obs_names[(mdata.obs["batch"] == "b2").to_numpy()]
    return mdata, Split(mdata.obs_names.difference(hidden), hidden[:0], hidden)


def test_an_assay_of_another_batch_is_asked_for(translated):
    mdata, split = translated
    axis = ContextTranslation("batch")
    (test,) = axis.stress_tests(mdata, split)
    both = mdata["rna"].obs_names.intersection(mdata["adt"].obs_names).intersection(split.test)
    assert set(test.question.cells) == set(both)
    shown = axis.hide(mdata, split)
    assert not shown["adt"].obs_names.isin(split.test).any()
    assert set(both) <= set(shown["rna"].obs_names)
    ridge = Translator("PCA + ridge")
    report = evaluate(ridge_named(ridge), mdata, split=split, axes=[axis], baselines=(), config=RiskConfig(n_boot=20))
    assert set(report.total["predictor"]) == {"ridge", "mean profile", "replicate"}
    value = report.rows.set_index(["predictor", "metric"])["value"]
    assert value["mean profile", "rmse"] > value["ridge", "rmse"] > value["replicate", "rmse"]


def ridge_named(translator):
    return {"ridge": translator}


def test_without_truth_there_is_nothing_to_ask(translated):
    mdata, _ = translated
    alone = mdata["rna"].obs_names.difference(mdata["adt"].obs_names)
    split = Split(mdata.obs_names.difference(alone), alone[:0], alone)
    with pytest.raises(ValueError, match="No test cell has both"):
        list(ContextTranslation("batch").stress_tests(mdata, split))
    with pytest.raises(ValueError, match="no 'atac'"):
        list(ContextTranslation("batch", to="atac").stress_tests(mdata, split))

"""A model is judged on cells that it has not seen, on its own split, or fitted anew where that is asked for."""

from dataclasses import replace

import numpy as np
import pytest

import scvcell
from scvcell import PerturbationKeys, risk
from scvcell.risk import RiskConfig, Split
from scvcell.risk._refit import options_of

KEYS = PerturbationKeys("action", control="control")


@pytest.fixture(scope="module")
def world(quick, flows):
    data = scvcell.datasets.simulate_actions(300, n_targets=3, n_genes=20, seed=0)["rna"].copy()
    hidden = data.obs_names[(data.obs["action"] == "T1+T2").to_numpy()]
    split = Split(data.obs_names.difference(hidden), hidden[:0], hidden, "new combination")
    model = scvcell.tl.fit(data, perturbation=KEYS, split=split, train=replace(quick, max_epochs=3))
    return data, split, model


def test_a_model_is_judged_on_the_split_that_it_carries(world):
    data, split, model = world
    report = risk.evaluate(model, data, baselines=(), config=RiskConfig(n_boot=20))
    assert report.rows["test"].unique().tolist() == ["T1+T2"]
    assert report.rows["regime"].unique().tolist() == ["new combination, 2 of 2 parts seen"]
    mine = report.rows.query("predictor == 'scvcell'").set_index("metric")["value"]
    assert {"nmae", "energy_distance", "coverage", "coverage_strongest", "relative_width"} <= set(mine.index)
    effect = scvcell.tl.effects(data, model, "T1+T2", groupby=[])["lfc"].to_numpy() * np.log(2)
    (test,) = risk.axes.Perturbation(KEYS).stress_tests(data, split)
    conditions, of = test.truth()
    slopes = [
        scvcell.score.slope(effect, conditions.effect(of, k)) for k in range(risk.axes.Perturbation(KEYS).parts(test))
    ]
    assert mine["slope"] == pytest.approx(np.mean(slopes), rel=0.05)


def test_on_another_split_it_is_refused_or_fitted_anew(world, monkeypatch):
    data, _, model = world
    hidden = data.obs_names[(data.obs["action"] == "T1+T3").to_numpy()]
    other = Split(data.obs_names.difference(hidden), hidden[:0], hidden, "new combination")
    with pytest.raises(ValueError, match=r"was fitted on \d+ of the \d+ test cells of this split"):
        risk.evaluate(model, data, split=other)
    seen = []

    def fit(data, *, split=None, **options):
        seen.append((set(data.obs_names), options))
        raise RuntimeError("enough")

    monkeypatch.setattr(scvcell.tl, "fit", fit)
    config = RiskConfig(n_boot=20, refit=True)
    report = risk.evaluate(model, data, split=other, baselines=(), config=config, axes="perturbation")
    cells, options = seen[-1]  # the audit's small fits come before
    assert not cells & set(hidden)
    assert options["perturbation"] == KEYS
    assert report.rows.query("predictor == 'scvcell'")["note"].tolist() == ["failed: RuntimeError: enough"]


def test_a_model_that_saw_all_carries_no_split(world):
    data, _, model = world
    seen = data[data.obs_names.isin([*model.split_["train"], *model.split_["validation"]])].copy()
    with pytest.raises(ValueError, match="was fitted on all of these cells, so it carries no split"):
        risk.evaluate(model, seen)


def test_settings_of_a_model_are_arguments_of_a_fit(world, quick):
    data, split, model = world
    options = options_of("mine", model)
    assert options["perturbation"] == KEYS
    assert options["train"].n_latent == quick.n_latent
    states = {key: value for key, value in options.items() if key not in ("perturbation", "priors", "train")}
    again = scvcell.tl.fit(data.copy(), split=split, **states, train=replace(quick, max_epochs=1))
    assert again.schema.as_dict() == model.schema.as_dict()
    assert again.weights == model.weights

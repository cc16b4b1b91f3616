import numpy as np
import pandas as pd
import pytest

from scvcell import Action, PerturbationKeys
from scvcell.perturb import BASELINES, read_design


@pytest.fixture
def experiment():
    """Targets A, B alone and together, C alone; effects add up but for C."""
    rng = np.random.default_rng(0)
    label = np.repeat(["ctrl", "A", "B", "A+B", "C"], 60)
    effect = {
        "ctrl": np.zeros(12),
        "A": np.eye(12)[0],
        "B": np.eye(12)[1],
        "A+B": np.eye(12)[0] + np.eye(12)[1],
        "C": -np.eye(12)[2],
    }
    values = np.array([effect[name] for name in label]) + rng.normal(0, 0.2, (300, 12))
    obs = pd.DataFrame({"drug": label})
    design = read_design(PerturbationKeys("drug", control="ctrl"), lambda name: obs[name])
    return values, design, label


def moved(name, experiment, action):
    values, design, label = experiment
    cells, allowed = np.flatnonzero(label == "ctrl"), label != "A+B"
    found = BASELINES[name](values, design, allowed, Action(action), cells)
    assert found.shape == (60, 12)
    return found.mean(0) - values[cells].mean(0)


@pytest.mark.parametrize("name", list(BASELINES))
def test_every_baseline_answers_with_what_it_may_see(name, experiment):
    delta = moved(name, experiment, "A+B")
    assert np.isfinite(delta).all()
    values, design, label = experiment
    hidden = values.copy()
    hidden[label == "A+B"] = 1e3
    np.testing.assert_array_equal(delta, moved(name, (hidden, design, label), "A+B"))


def test_what_each_says_of_a_pair(experiment):
    one = np.eye(12)
    np.testing.assert_allclose(moved("control", experiment, "A+B"), 0)
    np.testing.assert_allclose(moved("additive", experiment, "A+B"), one[0] + one[1], atol=0.15)
    np.testing.assert_allclose(moved("matching_mean", experiment, "A+B"), (one[0] + one[1]) / 2, atol=0.1)
    np.testing.assert_allclose(moved("mean", experiment, "A+B"), (one[0] + one[1] - one[2]) / 3, atol=0.1)
    linear = moved("linear", experiment, "A+B")
    assert (linear[:2] > 0.4).all()
    np.testing.assert_allclose(moved("arithmetic", experiment, "A"), one[0], atol=0.15)

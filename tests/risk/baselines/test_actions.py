import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from scvcell import Action, PerturbationKeys
from scvcell.perturb import read_design
from scvcell.risk._log_counts import LogCounts
from scvcell.risk.baselines import BASELINES
from scvcell.score import log_cp10k


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


@pytest.mark.parametrize("name", [name for name in BASELINES if name != "replicate"])
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


def test_arithmetic_is_among_the_components_of_largest_variance():
    rng = np.random.default_rng(0)
    counts = rng.poisson(rng.gamma(0.5, 4, (260, 1)) * rng.gamma(0.5, 1, (1, 90))).astype(np.float32)
    label = np.repeat(["ctrl", "A"], 130)
    design = read_design(PerturbationKeys("drug", control="ctrl"), lambda name: pd.Series(label))
    allowed, cells = rng.random(260) < 0.8, np.flatnonzero(label == "ctrl")[:5]
    values = log_cp10k(counts).astype(float)
    seen = values[allowed]
    axes = np.linalg.svd(seen - seen.mean(0), full_matrices=False)[2][:50]
    delta = values[allowed & (label == "A")].mean(0) - values[allowed & (label == "ctrl")].mean(0)
    true = seen.mean(0) + (values[cells] - seen.mean(0) + delta) @ axes.T @ axes
    for table in (values, LogCounts(counts), LogCounts(sp.csr_matrix(counts))):
        found = BASELINES["arithmetic"](table, design, allowed, Action("A"), cells)
        np.testing.assert_allclose(found, true, atol=1e-6)


@pytest.mark.parametrize("name", ["mean", "arithmetic"])
def test_what_was_learned_is_of_these_values_and_these_cells(name, experiment):
    values, design, label = experiment
    cells = np.flatnonzero(label == "ctrl")
    found = {}
    for hidden in ("B", "A", "A+B", "B"):
        found[hidden] = BASELINES[name](values, design, label != hidden, Action("A"), cells)
        alone = BASELINES[name](values.copy(), design, label != hidden, Action("A"), cells)
        np.testing.assert_array_equal(found[hidden], alone)
    assert not np.allclose(found["B"], found["A"])


def test_a_replicate_is_the_other_half_in_the_same_context(experiment):
    values, design, label = experiment
    controls, pair = np.flatnonzero(label == "ctrl"), np.flatnonzero(label == "A+B")
    half = np.isin(np.arange(len(label)), pair[::2])
    found = BASELINES["replicate"](values, design, half, Action("A+B"), controls)
    np.testing.assert_array_equal(np.unique(found, axis=0), np.unique(values[half], axis=0))
    assert found.shape == (60, 12)
    hidden = label != "A+B"
    with pytest.raises(ValueError, match="No cell that may be learned from was measured after 'A\\+B' in the context"):
        BASELINES["replicate"](values, design, hidden, Action("A+B"), controls)


def test_a_replicate_of_several_contexts_keeps_to_each():
    obs = pd.DataFrame({"drug": ["ctrl", "A"] * 20, "line": np.repeat(["x", "y"], 20)})
    design = read_design(PerturbationKeys("drug", control="ctrl", context="line"), lambda name: obs[name])
    values = np.where(obs["line"] == "x", 1.0, 2.0)[:, None] + (obs["drug"] == "A").to_numpy()[:, None]
    cells = np.flatnonzero(obs["drug"] == "ctrl")
    found = BASELINES["replicate"](values, design, np.ones(40, bool), Action("A"), cells)
    np.testing.assert_array_equal(found, values[cells] + 1)

"""Scores of networks where it is known what acts on what."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.stats import wasserstein_distance

from scvcell.score import false_omission_rate, mean_wasserstein, strongest_edges

NAMES = ["a", "b", "c", "d"]
TRUE = [("a", "b"), ("b", "c")]


@pytest.fixture(scope="module")
def cells():
    """a acts on b, b on c; d on nothing."""
    rng = np.random.default_rng(0)
    controls = rng.normal(size=(300, 4))
    moved = {"a": [0, 2, 1, 0], "b": [0, 0, 1, 0], "c": [0, 0, 0, 0], "d": [0, 0, 0, 0]}
    return {name: rng.normal(size=(200, 4)) + shift for name, shift in moved.items()}, controls


def test_true_edges_are_strong_and_nothing_is_left_out(cells):
    turned = [(b, a) for a, b in TRUE]
    assert mean_wasserstein(TRUE, *cells, NAMES) == pytest.approx(1.5, abs=0.1)
    assert mean_wasserstein(turned, *cells, NAMES) < 0.15
    assert false_omission_rate(TRUE, *cells, NAMES) <= 1 / 9, "a acts on c by a path"
    assert false_omission_rate(turned, *cells, NAMES) >= 3 / 9
    assert false_omission_rate([], *cells, NAMES) >= 3 / 12


def test_what_cannot_be_tested_is_left_out(cells):
    more = [*TRUE, *TRUE, ("a", "elsewhere"), ("never perturbed", "a")]
    assert mean_wasserstein(more, *cells, NAMES) == mean_wasserstein(TRUE, *cells, NAMES)
    assert np.isnan(mean_wasserstein([("never perturbed", "a")], *cells, NAMES))
    every = [(x, y) for x in NAMES for y in NAMES if x != y]
    assert np.isnan(false_omission_rate(every, *cells, NAMES))


def test_a_path_may_lead_over_features_that_were_not_perturbed(cells):
    treated, controls = cells
    alone = {"a": treated["a"]}
    assert false_omission_rate([("a", "b"), ("b", "c")], alone, controls, NAMES) == 0, "only d is left out"
    assert false_omission_rate([("a", "b")], alone, controls, NAMES) == 0.5


def test_draws_and_sparse_cells(cells):
    treated, controls = cells
    thin = {name: sp.csr_matrix(x) for name, x in treated.items()}
    assert mean_wasserstein(TRUE, thin, sp.csr_matrix(controls), NAMES) == mean_wasserstein(TRUE, *cells, NAMES)
    some = [false_omission_rate([], *cells, NAMES, n=4, seed=s) for s in (0, 0, 1, 2, 3)]
    assert some[0] == some[1]
    assert len(set(some)) > 1
    assert set(some) <= {0, 0.25, 0.5, 0.75, 1}


def test_edges_of_links_and_of_effects():
    links = pd.DataFrame({"feature_a": ["a", "b", "c"], "feature_b": ["b", "b", "a"], "score": [0.2, 0.9, -0.7]})
    assert strongest_edges(links, 5) == [("c", "a"), ("a", "b")]
    effects = pd.DataFrame([[-3.0, 0.5, 0.0], [1.0, -2.0, -0.9]], index=["a", "b"], columns=["a", "b", "c"])
    assert strongest_edges(effects, 2) == [("b", "a"), ("b", "c")]
    assert strongest_edges(effects, 9) == [("b", "a"), ("b", "c"), ("a", "b")]
    controls = np.random.default_rng(0).normal(size=(20, 3))
    treated = {"b": controls + np.array([2.0, 0, 0])}
    found = mean_wasserstein(strongest_edges(effects, 1), treated, controls, ["a", "b", "c"])
    assert found == pytest.approx(wasserstein_distance(controls[:, 0], controls[:, 0] + 2))

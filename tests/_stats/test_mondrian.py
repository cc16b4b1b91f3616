"""Each kind of units is covered as often as was promised."""

import numpy as np
import pytest

from scvcell._stats import Mondrian, conformal_quantile

SPREAD = {"new dose": 3.0, "new target": 1.0, "seen": 0.3}


def errors(n, rng):
    """Sizes of errors of n units of each kind, two features, shuffled."""
    kinds = rng.permutation(np.repeat(list(SPREAD), n))
    return np.abs(rng.normal(size=(3 * n, 2))) * np.array([[SPREAD[k]] for k in kinds]), kinds


@pytest.mark.parametrize("n", [100, 400])
def test_each_kind_is_covered_within_three_points(n):
    rng = np.random.default_rng(0)
    held = {k: [] for k in SPREAD}
    pooled = {k: [] for k in SPREAD}
    for _ in range(60):
        scores, kinds = errors(n, rng)
        told, every = Mondrian.fit(scores, kinds), conformal_quantile(scores, 0.9)
        new, of = errors(200, rng)
        for k in SPREAD:
            held[k].append((new[of == k] <= told.quantile(0.9, k)).mean())
            pooled[k].append((new[of == k] <= every).mean())
    for k in SPREAD:
        assert np.mean(held[k]) == pytest.approx(0.9, abs=0.03), k
    assert np.mean(pooled["new dose"]) < 0.8, "one quantile for all does not do that"


def test_a_kind_that_is_rare_or_new_is_given_the_widest():
    scores, kinds = errors(50, np.random.default_rng(0))
    kinds[np.flatnonzero(kinds == "seen")[:35]] = "new target"
    told = Mondrian.fit(scores, kinds)
    widest = np.maximum(told.quantile(0.9, "new dose"), told.quantile(0.9, "new target"))
    for kind in ("seen", "never met"):
        np.testing.assert_array_equal(told.quantile(0.9, kind), widest)
    assert Mondrian.fit(scores[:10], kinds[:10]).quantile(0.9, "seen").tolist() == [np.inf, np.inf]
    assert Mondrian.fit(scores[:0, 0], kinds[:0]).quantile(0.9, "seen") == np.inf


def test_order_does_not_matter_and_weights_go_with_their_scores():
    rng = np.random.default_rng(0)
    scores, kinds = errors(40, rng)
    weights, order = rng.random(len(kinds)), rng.permutation(len(kinds))
    one, other = Mondrian.fit(scores, kinds, weights), Mondrian.fit(scores[order], kinds[order], weights[order])
    for k in SPREAD:
        np.testing.assert_array_equal(one.quantile(0.8, k), other.quantile(0.8, k))
        mine = kinds == k
        np.testing.assert_array_equal(one.quantile(0.8, k), conformal_quantile(scores[mine], 0.8, weights[mine]))

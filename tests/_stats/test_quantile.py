"""The conformal quantile by its definition."""

import numpy as np
import pytest

from scvcell._stats import conformal_quantile


def by_hand(scores, level, weights, own):
    """The least score up to which there is enough weight."""
    for s in sorted(scores):
        if sum(w for w, x in zip(weights, scores, strict=True) if x <= s) >= level * (sum(weights) + own) - 1e-9:
            return s
    return np.inf


def test_rank_of_exchangeable_scores():
    scores = np.random.default_rng(0).permutation(199.0 + np.arange(199))
    assert conformal_quantile(scores, 0.9) == 199 + 179, "the 180th of 199"
    assert conformal_quantile(np.arange(9.0), 0.9) == 8
    assert conformal_quantile(np.arange(8.0), 0.9) == np.inf
    assert conformal_quantile(np.zeros((0, 3)), 0.9).tolist() == [np.inf] * 3
    both = np.stack([scores, -scores], 1)
    np.testing.assert_array_equal(conformal_quantile(both, 0.5), [conformal_quantile(x, 0.5) for x in both.T])


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95])
def test_weights_by_hand(level):
    rng = np.random.default_rng(0)
    scores, weights = np.round(rng.normal(size=(60, 2)), 1), rng.random(60)
    for own in (None, 0.0, 2.0):
        given = weights.max() if own is None else own
        expected = [by_hand(x, level, weights, given) for x in scores.T]
        np.testing.assert_array_equal(conformal_quantile(scores, level, weights, own), expected)
    alike = np.ones(60)
    np.testing.assert_array_equal(conformal_quantile(scores, level, alike), conformal_quantile(scores, level))
    assert conformal_quantile(scores, level, weights, 1e6).tolist() == [np.inf] * 2


def test_weights_bring_coverage_under_a_declared_shift():
    """Noise grows with x, and x is larger where intervals are asked for."""
    rng = np.random.default_rng(0)
    held = {"weighted": [], "as it is": []}
    for _ in range(40):
        x = rng.random(400)
        scores = np.abs((0.2 + x) * rng.normal(size=400))
        asked = rng.beta(2, 1, 400)  # density 2 x
        new = np.abs((0.2 + asked) * rng.normal(size=400))
        held["weighted"].append((new <= conformal_quantile(scores, 0.9, 2 * x, 2.0)).mean())
        held["as it is"].append((new <= conformal_quantile(scores, 0.9)).mean())
    assert np.mean(held["weighted"]) == pytest.approx(0.9, abs=0.015)
    assert np.mean(held["as it is"]) < 0.87


@pytest.mark.parametrize("weights", [np.ones(4), np.array([1.0, -1.0, 1.0]), np.array([1.0, np.nan, 1.0])])
def test_weights_that_make_no_sense_are_refused(weights):
    with pytest.raises(ValueError, match="One finite weight of at least 0 is needed for each of 3 scores"):
        conformal_quantile(np.arange(3.0), 0.9, weights)

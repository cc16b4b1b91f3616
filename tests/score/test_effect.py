"""Scores of effects by hand."""

import numpy as np
import pytest

from scvcell.score import (
    discrimination,
    effect,
    largest,
    mrrmse,
    nmae_significant,
    pearson_effect,
    pearson_perturbed,
    slope,
)


def test_effects_and_what_changes_most():
    cells, controls = np.array([[1.0, 5.0, 0.0], [3.0, 5.0, 0.0]]), np.array([[1.0, 9.0, 0.0]])
    np.testing.assert_array_equal(effect(cells, controls), [1, -4, 0])
    assert largest(effect(cells, controls), 2).tolist() == [1, 0]
    assert largest(np.array([[1.0, -2.0], [3.0, 0.0]]), 1).tolist() == [[1], [0]]


def test_how_much_of_the_effect():
    true = np.array([1.0, 2.0, -1.0])
    assert slope(0.3 * true, true) == pytest.approx(0.3)
    assert slope(np.array([2.0, -1.0, 0.0]), true) == 0, "what stands across does not count"
    assert pearson_effect(0.3 * true, true) == pytest.approx(1)
    assert pearson_effect(np.zeros(3), true) == 0


def test_discrimination_of_the_right_none_and_the_mean_of_the_others():
    true = np.random.default_rng(0).normal(size=(20, 50))
    assert discrimination(0.1 * true, true) == 1
    assert discrimination(np.ones_like(true) * true.mean(0), true) == pytest.approx(0.5)
    others = (true.sum(0) - true) / 19
    assert discrimination(others, true) < 0.3


def test_what_all_actions_do_alike_earns_nothing_once_it_is_taken_out():
    rng = np.random.default_rng(0)
    own = rng.normal(size=(30, 200))
    true = 3 * rng.normal(size=200) + own
    reference = true.mean(0)
    shared = np.tile(reference, (30, 1))
    assert np.mean([pearson_effect(reference, t) for t in true]) > 0.9
    assert (pearson_perturbed(shared, true, reference) == 0).all()
    assert pearson_perturbed(shared + own, true, reference).mean() > 0.9
    one = pearson_perturbed(true[3] + 5 * own[4], true[3], reference)
    assert one == pytest.approx(pearson_perturbed((true + 5 * own[4])[3:4], true[3:4], reference)[0])


def test_rmse_of_each_condition_first():
    predicted, true = np.zeros((2, 4)), np.array([[1.0, 1, 1, 1], [3, 3, 3, 3]])
    assert mrrmse(predicted, true) == 2, "not the root of 5"
    assert mrrmse(predicted[1], true[1]) == 3


def test_error_over_features_that_truly_change():
    true = np.r_[np.full(12, 2.0), np.zeros(5), np.nan]
    changed = np.r_[np.ones(12, bool), np.zeros(5, bool), True]
    predicted = np.r_[np.full(12, 1.5), np.full(5, 9.0), 4.0]
    assert nmae_significant(predicted, true, changed) == pytest.approx(0.25), "the rest is not looked at"
    assert nmae_significant(0 * predicted, true, changed) == 1
    predicted[:3] = np.nan, np.inf, -np.inf
    assert nmae_significant(predicted, true, changed) == pytest.approx((9 * 0.25 + 3) / 12), "silence is no change"
    few = changed & (np.arange(18) > 2)
    assert np.isnan(nmae_significant(predicted, true, few))
    both = nmae_significant(np.tile(predicted, (2, 1)), np.tile(true, (2, 1)), np.stack([changed, few]))
    assert np.isnan(both).tolist() == [False, True]


def test_conditions_that_cannot_be_told_apart_are_refused():
    with pytest.raises(ValueError, match="two or more conditions are needed, not of 1 and 1"):
        discrimination(np.ones((1, 3)), np.ones((1, 3)))
    with pytest.raises(ValueError, match="'cosine', 'euclidean' or 'manhattan', not 'l1'"):
        discrimination(np.ones((2, 3)), np.ones((2, 3)), distance="l1")

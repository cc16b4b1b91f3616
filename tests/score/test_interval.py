"""Intervals by hand."""

import numpy as np
import pytest

from scvcell.score import (
    coverage,
    coverage_chosen,
    coverage_strongest,
    inside,
    interval_score,
    interval_scores,
    mean_of,
    relative_width,
    worst_coverage,
)


def test_ends_are_inside():
    truth = np.array([[0.0, 5.0], [1.0, 5.0], [2.0, 5.0]])
    lower, upper = truth * 0, truth * 0 + 1
    assert inside(truth, lower, upper).tolist() == [[True, False], [True, False], [False, False]]
    np.testing.assert_allclose(coverage(truth, lower, upper), [2 / 3, 0])
    assert worst_coverage(truth, lower, upper) == 0


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_the_marginal_interval_has_width_one_and_its_level(level):
    truth = np.random.default_rng(0).normal(size=(2000, 3)) * [1, 5, 20]
    low, high = np.quantile(truth, [(1 - level) / 2, (1 + level) / 2], axis=0)
    ends = np.tile(low, (2000, 1)), np.tile(high, (2000, 1))
    np.testing.assert_allclose(relative_width(truth, *ends, level), 1)
    scores = interval_scores(truth, *ends, level)
    assert scores["coverage"] == pytest.approx(level, abs=0.002)
    assert scores["coverage_worst"] <= scores["coverage"]
    assert scores["relative_width"] == pytest.approx(1)


def test_a_feature_that_is_always_the_same_has_no_relative_width():
    truth = np.random.default_rng(0).normal(size=(50, 2)) * [1, 0]
    found = relative_width(truth, truth - 1, truth + 1, 0.9)
    assert np.isnan(found).tolist() == [False, True]
    assert interval_scores(truth, truth - 1, truth + 1, 0.9)["relative_width"] == found[0]
    assert mean_of("relative_width", (truth, truth - 1, truth + 1, 0.9)) == found[0]
    assert np.isnan(mean_of("relative_width", (truth * 0, truth - 1, truth + 1, 0.9)))


def test_width_and_misses_by_hand():
    truth = np.array([[0.0], [5.0], [-1.0]])
    found = interval_score(truth, np.zeros((3, 1)), np.full((3, 1), 2.0), 0.8)
    np.testing.assert_allclose(found, [(2 + (2 + 10 * 3) + (2 + 10 * 1)) / 3])


def test_the_score_of_an_interval_is_least_at_the_right_ends():
    truth = np.random.default_rng(0).normal(size=(20000, 1))
    by_width = {
        w: interval_score(truth, np.full_like(truth, -w), np.full_like(truth, w), 0.9)[0] for w in (1, 1.645, 3)
    }
    assert min(by_width, key=by_width.get) == 1.645


def test_coverage_of_what_is_strongest_and_of_what_is_chosen():
    truth = np.array([[9.0, -8.0, 1.0, 0.0], [1.0, 0.0, 0.5, -7.0]])
    middle = np.array([[0.0, -8.0, 1.0, 5.0], [3.0, 0.0, 0.5, -7.0]])
    ends = middle - 1, middle + 1
    assert coverage_strongest(truth, *ends, n=2).tolist() == [0.5, 0.5]
    assert coverage_chosen(truth, *ends, n=2).tolist() == [0.5, 0.5]
    assert coverage_strongest(truth[0], ends[0][0], ends[1][0], n=1) == 0
    assert coverage_chosen(truth[0], ends[0][0], ends[1][0], n=1) == 1 - 0, "it is the second, which holds"


def test_honest_intervals_hold_for_what_the_prediction_chooses_and_not_for_what_the_truth_chooses():
    rng = np.random.default_rng(0)
    middle = rng.normal(size=(300, 500))
    truth = middle + 0.5 * rng.normal(size=middle.shape)
    ends = middle - 0.5 * 1.645, middle + 0.5 * 1.645
    assert inside(truth, *ends).mean() == pytest.approx(0.9, abs=0.005)
    assert coverage_chosen(truth, *ends).mean() == pytest.approx(0.9, abs=0.02)
    assert coverage_strongest(truth, *ends).mean() < 0.85

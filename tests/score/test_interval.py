"""Intervals by hand."""

import numpy as np
import pytest

from scvcell.score import coverage, inside, interval_scores, relative_width, worst_coverage


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

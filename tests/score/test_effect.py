"""Scores of effects by hand."""

import numpy as np
import pytest

from scvcell.score import discrimination, effect, largest, pearson_effect, slope


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

"""Distances between sets of cells where their value is known."""

import numpy as np
import pytest

from scvcell.score import energy_distance, mmd, variance_r2


def test_energy_distance_of_two_points_each():
    x, y = np.array([[0.0], [2.0]]), np.array([[3.0], [3.0]])
    assert energy_distance(x, y) == pytest.approx(2 * 2 - 2 - 0)
    assert energy_distance(x, y, unbiased=False) == pytest.approx(2 * 2 - 1 - 0)


def test_between_samples_of_one_distribution_the_unbiased_one_is_at_zero():
    rng = np.random.default_rng(0)
    pairs = [rng.normal(size=(2, 40, 20)) for _ in range(30)]
    assert np.mean([energy_distance(*pair) for pair in pairs]) == pytest.approx(0, abs=0.02)
    assert min(energy_distance(*pair, unbiased=False) for pair in pairs) > 0.2
    assert energy_distance(pairs[0][0], pairs[0][0], unbiased=False) == pytest.approx(0)


def test_variances_of_some_features():
    rng = np.random.default_rng(0)
    true = rng.normal(size=(400, 5)) * [1, 2, 3, 4, 5]
    assert variance_r2(true + 7, true) == pytest.approx(1), "means do not count"
    spoilt = true.copy()
    spoilt[:, 0] = 0
    assert variance_r2(spoilt, true, np.array([1, 2, 3])) == 1
    assert variance_r2(spoilt, true) < 1


def test_mmd_sees_more_than_means_and_is_at_zero_between_samples_of_one():
    rng = np.random.default_rng(0)
    true = rng.normal(size=(100, 5))
    wide = 2 * true - true.mean(0)
    np.testing.assert_allclose(wide.mean(0), true.mean(0))
    none = [mmd(*rng.normal(size=(2, 60, 5))) for _ in range(30)]
    assert np.mean(none) == pytest.approx(0, abs=0.005)
    assert mmd(wide, true) > 10 * np.std(none)
    assert mmd(7 * wide, 7 * true) == pytest.approx(mmd(wide, true)), "its unit is that of the true cells"


def test_mmd_of_cells_that_are_all_one():
    assert mmd(np.ones((4, 3)), np.ones((5, 3))) == pytest.approx(0)

"""Bootstrap intervals cover, p-values are uniform under the null, and ratios are those of sums."""

import numpy as np
import pytest
from scipy import stats

from scvcell._stats import (
    boot_weights,
    draws_of_ratio,
    interval,
    mean_variance,
    permutation_p,
    weighted_mean,
    weighted_ratio,
)


def test_weights_say_how_often_each_unit_is_drawn():
    rng = np.random.default_rng(0)
    weights = boot_weights(7, 500, rng)
    np.testing.assert_array_equal(weights.sum(1), 7)
    np.testing.assert_allclose(weights.mean(0), 1, atol=0.15)
    values = rng.normal(size=7)
    copied = [np.repeat(values, row.astype(int)).mean() for row in weights]
    np.testing.assert_allclose(weighted_mean(values, weights), copied)


def test_a_ratio_is_that_of_sums_and_leaves_out_who_lacks_one():
    above, below = np.array([1.0, 0, np.nan, 4]), np.array([2.0, 0, 5, np.nan])
    assert weighted_ratio(above, below, np.ones((1, 4)))[0] == 0.5
    assert np.isnan(weighted_ratio(above, below, np.array([[0.0, 1, 1, 1]]))[0]), "0 / 0 is nothing"


@pytest.mark.parametrize("n", [5, 30])
def test_intervals_of_means_and_ratios_cover(n):
    rng = np.random.default_rng(5)
    held = {"mean": 0, "ratio": 0}
    times = 200
    for _ in range(times):
        weights = boot_weights(n, 200, rng)
        below = rng.gamma(8.0, 1 / 8, n)
        for name, b, above in (("mean", np.ones(n), rng.normal(2, 1, n)), ("ratio", below, rng.normal(0.6, 0.3, n))):
            truth = 2.0 if name == "mean" else 0.6
            lower, upper = interval(draws_of_ratio(above, b, weights), 0.9, n)
            held[name] += lower <= truth <= upper
    assert 0.86 <= held["mean"] / times <= 0.94
    assert 0.86 <= held["ratio"] / times <= 0.94


def test_of_few_units_the_interval_is_that_of_t():
    values = np.array([1.0, 2, 4, 3])
    weights = boot_weights(4, 4000, np.random.default_rng(0))
    found = interval(draws_of_ratio(values, np.ones(4), weights), 0.9, 4)
    np.testing.assert_allclose(found, stats.t.interval(0.9, 3, values.mean(), stats.sem(values)), rtol=5e-3)
    assert np.isnan(interval(draws_of_ratio(values[:1], np.ones(1), np.ones((10, 1))), 0.9, 1)).all()


def test_p_values_are_uniform_where_there_is_no_difference():
    rng = np.random.default_rng(1)
    p = [permutation_p(rng.normal(size=20), 199, rng) for _ in range(500)]
    assert stats.kstest(p, "uniform").pvalue > 0.01
    assert permutation_p(rng.normal(1.5, 1, 20), 199, rng) == 1 / 200
    assert permutation_p(np.zeros(5), 99, rng) == 1


def test_the_variance_of_a_mean_is_that_of_the_values_over_their_number():
    values = np.random.default_rng(0).normal(0, 3, 40)
    found = mean_variance(values, 20_000, np.random.default_rng(1))
    assert found == pytest.approx(values.var(ddof=1) / 40, rel=0.05)

"""The jackknife against the textbook: the variance of a mean, and the sum over groups that are left out."""

import numpy as np

from scvcell._stats import jackknife_variance


def replicates_of(estimate, groups):
    """An estimate by all values, and by those without each group."""
    without = [np.concatenate([g for j, g in enumerate(groups) if j != i]) for i in range(len(groups))]
    return np.array([estimate(np.concatenate(groups)), *map(estimate, without)])


def test_of_a_mean_it_is_the_variance_over_the_number():
    values = np.random.default_rng(0).normal(size=(12, 3))
    found = jackknife_variance(replicates_of(lambda x: x.mean(0), np.split(values, 12)))
    np.testing.assert_allclose(found, values.var(0, ddof=1) / 12)


def test_of_any_estimate_it_is_the_sum_over_the_groups_left_out():
    rng = np.random.default_rng(1)
    replicates = replicates_of(lambda x: np.log(x.mean(0)), np.split(rng.gamma(2.0, 1.0, (40, 4)), 10))
    total = np.zeros(4)
    for each in replicates[1:]:
        total += (each - replicates[1:].mean(0)) ** 2
    np.testing.assert_allclose(jackknife_variance(replicates), total * 9 / 10)
    np.testing.assert_allclose(jackknife_variance(replicates[[0, *rng.permutation(10) + 1]]), total * 9 / 10)
    shifted = np.concatenate([replicates[:1] + 5, replicates[1:]])
    np.testing.assert_array_equal(jackknife_variance(shifted), jackknife_variance(replicates))

"""Intervals of shares cover those of kinds that are there as well as all, and are told apart by what was predicted."""

import numpy as np
import pytest

from scvcell.tissue._interval import Misses


def shares(rng, n):
    """Most kinds are not there; predictions are off more where shares are large."""
    true = rng.beta(1, 2, n) * (rng.random(n) < 0.3)
    return np.clip(true + rng.normal(0, 0.02 + 0.15 * true), 0, 1), true, 0.02 + 0.15 * true * rng.uniform(0.5, 1.5, n)


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9])
def test_all_and_those_that_are_there_are_covered(level):
    rng = np.random.default_rng(0)
    share, true, doubt = shares(rng, 20_000)
    lower, upper = Misses.of(*shares(rng, 20_000), level).around(share, doubt)
    inside = (lower <= true) & (true <= upper)
    assert inside.mean() >= level - 0.01
    assert inside[true > 0].mean() >= 1 - 1.25 * (1 - level) - 0.02
    assert ((lower >= 0) & (lower <= share) & (share <= upper) & (upper <= 1)).all()


def test_doubt_makes_wider_intervals():
    rng = np.random.default_rng(0)
    lower, upper = Misses.of(*shares(rng, 20_000), 0.9).around(np.array([0.5, 0.5]), np.array([0.02, 0.15]))
    assert 2 * (upper - lower)[0] < (upper - lower)[1]
    exact = rng.random(1000)
    lower, upper = Misses.of(exact, exact, exact, 0.9).around(exact, exact)
    np.testing.assert_allclose(upper - lower, 0, atol=1e-12)


def test_few_misses_are_taken_together():
    lower, upper = Misses.of(np.array([0.5, 0.52]), np.array([0.4, 0.6]), np.array([0.1, 0.1]), 0.9).around(
        np.array([0.005, 0.2]), np.array([0.0, 1.0])
    )
    assert np.isfinite(lower).all()
    assert (upper - lower > 0).all()

import numpy as np
import pytest

from scvcell.response._anchor import Anchor
from scvcell.response._conditions import Conditions


def additive(rng, features=200, noise=0.1, interaction=0.0):
    """Five targets alone and all their pairs in one context; effects add up."""
    pairs = [(i, j) for i in range(5) for j in range(i + 1, 5)]
    exposure = np.array([[float(k in c) for k in range(5)] for c in [(i,) for i in range(5)] + pairs])
    truth = exposure @ rng.normal(size=(5, features))
    truth[5:] += interaction * rng.normal(size=truth[5:].shape)
    units = Conditions(exposure, np.zeros_like(exposure), np.zeros(len(exposure)), np.zeros((len(exposure), 3)))
    return units, truth, truth + noise * rng.normal(size=truth.shape), np.full(truth.shape, noise**2)


def test_a_pair_is_the_sum_of_its_parts():
    units, truth, y, noise = additive(np.random.default_rng(0))
    seen = np.arange(5)
    mean, var = Anchor.fit(units.take(seen), y[seen], noise[seen]).predict(units)
    error = ((mean - truth)[5:] ** 2).mean()
    assert error < 0.15 * (truth[5:] ** 2).mean()
    assert (var >= 0).all()


def test_intervals_are_honest_and_pairs_less_sure_than_what_was_seen():
    units, truth, y, noise = additive(np.random.default_rng(1), interaction=0.5)
    seen = np.arange(10)
    anchor = Anchor.fit(units.take(seen), y[seen], noise[seen])
    mean, var = anchor.predict(units)
    score = np.abs(mean - truth)[10:] / np.sqrt(var[10:])
    assert 0.8 < (score < 1.645).mean() < 1.0
    assert var[10:].mean() > var[:10].mean()


def test_noise_is_shrunk_away():
    rng = np.random.default_rng(2)
    units, _, _, _ = additive(rng)
    y = rng.normal(size=(15, 200))
    mean, _ = Anchor.fit(units, y, np.ones_like(y)).predict(units)
    assert (mean**2).mean() < 0.2


def test_like_contexts_answer_alike():
    rng = np.random.default_rng(3)
    place = np.repeat(rng.normal(size=(2, 3)) * 5, 4, axis=0) + 0.1 * rng.normal(size=(8, 3))
    units = Conditions(np.ones((8, 1)), np.zeros((8, 1)), np.zeros(8), place)
    truth = np.repeat(rng.normal(size=(2, 100)), 4, axis=0)
    y = truth + 0.1 * rng.normal(size=truth.shape)
    seen = np.array([0, 1, 2, 4, 5, 6])
    mean, _ = Anchor.fit(units.take(seen), y[seen], np.full((6, 100), 0.01)).predict(units)
    assert np.abs(mean - truth)[[3, 7]].mean() < 0.15


@pytest.mark.parametrize("n", [1, 2])
def test_one_condition_is_enough(n):
    units, _, y, noise = additive(np.random.default_rng(4))
    mean, var = Anchor.fit(units.take(np.arange(n)), y[:n], noise[:n]).predict(units)
    assert np.isfinite(mean).all()
    assert np.isfinite(var).all()


def test_one_eigenbasis_for_all_features_says_what_a_solution_for_each_does():
    rng = np.random.default_rng(5)
    units, _, y, _ = additive(rng, interaction=0.3)
    noise = np.outer(rng.uniform(0.5, 2, len(y)), rng.uniform(0.01, 0.1, y.shape[1]))
    seen = np.arange(12)
    anchor = Anchor.fit(units.take(seen), y[seen], noise[seen])
    members, var = anchor.members(units)
    anchor.noise = anchor.noise * np.where(np.arange(y.shape[1]) == 0, np.linspace(1, 1.5, 12)[:, None], 1.0)
    each, each_var = anchor.members(units)
    mean, each_mean = members[:, 1], each[:, 1]
    np.testing.assert_allclose(mean[:, 1:], each_mean[:, 1:], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(var[:, 1:], each_var[:, 1:], rtol=1e-6, atol=1e-9)
    assert not np.allclose(mean[:, 0], each_mean[:, 0])


def test_features_that_answer_together_share_what_is_known_of_them():
    rng = np.random.default_rng(6)
    exposure = np.repeat(np.eye(20), 2, 0)
    units = Conditions(exposure, 0 * exposure, np.zeros(40), np.zeros((40, 2)))
    truth = np.repeat(rng.normal(size=(20, 3)) @ rng.normal(size=(3, 60)), 2, 0)
    noise = np.outer(rng.uniform(1, 3, 40), rng.uniform(0.5, 2, 60))
    anchor = Anchor.fit(units, truth + rng.normal(size=truth.shape) * np.sqrt(noise), noise)
    together, alone = anchor.members(units)[0][:, :2].swapaxes(0, 1)
    assert ((together - truth) ** 2).mean() < 0.7 * ((alone - truth) ** 2).mean()
    np.testing.assert_allclose(anchor.predict(units)[0], (together + alone) / 2)


def test_effects_of_nothing_are_nothing():
    units = Conditions(np.eye(4), np.zeros((4, 4)), np.zeros(4), np.zeros((4, 2)))
    mean, var = Anchor.fit(units, np.zeros((4, 5)), np.full((4, 5), 0.1)).predict(units)
    assert not mean.any()
    assert np.isfinite(var).all()

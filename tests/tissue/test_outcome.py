"""Heads: against scikit-learn and scipy, classes that a part lacks, and probabilities of events."""

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from scvcell.tissue import Classes, Times, Values


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(120, 3))


def test_classes(x):
    code = (x[:, 0] > 0).astype(float) + (x[:, 1] > 1)
    outcome, rows = Classes(code, ["a", "b", "c"]), np.arange(100)
    found = outcome.fit(x, rows, 0.5)(x)
    np.testing.assert_allclose(found, LogisticRegression(C=0.5).fit(x[rows], code[rows]).predict_proba(x), atol=1e-3)
    np.testing.assert_allclose(outcome.loss(found, rows), -np.log(found[rows, code[rows].astype(int)]))
    np.testing.assert_allclose(outcome.without(rows), np.bincount(code[rows].astype(int)) / 100)
    two = np.flatnonzero(code < 2)
    fewer = outcome.fit(x, two, 0.5)(x)
    assert (fewer[:, 2] == 0).all()
    assert outcome.loss(fewer, np.flatnonzero(code == 2)) == pytest.approx(-np.log(1e-3))
    one = outcome.fit(x, np.flatnonzero(code == 1), 0.5)(x[:2])
    np.testing.assert_array_equal(one, [[0, 1, 0]] * 2)


def test_values_do_not_depend_on_their_unit(x):
    value = 2 * x[:, 0] + 1
    rows = np.arange(100)
    found = Values(value).fit(x, rows, 10.0)(x)
    np.testing.assert_allclose(Values(1000 * value - 5).fit(x, rows, 10.0)(x), 1000 * found - 5, rtol=1e-6)
    assert np.corrcoef(found[100:, 0], value[100:])[0, 1] > 0.99
    np.testing.assert_allclose(Values(value).loss(found[:100], rows), (found[:100, 0] - value[:100]) ** 2)
    assert Values(value).without(rows) == pytest.approx(value[:100].mean())


def test_times_are_those_of_the_partial_likelihood(x):
    rng = np.random.default_rng(1)
    time, event = rng.exponential(np.exp(-x[:, 0])), rng.random(120) < 0.7
    outcome, rows = Times(time, event), np.arange(120)

    def loss(w):
        risk = x @ w
        terms = [risk[i] - np.log(np.exp(risk[time >= time[i]]).sum()) for i in np.flatnonzero(event)]
        return 0.5 * (w**2).sum() - 0.3 * sum(terms)

    w = minimize(loss, np.zeros(3)).x
    predict = outcome.fit(x, rows, 0.3)
    np.testing.assert_allclose(predict(x)[:, 0], (x - x.mean(0)) @ w, atol=1e-3)
    assert outcome.loss(predict(x), rows).sum() < outcome.loss(np.zeros((120, 1)), rows).sum()


def test_chance_of_an_event_without_differences():
    """Nelson-Aalen: hazards 1/4 + 1/3 by time 2."""
    outcome = Times(np.array([1.0, 2, 3, 4]), np.array([True, True, False, True]))
    chance = outcome.by(np.zeros(4), np.arange(4), 2.0)
    np.testing.assert_allclose(chance(np.array([0.0, np.log(2)])), [1 - np.exp(-7 / 12), 1 - np.exp(-14 / 12)])

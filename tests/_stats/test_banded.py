"""Banded intervals: they cover as they say, are the shortest that do, and know where they have too few cells."""

import numpy as np
import pytest

from scvcell._stats import Banded


def counts(rng, n, features=6):
    """Predictions, and counts whose spread grows with them."""
    mean = rng.gamma(1.0, 2.0, (n, features)) * np.array([0.02, 0.1, 0.5, 1, 2, 4])
    return np.log1p(mean), np.log1p(rng.poisson(mean))


def covered(truth, ends):
    return ((truth >= ends[0]) & (truth <= ends[1])).mean(0)


@pytest.mark.parametrize("level", [0.8, 0.9, 0.95])
def test_new_cells_are_covered_feature_by_feature(level):
    rng = np.random.default_rng(0)
    known, new = counts(rng, 2000), counts(rng, 4000)
    found = covered(new[1], Banded.fit(*known).interval(new[0], level))
    assert (found > level - 0.03).all()
    assert found[-1] < level + 0.03, "of many counts no more than asked for"


def test_wide_where_much_is_expected_and_a_point_where_nothing_is():
    rng = np.random.default_rng(0)
    predicted, truth = counts(rng, 2000)
    lower, upper = Banded.fit(predicted, truth).interval(np.full((1, 6), 0.0), 0.9)
    np.testing.assert_array_equal(lower, 0)
    np.testing.assert_array_equal(upper[0, :1], 0)
    one, many = (Banded.fit(predicted, truth).interval(np.full((1, 6), value), 0.9) for value in (0.2, 1.5))
    assert (many[1] - many[0])[0, -1] > (one[1] - one[0])[0, -1]


def test_the_shortest_interval_by_hand():
    truth = np.array([0.0, 0, 0, 1, 5, 9, 9, 9, 9, 9])[:, None]
    found = Banded.fit(np.full((10, 1), 9.0), truth)
    lower, upper = found.interval(np.array([[9.0]]), 0.5)  # 6 of 10: [5, 9], not [0, 9]
    assert (lower.item(), upper.item()) == (5, 9)
    assert found.highest == pytest.approx(10 / 11)
    assert "1 features in 1 bands from 10" in repr(found)


def test_the_prediction_lies_in_its_interval():
    rng = np.random.default_rng(1)
    predicted, truth = counts(rng, 300)
    new = np.concatenate([predicted, predicted + 3])
    lower, upper = Banded.fit(predicted, truth).interval(new, 0.5)
    assert ((lower <= new) & (new <= upper)).all()


def test_too_few_cells_promise_nothing():
    predicted, truth = counts(np.random.default_rng(0), 8)
    lower, upper = Banded.fit(predicted, truth).interval(predicted, 0.9)
    assert np.isinf(upper).all()
    assert np.isinf(lower).all()


def test_order_and_type_of_numbers_do_not_matter():
    rng = np.random.default_rng(2)
    predicted, truth = counts(rng, 400)
    ends = Banded.fit(predicted, truth).interval(predicted, 0.9)
    other = rng.permutation(400)
    again = Banded.fit(predicted[other].astype(np.float32), truth[other]).interval(predicted, 0.9)
    np.testing.assert_allclose(np.mean(again[1] - again[0]), np.mean(ends[1] - ends[0]), rtol=0.02)

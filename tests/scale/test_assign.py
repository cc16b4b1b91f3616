"""Whole cells into spots: totals are exact, small cases are the optimum, and large ones come near it."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from scvcell.scale import _assign, assign, whole_numbers


def scene(n_cells=60, n_spots=12, n_kinds=4, seed=0):
    rng = np.random.default_rng(seed)
    kinds = rng.dirichlet(np.full(n_kinds, 0.3), n_cells)
    spots = rng.dirichlet(np.full(n_spots, 0.3), n_kinds)
    return kinds, spots, rng.uniform(0, 10, (n_spots, 2)), whole_numbers(rng.gamma(1.0, size=n_spots), n_cells)


def likelihood(kinds, spots, found):
    return np.log((kinds * spots.T[found]).sum(1) + 1e-12).sum()


def test_whole_numbers():
    assert whole_numbers(np.array([1.0, 1, 1]), 3).tolist() == [1, 1, 1]
    assert whole_numbers(np.array([0.5, 0.3, 0.2]), 10).tolist() == [5, 3, 2]
    assert whole_numbers(np.array([0.4, 0.35, 0.25]), 2).tolist() == [1, 1, 0]
    rng = np.random.default_rng(0)
    for total in (0, 1, 17, 100_000):
        amount = rng.gamma(0.3, size=1000)
        found = whole_numbers(amount, total)
        assert found.sum() == total
        assert (np.abs(found - amount * total / amount.sum()) < 1).all()
    integers = rng.integers(0, 9, 50)
    assert (whole_numbers(integers, int(integers.sum())) == integers).all(), "what fits is kept"


def test_a_small_case_is_the_optimum():
    kinds, spots, places, numbers = scene()
    found = assign(kinds, spots, places, numbers)
    assert (np.bincount(found, minlength=len(numbers)) == numbers).all()
    slots = np.repeat(np.arange(len(numbers)), numbers)
    cost = -np.log(kinds @ spots[:, slots] + 1e-12)
    assert likelihood(kinds, spots, found) == pytest.approx(-cost[linear_sum_assignment(cost)].sum())


@pytest.mark.parametrize("most", [1, 10, 25])
def test_divided_blocks_keep_totals_and_come_near_the_optimum(monkeypatch, most):
    kinds, spots, places, numbers = scene(200, 30)
    best = likelihood(kinds, spots, assign(kinds, spots, places, numbers))
    monkeypatch.setattr(_assign, "MAX_BLOCK", most)
    found = assign(kinds, spots, places, numbers)
    assert (np.bincount(found, minlength=len(numbers)) == numbers).all()
    slots = np.repeat(np.arange(len(numbers)), numbers)
    chance = np.mean([likelihood(kinds, spots, np.random.default_rng(i).permutation(slots)) for i in range(20)])
    assert likelihood(kinds, spots, found) > chance + 0.5 * (best - chance)


def test_the_order_of_cells_does_not_matter(monkeypatch):
    monkeypatch.setattr(_assign, "MAX_BLOCK", 10)
    kinds, spots, places, numbers = scene(100)
    order = np.random.default_rng(1).permutation(100)
    np.testing.assert_array_equal(
        assign(kinds[order], spots, places, numbers), assign(kinds, spots, places, numbers)[order]
    )


def test_numbers_that_do_not_fit_are_refused():
    kinds, spots, places, numbers = scene()
    with pytest.raises(ValueError, match="61 slots cannot be filled by 60 cells"):
        assign(kinds, spots, places, numbers + np.eye(len(numbers), dtype=int)[0])


def test_one_spot_takes_all():
    kinds = np.random.default_rng(0).dirichlet(np.ones(3), 1000)
    assert (assign(kinds, np.ones((3, 1)), np.zeros((1, 2)), np.array([1000])) == 0).all()

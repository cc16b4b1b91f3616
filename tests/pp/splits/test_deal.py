"""Bundles go to folds and tests by chance, evenly, and never by their size alone."""

import numpy as np
import pytest

from scvcell.pp.splits._deal import bundles, deal, draw


@pytest.mark.parametrize("seed", range(5))
def test_folds_are_even_and_none_is_empty(seed):
    rng = np.random.default_rng(seed)
    size = rng.integers(1, 50, 20)
    fold = deal(size, 4, rng)
    filled = np.bincount(fold, weights=size)
    assert len(filled) == 4
    assert np.ptp(filled) <= size.max(), "the last one that was put in makes the difference"
    assert set(deal(np.ones(4, int), 4, rng)) == {0, 1, 2, 3}


def test_a_share_is_drawn_of_items_of_one_size():
    size = np.ones(20, int)
    taken = draw(size, 0.25, np.random.default_rng(0))
    assert len(taken) == 5
    assert draw(size, 0.25, np.random.default_rng(0)) == taken
    assert draw(size, 0.25, np.random.default_rng(1)) != taken
    assert draw(size, 1.0, np.random.default_rng(0)) == list(range(20))
    assert len(draw(size, 0.999, np.random.default_rng(0))) == 19, "one is left"


def test_large_bundles_have_their_chance():
    size = np.array([8, 4, 4, *[1] * 24])
    drawn = [draw(size, 0.25, np.random.default_rng(seed)) for seed in range(200)]
    sums = [size[each].sum() for each in drawn]
    assert min(sums) == max(sums) == 10
    assert 0.02 < np.mean([0 in each for each in drawn]) < 0.6, "smallest first would never take it"


def test_the_smallest_where_none_fits():
    assert draw(np.array([30, 20, 50]), 0.1, np.random.default_rng(0)) == [1]


def test_bundles_of_clusters():
    assert bundles(None, 3) == [[0], [1], [2]]
    assert bundles(np.array([1, 0, 1]), 3) == [[1], [0, 2]]

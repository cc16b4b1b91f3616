"""Where cells of one time went: clones and optimal transport by hand, on a line and by brute force."""

from itertools import permutations
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from scvcell.drift._times import PLACES_PER_PAIR, between, clones_of, times_of


class First:
    """Draws the first of what there is, and places at the start of the way."""

    def choice(self, values, n=None):
        return np.asarray(values)[:n] if n else values[0]

    def random(self, shape):
        return np.zeros(shape)


def held(**columns):
    frame = pd.DataFrame(columns)
    return SimpleNamespace(column=frame.__getitem__, n_obs=len(frame))


def test_times_are_numbers_as_columns_hold_them():
    for day in ([0, 1, None, 2], ["0", "1.0", None, "2"], pd.Categorical(["0", "1", None, "2"])):
        np.testing.assert_array_equal(times_of(held(day=day), "day"), [0, 1, np.nan, 2])
    with pytest.raises(ValueError, match="must hold numbers, the time of each cell, not 'late'"):
        times_of(held(day=["0", "late", "1"]), "day")
    with pytest.raises(ValueError, match="at least two times"):
        times_of(held(day=[1.0, 1.0, None]), "day")


def test_clones_must_be_seen_at_two_consecutive_times():
    time = np.array([0.0, 1.0, 2.0, 2.0])
    data = held(good=["a", "b", "b", None], bad=["a", "b", "a", None])
    code = clones_of(data, "good", time)
    assert code[1] == code[2] != code[0]
    assert code[3] == -1
    assert clones_of(data, None, time).tolist() == [-1] * 4
    with pytest.raises(ValueError, match="No clone of obs\\['bad'\\] has cells at two consecutive times"):
        clones_of(data, "bad", time)


def test_without_clones_the_pairs_cost_least_of_all():
    rng = np.random.default_rng(0)
    z, time = rng.normal(size=(10, 3)), np.repeat([0.0, 2.0], 5)
    places, velocities = between(z, time, np.full(10, -1), First())
    start, end = z[:5], z[5:]
    best = min(permutations(range(5)), key=lambda order: np.square(start - end[list(order)]).sum())
    np.testing.assert_allclose(places, np.tile(start, (PLACES_PER_PAIR, 1)))
    np.testing.assert_allclose(velocities, np.tile((end[list(best)] - start) / 2, (PLACES_PER_PAIR, 1)))


def test_cells_of_a_clone_go_to_their_own_however_far():
    z = np.array([[0.0], [10.0], [11.0], [1.0], [5.0]])
    time, clone = np.array([0.0, 0, 1, 1, 1]), np.array([0, 1, 0, 1, -1])
    places, velocities = between(z, time, clone, np.random.default_rng(0))
    assert set(velocities[:, 0]) <= {11.0, -9.0}
    start = np.where(velocities[:, 0] > 0, 0.0, 10.0)
    along = (places[:, 0] - start) / velocities[:, 0]
    assert ((along >= 0) & (along <= 1)).all()
    few = between(z, time, np.array([0, -1, 0, -1, -1]), np.random.default_rng(0))[1]
    assert set(few[:, 0]) == {11.0}


def test_only_consecutive_times_are_joined():
    z, time = np.array([[0.0], [1.0], [5.0]]), np.array([0.0, 1.0, 3.0])
    _, velocities = between(z, time, np.full(3, -1), np.random.default_rng(0))
    assert velocities[:, 0].tolist() == [1.0] * PLACES_PER_PAIR + [2.0] * PLACES_PER_PAIR

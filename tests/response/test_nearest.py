"""What the nearest conditions did: grids of doses and times whose answer is known, and plain loops."""

from dataclasses import replace

import numpy as np
import pytest

from scvcell.response import Conditions, hidden
from scvcell.response._kernels import START_SHAPE
from scvcell.response._nearest import _between, own_and_others

DOSES, TIMES = np.log([0.04, 0.2, 1.0]), np.log([1 / 12, 1 / 3, 1.0])


@pytest.fixture
def grid():
    """Every dose and time of four targets."""
    rows = [(k, dose, time) for k in range(4) for dose in DOSES for time in TIMES]
    exposure = np.array([np.eye(4)[k] for k, _, _ in rows])
    level, time = (np.array([row[i] for row in rows]) for i in (1, 2))
    return Conditions(exposure, exposure * level[:, None], time, np.zeros((len(rows), 2)))


@pytest.fixture
def pairs():
    """Four targets at half and full dose, and three pairs at half; the last holds a target that nothing else does."""
    exposure = np.array([*np.repeat(np.eye(5)[:4], 2, 0), [1, 1, 0, 0, 0], [0, 1, 1, 0, 0], [1, 0, 0, 0, 1]], float)
    level = exposure * np.log(np.r_[np.tile([0.5, 1.0], 4), np.full(3, 0.5)])[:, None]
    return Conditions(exposure, level, np.zeros(11), np.zeros((11, 2)))


def asked(units, left, y):
    kept = np.setdiff1d(np.arange(len(units)), left)
    return own_and_others(units.take(left), units.take(kept), y[kept], START_SHAPE)


def test_beyond_the_doses_it_is_the_nearest_of_its_own_and_the_mean_of_the_same_of_others(grid):
    y = np.arange(len(grid))[:, None] * np.ones((1, 3))
    left = next(hidden(grid, "higher dose"))
    own, others = asked(grid, left, y)
    np.testing.assert_allclose(own[:, 0], left - 3)  # the dose below, at the same time
    np.testing.assert_allclose(others[:, 0], left + 18)  # the mean of the same condition of three other targets


def test_between_two_doses_the_effect_is_between_theirs_by_distance(grid):
    y = grid.mean_level[:, None] + 10 * grid.time[:, None] + 100 * grid.exposure.argmax(1)[:, None]
    left = next(hidden(grid, "dose between"))
    np.testing.assert_allclose(asked(grid, left, y)[0], y[left], atol=1e-6)
    later = np.flatnonzero(grid.time == TIMES[2])
    np.testing.assert_allclose(asked(grid, later, y)[0], y[later - 1], err_msg="another dose counts")


def test_one_part_stands_for_all_of_a_combination_at_their_dose(pairs):
    y = np.arange(11.0)[:, None] ** 2 * np.ones((1, 3))
    own, others = asked(pairs, [8], y)
    np.testing.assert_allclose(own[0], (y[1] + y[3]) / 2)  # both at full dose, half and half
    np.testing.assert_allclose(others[0], (y[9] + y[10]) / 2)  # the other combinations
    assert np.isnan(asked(pairs, [10], y)[0]).all(), "a part was not seen alone"
    assert np.isnan(asked(replace(pairs, level=0 * pairs.level), [8], y)[0]).all(), "there are no doses"


def test_a_target_that_acts_as_others_do_has_none_of_its_own(grid):
    y = np.random.default_rng(0).normal(size=(len(grid), 2))
    related = replace(grid.take([0]), related=np.array([True]))
    own, others = own_and_others(related, grid, y, START_SHAPE)
    assert not own.any()
    np.testing.assert_allclose(others[0], y[[0, 9, 18, 27]].mean(0), atol=1e-5)


def test_weights_are_those_of_the_nearest_on_either_side():
    rng = np.random.default_rng(1)
    level, time = rng.choice(DOSES, 12), rng.choice(TIMES, 12)
    exposure = np.repeat(np.eye(2), 6, 0)
    seen = Conditions(exposure, exposure * level[:, None], time, np.zeros((12, 1)))
    unit = Conditions(np.eye(2)[:1], np.array([[np.log(0.1), 0.0]]), np.log([0.5]), np.zeros((1, 1)))
    sets = np.array([exposure[:, 0] > 0, exposure[:, 1] > 0])
    for axis in ("dose", "time"):
        found = _between(unit, seen, sets, START_SHAPE, axis)
        for number, members in enumerate(sets):
            apart = {i: np.hypot(level[i] - np.log(0.1), time[i] - np.log(0.5)) for i in np.flatnonzero(members)}
            value, own = (level, np.log(0.1)) if axis == "dose" else (time, np.log(0.5))
            expected = np.zeros(12)
            for side in ([i for i in apart if value[i] > own], [i for i in apart if value[i] <= own]):
                if side:
                    least = min(apart[i] for i in side)
                    near = [i for i in side if apart[i] < least + 1e-9]
                    expected[near] = 1 / least / len(near)
            np.testing.assert_allclose(found[number], expected / expected.sum())


def test_over_contexts_it_is_the_mean_as_far_as_it_is_more_than_noise():
    rng = np.random.default_rng(2)
    signal = np.concatenate([np.array([2.0, -2.0]), np.zeros(400)])
    noise = np.full((4, 402), 0.4) * rng.uniform(0.5, 1.5, (4, 402))
    y = signal + rng.normal(size=noise.shape) * np.sqrt(noise)
    seen = Conditions(np.ones((4, 1)), np.zeros((4, 1)), np.zeros(4), 10 * np.eye(4))
    unit = Conditions(np.ones((1, 1)), np.zeros((1, 1)), np.zeros(1), np.full((1, 4), 30.0))
    plain, own = (own_and_others(unit, seen, y, START_SHAPE, n)[0][0] for n in (None, noise))
    mean, variance = y.mean(0), noise.mean(0) / 4
    np.testing.assert_allclose(plain, mean)
    np.testing.assert_allclose(own, np.where(mean**2 > variance, mean - variance / mean, 0), atol=1e-12)
    assert np.square(own - signal).sum() < 0.5 * np.square(plain - signal).sum()
    np.testing.assert_allclose(own[:2], signal[:2], atol=0.7)
    order = [2, 0, 3, 1]
    again = own_and_others(unit, seen.take(order), y[order], START_SHAPE, noise[order])[0][0]
    np.testing.assert_allclose(again, own)

from dataclasses import replace

import numpy as np
import pytest

from scvcell.perturb import SHIFTS, Anchor, Units, hidden, shifts, stack_weights

DOSES, TIMES = np.log([0.04, 0.2, 1.0]), np.log([1 / 12, 1 / 3, 1.0])


def screen(n=4):
    """Every dose and time of `n` targets."""
    rows = [(k, dose, time) for k in range(n) for dose in DOSES for time in TIMES]
    exposure = np.array([np.eye(n)[k] for k, _, _ in rows])
    level, time = (np.array([row[i] for row in rows]) for i in (1, 2))
    return Units(exposure, exposure * level[:, None], time, np.zeros((len(rows), 2)))


@pytest.mark.parametrize(
    ("shift", "value", "axis"),
    [
        ("higher dose", DOSES[2], "dose"),
        ("lower dose", DOSES[0], "dose"),
        ("dose between", DOSES[1], "dose"),
        ("later", TIMES[2], "time"),
        ("earlier", TIMES[0], "time"),
        ("time between", TIMES[1], "time"),
    ],
)
def test_what_is_hidden_is_new_in_that_way(shift, value, axis):
    units = screen()
    groups = list(hidden(units, shift))
    assert len(groups) == 4
    left = groups[2]
    at = units.mean_level if axis == "dose" else units.time
    assert units.exposure[left].argmax(1).tolist() == [2] * 3
    np.testing.assert_allclose(at[left], value)
    kept = np.setdiff1d(np.arange(len(units)), left)
    assert shifts(units.take(left), units.take(kept)) == [shift] * 3
    assert shifts(units.take(kept), units.take(kept)) == [""] * len(kept)


def test_all_of_a_target_is_hidden_to_make_it_new():
    units = screen()
    groups = list(hidden(units, "new target"))
    assert [group.tolist() for group in groups] == [list(range(9 * k, 9 * k + 9)) for k in range(4)]
    first, rest = groups[0], np.arange(9, len(units))
    like_others = Units(np.full((9, 4), 1 / 3), *(getattr(units.take(first), n) for n in ("level", "time", "place")))
    related = replace(like_others, related=np.ones(9, bool))
    assert shifts(related, units.take(rest)) == ["new target"] * 9


def test_new_combinations_are_no_shift_and_one_dose_hides_nothing():
    units = screen()
    first, rest = np.arange(9), np.arange(9, len(units))
    assert set(shifts(units.take(first), units.take(rest))) == {""}
    single = units.take(np.flatnonzero((units.mean_level == 0) & (units.time == 0)))
    assert [list(hidden(single, shift)) for shift in SHIFTS[:-1]] == [[]] * (len(SHIFTS) - 1)


def test_members_are_the_nearest_own_condition_and_the_mean_of_the_others():
    units = screen()
    y = np.arange(len(units))[:, None] * np.ones((1, 3))
    left = next(hidden(units, "higher dose"))
    kept = np.setdiff1d(np.arange(len(units)), left)
    anchor = Anchor(units.take(kept), y[kept], 0 * y[kept] + 0.1, 1.0, {"target": 1.0}, _shape(), 0.0, np.ones(3))
    members, _ = anchor.members(units.take(left))
    np.testing.assert_allclose(members[:, 2, 0], left - 3)  # the dose below, at the same time
    np.testing.assert_allclose(members[:, 3, 0], left + 18)  # the mean of the same condition of three other targets


def test_between_two_doses_the_effect_is_between_theirs_by_distance():
    units = screen()
    left = next(hidden(units, "dose between"))
    kept = np.setdiff1d(np.arange(len(units)), left)
    y = units.mean_level[:, None] + 10 * units.time[:, None] + 100 * units.exposure.argmax(1)[:, None]
    anchor = Anchor(units.take(kept), y[kept], 0 * y[kept] + 0.1, 1.0, {"target": 1.0}, _shape(), 0.0, np.ones(1))
    members, _ = anchor.members(units.take(left))
    np.testing.assert_allclose(members[:, 2], y[left], atol=1e-6)
    earlier = np.flatnonzero(units.time < TIMES[2])
    anchor = Anchor(
        units.take(earlier), y[earlier], 0 * y[earlier] + 0.1, 1.0, {"target": 1.0}, _shape(), 0.0, np.ones(1)
    )
    later = np.flatnonzero(units.time == TIMES[2])
    np.testing.assert_allclose(anchor.members(units.take(later))[0][:, 2], y[later - 1], err_msg="another dose counts")


def test_inner_doses_are_hidden_in_turn():
    level = np.tile(np.log([0.1, 0.2, 0.4, 0.8]), 3)
    exposure = np.repeat(np.eye(3), 4, 0)
    units = Units(exposure, exposure * level[:, None], 0 * level, np.zeros((12, 2)))
    assert [int(group[0]) % 4 for group in hidden(units, "dose between")] == [1, 2, 1]


def _shape():
    return {"dose power": 0.4, "time power": 0.5, "dose reach": 1.0, "time reach": 1.0}


def test_a_stack_counts_only_where_the_shift_is():
    units = screen()
    y = np.random.default_rng(0).normal(size=(len(units), 5))
    left = next(hidden(units, "later"))
    kept = np.setdiff1d(np.arange(len(units)), left)
    anchor = Anchor(units.take(kept), y[kept], 0 * y[kept] + 0.1, 1.0, {"target": 1.0}, _shape(), 0.0, np.ones(5))
    alone, _ = anchor.predict(units)
    anchor.stack = {"later": [0.0, 0.0, 1.0, 0.0]}
    stacked, _ = anchor.predict(units)
    np.testing.assert_array_equal(stacked[kept], alone[kept])
    np.testing.assert_allclose(stacked[left], y[left - 1])


def test_weights_are_never_negative_and_find_the_better_member():
    rng = np.random.default_rng(1)
    y = rng.normal(size=(30, 10))
    members = np.stack([rng.normal(size=y.shape), y + 0.1 * rng.normal(size=y.shape), -y], 1)
    weights = stack_weights(members, y, n_sets=30)
    assert min(weights) >= 0
    assert weights[1] > 0.8
    assert weights[2] == 0

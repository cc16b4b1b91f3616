from dataclasses import replace

import numpy as np
import pytest

from scvcell.response._anchor import Anchor, shared_weights, stack_weights
from scvcell.response._conditions import Conditions
from scvcell.response._novelty import NOVELTIES, hidden, novelty

DOSES, TIMES = np.log([0.04, 0.2, 1.0]), np.log([1 / 12, 1 / 3, 1.0])


def screen(n=4):
    """Every dose and time of `n` targets."""
    rows = [(k, dose, time) for k in range(n) for dose in DOSES for time in TIMES]
    exposure = np.array([np.eye(n)[k] for k, _, _ in rows])
    level, time = (np.array([row[i] for row in rows]) for i in (1, 2))
    return Conditions(exposure, exposure * level[:, None], time, np.zeros((len(rows), 2)))


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
    assert novelty(units.take(left), units.take(kept)) == [shift] * 3
    assert novelty(units.take(kept), units.take(kept)) == [""] * len(kept)


def test_all_of_a_target_is_hidden_to_make_it_new():
    units = screen()
    groups = list(hidden(units, "new target"))
    assert [group.tolist() for group in groups] == [list(range(9 * k, 9 * k + 9)) for k in range(4)]
    first, rest = groups[0], np.arange(9, len(units))
    like_others = Conditions(
        np.full((9, 4), 1 / 3), *(getattr(units.take(first), n) for n in ("level", "time", "place"))
    )
    related = replace(like_others, related=np.ones(9, bool))
    assert novelty(related, units.take(rest)) == ["new target"] * 9


def test_one_dose_hides_nothing():
    units = screen()
    single = units.take(np.flatnonzero((units.mean_level == 0) & (units.time == 0)))
    assert [list(hidden(single, shift)) for shift in NOVELTIES if shift != "new target"] == [[]] * (len(NOVELTIES) - 1)


def pairs(dose):
    """Four targets at half and full dose, and three pairs; the last pair holds a target that nothing else does."""
    exposure = np.array([*np.repeat(np.eye(5)[:4], 2, 0), [1, 1, 0, 0, 0], [0, 1, 1, 0, 0], [1, 0, 0, 0, 1]], float)
    level = exposure * np.log(np.r_[np.tile([0.5, 1.0], 4), np.full(3, dose)])[:, None]
    return Conditions(exposure, level, np.zeros(11), np.zeros((11, 2)))


def test_combinations_are_hidden_whose_parts_are_elsewhere():
    units = pairs(0.5)
    assert [group.tolist() for group in hidden(units, "new combination")] == [[8], [9]]
    kept = units.take(np.arange(8))
    assert novelty(units.take([8, 9]), kept) == ["new combination"] * 2
    assert novelty(units.take([8]), units) == [""]


@pytest.mark.parametrize(("dose", "asked"), [(1.0, 8), (0.5, 10)])
def test_without_doses_or_parts_alone_the_processes_speak_for_a_combination(dose, asked):
    units, y = pairs(dose), np.random.default_rng(0).normal(size=(11, 3))
    units = replace(units, level=0 * units.level) if dose == 1 else units
    seen = np.arange(8)
    anchor = Anchor(units.take(seen), y[seen], 0 * y[seen] + 0.1, 1.0, {"target": 1.0}, _shape(), 0.0, np.ones(3))
    members, _ = anchor.members(units.take([asked]))
    np.testing.assert_allclose(members[0, 2], members[0, :2].mean(0))
    assert not members[0, 3].any()


def test_inner_doses_are_hidden_in_turn():
    level = np.tile(np.log([0.1, 0.2, 0.4, 0.8]), 3)
    exposure = np.repeat(np.eye(3), 4, 0)
    units = Conditions(exposure, exposure * level[:, None], 0 * level, np.zeros((12, 2)))
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
    weights = stack_weights(np.insert(members, 2, 0, axis=1), y, n_sets=30, shift="later")
    assert min(weights) >= 0
    assert weights[1] > 0.8
    assert weights[3] == 0


def in_contexts(n_contexts=4, n=2):
    """Targets in contexts far from each other; the last target in the first context only."""
    rows = [(k, c) for c in range(n_contexts) for k in range(n)] + [(n, 0)]
    exposure = np.array([np.eye(n + 1)[k] for k, _ in rows])
    place = 10 * np.eye(n_contexts)[[c for _, c in rows]]
    return Conditions(exposure, 0 * exposure, np.zeros(len(rows)), place)


def test_contexts_are_hidden_whole_and_what_none_other_has_stays():
    units = in_contexts()
    groups = list(hidden(units, "new context"))
    assert [group.tolist() for group in groups] == [[0, 1], [2, 3], [4, 5], [6, 7]]
    for group in groups[1:]:
        kept = np.setdiff1d(np.arange(len(units)), group)
        assert novelty(units.take(group), units.take(kept)) == ["new context"] * 2
        assert novelty(units.take(kept), units.take(kept)) == [""] * len(kept)
    order = np.random.default_rng(0).permutation(len(units))
    shuffled = [sorted(order[group]) for group in hidden(units.take(order), "new context")]
    assert sorted(shuffled) == [[0, 1], [2, 3], [4, 5], [6, 7]]


def test_a_context_is_new_where_no_measured_one_is_like_it():
    units = in_contexts()
    near = replace(units.take([0]), place=units.place[:1] + 0.5)
    far = replace(units.take([0]), place=units.place[:1] + 5)
    assert novelty(near, units) == [""]
    assert novelty(far, units) == ["new context"]
    lonely = replace(units.take([8]), place=units.place[2:3])
    assert novelty(lonely, units) == ["new context"], "this target was measured elsewhere"
    alone = units.take([0, 1, 8])
    assert novelty(far, alone) == [""], "one context does not say how far contexts are apart"
    assert list(hidden(alone, "new context")) == []


def test_a_new_context_has_a_share_of_the_processes_and_the_rest_conserved():
    rng = np.random.default_rng(2)
    process, conserved, flow = rng.normal(size=(3, 8, 50))
    members = np.stack([process, process, conserved, rng.normal(size=process.shape)], 1)
    for share in (0.0, 0.3, 1.0):
        y = share * process + (1 - share) * conserved
        few, many = (shared_weights(members, y, flow, n) for n in (3, 10_000))
        np.testing.assert_allclose(many, [share / 2, share / 2, 1 - share, 0], atol=1e-3)
        np.testing.assert_allclose(few[2], 1 - 0.75 * share, err_msg="few contexts draw to what is conserved")
    assert shared_weights(members, 5 * process - 4 * conserved, flow, 8) == [0.5, 0.5, 0.0, 0.0]
    assert shared_weights(members[:, [2, 2, 2, 3]], y, flow, 8) == [0.0, 0.0, 1.0, 0.0]
    strong = np.arange(50) < 5
    y = np.where(strong, process, conserved)
    assert shared_weights(members, y, np.where(strong, 20.0, 0.0), 10_000)[2] < 0.1, "strong effects choose"

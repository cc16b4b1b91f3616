"""Conditions that were left out: none is told by its own effect, and errors are those of the prediction."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import torch

from scvcell import Action
from scvcell.prior import TargetKernel
from scvcell.response import Anchor, Bulk, Contrast, make_flow
from scvcell.response import _crossfit as module
from scvcell.response._crossfit import crossfit, strongest
from scvcell.response._effects import Effects

FEATURES = 6


def screen(readout, actions, seed=0):
    """Bulk effects of some actions, three samples each, too few for a flow."""
    rng = np.random.default_rng(seed)
    targets = sorted({target for action in actions for target in action.targets})
    own = {target: rng.normal(size=FEATURES) for target in targets}
    values, units = [*rng.normal(0, 0.1, (3, FEATURES))], []
    for action in actions:
        at = np.arange(len(values), len(values) + 3)
        values += [sum(own[target] for target in action.targets) + rng.normal(0, 0.1, FEATURES) for _ in at]
        units.append(Contrast(action, 0, at, np.arange(3)))
    latent = torch.from_numpy(rng.normal(size=(len(values), 4)).astype(np.float32))
    return Effects(Bulk(readout("profile", np.array(values, np.float32))), units, latent)


def fit(effects):
    every = np.arange(len(effects.contrasts))
    return Anchor.fit(effects.describe(make_flow(effects.contrasts, 4, 0), every), effects.value, effects.noise)


@pytest.fixture
def pairs(readout):
    """Four targets alone and in pairs."""
    names = [(name,) for name in "ABCD"] + list(combinations("ABCD", 2))
    effects = screen(readout, [Action(list(name)) for name in names])
    return effects, fit(effects)


def at_random(rows):
    """Rows of conditions left out at random, in the order of conditions and features."""
    rows = rows[rows[:, 4] == 0]
    return rows[np.argsort(rows[:, 3], kind="stable")].reshape(-1, FEATURES, 6)


def test_rows_are_errors_of_a_prediction(pairs):
    effects, anchor = pairs
    rows, _ = crossfit(effects, anchor, None, 0, shown=False)
    found = at_random(rows)
    assert found[:, 0, 3].tolist() == list(range(10))
    size, error = found[..., 0], found[..., 1]
    either = np.minimum(*(np.abs((effects.value - sign * size) ** 2 - error) for sign in (1, -1)))
    np.testing.assert_allclose(either, 0, atol=1e-9)
    assert (found[..., 2] >= effects.noise - 1e-12).all()
    assert error.mean() < 0.3 * (effects.value**2).mean()


def test_rows_say_which_effects_are_strongest_as_they_were_measured(pairs, monkeypatch):
    monkeypatch.setattr(module, "STRONGEST", 2)
    effects, anchor = pairs
    found = at_random(crossfit(effects, anchor, None, 0, shown=False)[0])
    rank = np.argsort(np.argsort(-np.abs(effects.value), 1), 1)
    np.testing.assert_array_equal(found[..., 5], rank < 2)
    y = np.array([[1.0, -3.0, 2.0, 9.0]])
    np.testing.assert_array_equal(strongest(y, 3), [[0, 1, 1, 0]], err_msg="the depth is no feature")
    np.testing.assert_array_equal(strongest(y[:, :1], 1), [[1]])


def test_no_condition_is_told_by_its_own_effect(pairs):
    effects, anchor = pairs
    before = at_random(crossfit(effects, anchor, None, 0, shown=False)[0])
    for row in (0, 7):
        effects.value = effects.value.copy()
        effects.value[row] += 50
        after = at_random(crossfit(effects, anchor, None, 0, shown=False)[0])
        np.testing.assert_allclose(after[row, :, 0], before[row, :, 0], rtol=1e-9)
        assert (after[row, :, 1] > 1000).all()
        assert not np.allclose(after[:, :, 0], before[:, :, 0])
        effects.value[row] -= 50


def test_what_a_flow_predicts_is_not_counted_twice(pairs, monkeypatch):
    effects, _ = pairs

    def shifted(flow, *_):
        with torch.no_grad():
            flow.offset.copy_(torch.linspace(-2, 2, flow.offset.numel()).reshape(flow.offset.shape))

    monkeypatch.setattr(module, "train_flows", lambda flows, *_: [shifted(flow) for flow in flows])
    flow = make_flow(effects.contrasts, 4, 0)
    shifted(flow)
    every = np.arange(10)
    effects.value = effects.by_flow(flow, every)
    anchor = replace(fit(effects), y=0 * effects.value)
    found = at_random(crossfit(effects, anchor, None, 0, shown=False)[0])
    np.testing.assert_allclose(found[..., 0], np.abs(effects.value), atol=1e-6)
    np.testing.assert_allclose(found[..., 1], 0, atol=1e-9)


def test_a_target_that_nothing_else_has_is_left_out_only_with_relatives(readout):
    names = ("A", "B", "C")
    effects = screen(readout, [Action(name) for name in names])
    anchor = fit(effects)
    rows, stack = crossfit(effects, anchor, None, 0, shown=False)
    assert rows.shape == (0, 6)
    assert stack == {}
    kernel = TargetKernel(pd.DataFrame(np.ones((3, 1)), list(names)))
    rows, _ = crossfit(effects, anchor, kernel, 0, shown=False)
    assert at_random(rows)[:, 0, 3].tolist() == [0, 1, 2]
    known = TargetKernel(pd.DataFrame(np.ones((2, 1)), ["A", "B"]))
    assert at_random(crossfit(effects, anchor, known, 0, shown=False)[0])[:, 0, 3].tolist() == [0, 1]


def test_ways_of_being_new_are_learned_where_enough_targets_allow_it(readout, monkeypatch):
    monkeypatch.setattr(module, "MIN_TARGET_SETS", 4)
    actions = [Action({name: dose}) for name in "ABCD" for dose in (1.0, 3.0, 10.0)]
    effects = screen(readout, actions)
    anchor = fit(effects)
    rows, stack = crossfit(effects, anchor, None, 0, shown=False)
    assert set(stack) == {"higher dose", "lower dose", "dose between"}
    assert all(min(weights) >= 0 for weights in stack.values())
    left = {code: set(rows[rows[:, 4] == code, 3].astype(int)) for code in set(rows[:, 4])}
    assert left[1] == {2, 5, 8, 11}, "higher doses"
    assert left[2] == {0, 3, 6, 9}, "lower doses"
    assert left[3] == {1, 4, 7, 10}, "doses between"
    monkeypatch.setattr(module, "MIN_TARGET_SETS", 5)
    rows, stack = crossfit(effects, replace(anchor), None, 0, shown=False)
    assert set(rows[:, 4]) == {0}
    assert stack == {}


def test_rows_are_limited_and_repeat_with_the_seed(pairs, monkeypatch):
    effects, anchor = pairs
    every, _ = crossfit(effects, anchor, None, 3, shown=False)
    monkeypatch.setattr(module, "MAX_CALIBRATION_ROWS", 25)
    some, _ = crossfit(effects, anchor, None, 3, shown=False)
    assert len(some) == 25 * len(set(every[:, 4]))
    assert len(np.unique(some, axis=0)) == len(some)
    assert {tuple(row) for row in some} <= {tuple(row) for row in every}
    np.testing.assert_array_equal(crossfit(effects, anchor, None, 3, shown=False)[0], some)


def in_contexts(readout, n=4, own=0.0, seed=0):
    """One action in contexts that are far apart, three samples each; what is its own in each has size `own`."""
    rng = np.random.default_rng(seed)
    effect = rng.normal(size=FEATURES)
    values, units, latent = [], [], []
    for k in range(n):
        mine = effect + own * rng.normal(size=FEATURES)
        values += [*rng.normal(0, 0.1, (3, FEATURES)), *(mine + rng.normal(0, 0.1, (3, FEATURES)))]
        latent += [10 * np.eye(4)[k]] * 6
        units.append(Contrast(Action("A"), k, 6 * k + 3 + np.arange(3), 6 * k + np.arange(3)))
    latent = torch.from_numpy(np.array(latent, np.float32))
    return effect, Effects(Bulk(readout("profile", np.array(values, np.float32))), units, latent)


def test_left_out_contexts_say_how_much_of_an_effect_is_conserved(readout):
    errors, conserved = [], []
    for own in (0.0, 1.0):
        effect, effects = in_contexts(readout, own=own)
        every = np.arange(4)
        units = effects.describe(make_flow(effects.contrasts, 4, 0), every)
        anchor = Anchor.fit(units, effects.value, effects.noise)
        anchor = replace(anchor, weights={"shared": 0.05, "target in context": 1.0})
        rows, stack = crossfit(effects, anchor, None, 0, shown=False)
        assert set(stack) == {"new context"}
        assert set(rows[:, 4]) == {0, 9}
        new = replace(units.take([0]), place=units.place[:1] + 40)
        before = replace(anchor).members(new)[0][0, :2].mean(0)
        conserved.append(stack["new context"][2])
        anchor.stack = stack
        after = anchor.predict(new)[0][0]
        errors.append([np.square(found - effect).sum() / np.square(effect).sum() for found in (before, after)])
        np.testing.assert_allclose(anchor.predict(units)[0], replace(anchor, stack={}).predict(units)[0])
    assert errors[0][0] > 0.3, "what is conserved was drawn to zero"
    assert errors[0][1] < 0.03
    assert conserved[0] > conserved[1]
    few = in_contexts(readout, n=2)[1]
    pair = Anchor.fit(few.describe(make_flow(few.contrasts, 4, 0), np.arange(2)), few.value, few.noise)
    assert crossfit(few, pair, None, 0, shown=False)[1] == {}, "two contexts do not tell"

"""Conditions as numbers, by hand; which one was measured, and targets that nothing is known of."""

import numpy as np
import pandas as pd
import pytest
import torch

from scvcell import Action
from scvcell.perturb import AffineFlow
from scvcell.prior import TargetKernel
from scvcell.response._conditions import Conditions, describe, measured_row, of_actions, same_targets, unrelated


@pytest.fixture
def flow():
    return AffineFlow(2, ("A", "B", "C"), {"A": 10.0, "B": 4.0}, 24.0)


def test_actions_are_shares_logs_and_places(flow):
    actions = [Action(), Action({"A": 5.0}, 6), Action({"A": 10.0, "C": None}, 24), Action({"B": 1.0})]
    found = describe(flow, actions, np.arange(8.0).reshape(4, 2))
    assert found.exposure.tolist() == [[0, 0, 0], [1, 0, 0], [1, 0, 1], [0, 1, 0]]
    np.testing.assert_allclose(found.level, np.log([[1, 1, 1], [0.5, 1, 1], [1, 1, 1], [1, 0.25, 1]]))
    np.testing.assert_allclose(found.time, np.log([1, 6 / 24, 1, 1]))
    np.testing.assert_allclose(found.mean_level, np.log([1, 0.5, 1, 0.25]))
    assert not found.related.any()
    assert found.take([2, 0]).place.tolist() == [[4.0, 5.0], [0.0, 1.0]]
    assert repr(found) == "4 conditions of 3 targets."


def test_actions_alone_are_relative_to_the_largest_of_them():
    found = of_actions([Action({"A": 5.0}, 6), Action({"A": 10.0, "C": None}, 24), Action({"B": 1.0})], ["A", "B", "C"])
    assert found.exposure.tolist() == [[1, 0, 0], [1, 0, 1], [0, 1, 0]]
    np.testing.assert_allclose(found.level, np.log([[0.5, 1, 1], [1, 1, 1], [1, 1, 1]]))
    np.testing.assert_allclose(found.time, np.log([6 / 24, 1, 1]))
    assert found.related is None


def test_of_a_schedule_a_target_counts_as_long_as_it_acts(flow):
    plan = Action.schedule([("A", 10.0, 0, 6), ("B", 4.0, 3, 12)], time=24)
    found = describe(flow, [plan], np.zeros((1, 2)))
    np.testing.assert_allclose(found.exposure, [[6 / 24, 9 / 24, 0]])


def test_mean_level_is_over_what_was_given():
    rng = np.random.default_rng(0)
    exposure = (rng.random((20, 4)) < 0.5).astype(float)
    level = rng.normal(size=(20, 4))
    units = Conditions(exposure, level, np.zeros(20), np.zeros((20, 1)))
    for i in range(20):
        given = [level[i, k] for k in range(4) if exposure[i, k]]
        assert units.mean_level[i] == pytest.approx(np.mean(given) if given else 0)
    same = same_targets(units, units)
    assert all(same[i, j] == (exposure[i] == exposure[j]).all() for i in range(20) for j in range(20))


def test_an_unseen_target_is_what_its_relatives_are(flow):
    table = pd.DataFrame([[1.0, 0.0], [0.0, 1.0], [1.0, 0.1], [1.0, 0.0]], ["A", "B", "C", "new"])
    action = Action("B+new")
    assert unrelated(flow, action, None) == "new"
    assert unrelated(flow, Action("stranger"), TargetKernel(table)) == "stranger"
    kernel = TargetKernel(table)
    assert unrelated(flow, action, kernel) is None
    assert unrelated(flow, Action("A+B"), None) is None
    weights = kernel.weights("new", flow.targets)
    found = describe(flow, [action, Action("B")], np.zeros((2, 2)))
    np.testing.assert_allclose(found.exposure[0], weights + np.array([0, 1, 0]), rtol=1e-6)
    assert found.related.tolist() == [True, False]
    assert not found.level.any()
    torch.testing.assert_close(flow.shares("new"), torch.tensor(weights, dtype=torch.float32))


def test_only_the_same_action_in_the_nearest_context_is_measured():
    place = np.array([[0.0], [0.0], [5.0]])
    units = Conditions(np.array([[1.0, 0], [0, 1], [1, 0]]), np.zeros((3, 2)), np.zeros(3), place)

    def asked(exposure, at):
        return measured_row(units, Conditions(np.array([exposure]), np.zeros((1, 2)), np.zeros(1), np.array([[at]])))

    assert asked([1.0, 0.0], 4.0) == 2
    assert asked([0.0, 1.0], 1.0) == 1
    assert asked([0.0, 1.0], 4.0) is None
    assert asked([0.5, 0.5], 0.0) is None

"""A flow for some conditions, and what it learns of states that a known shift has moved."""

import numpy as np
import pytest
import torch

from scvcell import Action
from scvcell.response import Contrast, _flow_fit, exposures, make_flow, train_flow
from scvcell.response._flow_fit import train_flows

ACTIONS = [Action({"A": 10.0}, 24), Action({"A": 2.0, "B": None}, 24), Action({"C": 1.0}, 6)]


def units_of(actions, n=40):
    """Conditions of n treated cells each, which share n controls."""
    return [Contrast(a, 0, np.arange(n) + n * (i + 1), np.arange(n)) for i, a in enumerate(actions)]


def test_a_flow_knows_every_target_its_largest_dose_and_the_longest_time():
    flow = make_flow(units_of(ACTIONS), 3, 0)
    assert flow.targets == ("A", "B", "C")
    assert flow.largest == {"A": 10.0, "C": 1.0}
    assert flow.span == 24
    plain = make_flow(units_of([Action("B"), Action("A")]), 3, 0)
    assert (plain.targets, plain.largest, plain.span) == (("A", "B"), {}, None)
    assert not plain.moves


def test_the_same_seed_makes_the_same_flow_and_leaves_the_generator_as_it_was():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one, two, other = (make_flow(units_of(ACTIONS), 3, seed) for seed in (0, 0, 1))
    torch.testing.assert_close(torch.rand(3), expected)
    torch.testing.assert_close(one.into, two.into)
    assert not torch.equal(one.into, other.into)


def test_exposures_are_strength_times_time():
    units = units_of([*ACTIONS, Action.schedule([("A", 10.0, 0, 6), ("C", 1.0, 6, 24)])])
    flow = make_flow(units, 3, 0)
    with torch.no_grad():
        half = (1 + 1) * 0.2 / (0.2 + 1)  # slope and half of the untrained curve are 1
        found = exposures(flow, units)
    expected = [[1, 0, 0], [half, 1, 0], [0, 0, 0.25], [0.25, 0, 0.75]]
    torch.testing.assert_close(found, torch.tensor(expected))


@pytest.fixture
def moved():
    """States that A and B move, and both together by the sum."""
    rng = np.random.default_rng(0)
    shift = {"A": np.array([1.0, 0, 0]), "B": np.array([0, -0.5, 0.5])}
    actions = [Action("A"), Action("B"), Action("A+B")]
    steps = [np.zeros(3), *(sum(shift[target] for target in action.targets) for action in actions)]
    states = np.concatenate([rng.normal(0, 0.1, (40, 3)) + step for step in steps])
    return units_of(actions), torch.from_numpy(states.astype(np.float32)), steps[1:]


def test_known_shifts_are_learned(moved):
    units, latent, steps = moved
    flow = make_flow(units, 3, 0)
    train_flow(flow, units, latent, 0, steps=40)
    controls = latent[:40]
    torch.testing.assert_close(flow.center, controls.mean(0))
    with torch.no_grad():
        for unit, step in zip(units, steps, strict=True):
            np.testing.assert_allclose((flow(controls, unit.action) - controls).mean(0), step, atol=0.1)
    again = make_flow(units, 3, 0)
    train_flow(again, units, latent, 0, steps=40)
    torch.testing.assert_close(again.offset, flow.offset)
    torch.testing.assert_close(flow.log_half, torch.zeros(2), msg="without doses there is no curve to learn")


def test_more_than_a_shift_is_learned():
    rng = np.random.default_rng(1)
    treated = rng.normal(size=(100, 2)) * [2.0, 1.0]
    states = np.concatenate([rng.normal(size=(100, 2)), treated]).astype(np.float32)
    units, latent = units_of([Action("A")], 100), torch.from_numpy(states)
    flow = make_flow(units, 2, 0)
    train_flow(flow, units, latent, 0, steps=150)
    with torch.no_grad():
        wider = flow(latent[:100], Action("A")).std(0) / latent[:100].std(0)
    np.testing.assert_allclose(wider, treated.std(0) / states[:100].std(0), rtol=0.15)


def test_conditions_of_few_cells_teach_nothing(moved):
    units, latent, _ = moved
    few = [Contrast(u.action, 0, u.treated[:5], u.controls) for u in units]
    flow = make_flow(few, 3, 0)
    train_flow(flow, few, latent, 0, steps=10)
    assert not flow.moves
    mixed = [units[0], few[1]]
    flow = make_flow(mixed, 3, 0)
    train_flow(flow, mixed, latent, 0, steps=10)
    assert flow.offset[0].any()
    assert flow.offset[1].abs().max() < 1e-6


@pytest.fixture
def several(moved):
    """Flows of unlike conditions: with doses and without, of other targets, and of conditions that teach nothing."""
    units, latent, _ = moved
    dosed = [Contrast(Action({"A": dose}), 0, u.treated, u.controls) for dose, u in zip((1, 3, 10), units, strict=True)]
    few = [Contrast(u.action, 0, u.treated[:5], u.controls) for u in units]
    return [units, dosed, few, units[:1], dosed[1:]], latent


def test_flows_that_are_fitted_at_once_are_those_that_are_fitted_one_by_one(several):
    parts, latent = several
    alone, together = ([make_flow(units, 3, seed) for seed, units in enumerate(parts)] for _ in range(2))
    for flow, units in zip(alone, parts, strict=True):
        train_flow(flow, units, latent, 4, steps=25)
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    train_flows(together, parts, latent, 4, steps=25)
    torch.testing.assert_close(torch.rand(2), expected)
    for one, other in zip(alone, together, strict=True):
        for (name, value), (_, found) in zip(one.state_dict().items(), other.state_dict().items(), strict=True):
            torch.testing.assert_close(found, value, rtol=1e-3, atol=1e-4, msg=name)
    assert together[1].log_half.any()
    assert not together[0].log_half.any()
    assert not together[2].moves


def test_a_flow_is_fitted_on_one_device_that_is_asked_for_nothing(several):
    """``meta`` has no values: what mixes devices fails there, and what waits for it."""
    parts, latent = several
    parts = [(make_flow(units, 3, 0), units) for units in parts if len(units[0].treated) > 5]
    whole = _flow_fit._joined([flow for flow, _ in parts], torch.device("meta"))
    _flow_fit._fit(whole, parts, latent.to("meta"), 0, 2)
    assert {value.device.type for value in whole.state_dict().values()} == {"meta"}
    assert whole.offset.shape == (2 + 1 + 1 + 1, 3)

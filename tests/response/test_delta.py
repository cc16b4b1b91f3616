"""What an action does to states and pseudobulks, of operators whose answer is known in closed form."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import norm, t

from scvcell import Action, PerturbationKeys
from scvcell.errors import OutOfSupport
from scvcell.perturb import AffineFlow
from scvcell.prior import TargetKernel
from scvcell.response import Anchor, Bulk
from scvcell.response._conditions import describe
from scvcell.response._delta import Delta

ACTIONS = (Action({"A": 1.0}), Action({"A": 10.0}), Action({"B": 4.0}), Action({"C": 1.0}))
CELLS = np.arange(30)


@pytest.fixture
def delta():
    """A shift per target; what is left of the effects is told by a kernel over targets."""
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    flow = AffineFlow(4, ("A", "B", "C"), {"A": 10.0, "B": 4.0, "C": 1.0})
    with torch.no_grad():
        flow.offset[:2].normal_()
    y = rng.normal(size=(4, 8))
    shape = {"dose power": 0.4, "time power": 0.5, "dose reach": 1.0, "time reach": 1.0}
    units = describe(flow, ACTIONS, np.zeros((4, 4)))
    anchor = Anchor(units, y, np.full(y.shape, 0.2), 1.0, {"target, dose and time": 1.0}, shape, 0.0, np.ones(8))
    keys = PerturbationKeys("drug", "none", dose="dose")
    return Delta(keys, flow, ACTIONS, {}, None, {"profile": anchor}, {"profile": np.full(8, 2.0)})


@pytest.fixture
def assay(readout):
    values = np.random.default_rng(1).normal(size=(30, 8)).astype(np.float32)
    z = torch.from_numpy(np.random.default_rng(2).normal(size=(30, 4)).astype(np.float32))
    return Bulk(readout("profile", values)), z, values


def test_states_move_by_the_flow_no_further_than_one_step(delta):
    z = torch.randn(6, 4)
    assert torch.equal(delta.states(z, Action()), z)
    shift = delta.flow.offset.detach()
    torch.testing.assert_close(delta.states(z, Action({"A": 10.0})), z + shift[0])
    torch.testing.assert_close(delta.states(z, Action({"A": 10.0, "B": 4.0})), z + shift[0] + shift[1])
    held, far = delta.states(z, Action({"A": 100.0})), delta.states(z, Action({"A": 1e6}))
    torch.testing.assert_close(far, held)
    assert (held - z).norm() > (delta.states(z, Action({"A": 10.0})) - z).norm()
    assert delta.taught(Action("A+B"))
    assert not delta.taught(Action("A+C"))


def test_unknown_targets_are_refused_or_act_as_their_relatives(delta, caplog):
    with pytest.raises(OutOfSupport, match="Nothing is known of the target 'new': the model was trained on A, B, C"):
        delta.check(Action("new"))
    kernel = TargetKernel(pd.DataFrame(np.eye(3)[[0, 1, 2, 0]], ["A", "B", "C", "new"]))
    related, z = replace(delta, kernel=kernel), torch.randn(3, 4)
    weights = torch.tensor(kernel.weights("new", ("A", "B", "C")), dtype=torch.float32)
    torch.testing.assert_close(related.states(z, Action("new")), z + weights @ delta.flow.offset.detach())
    assert "'new' was never perturbed" in caplog.text
    assert related.support(Action("new"), np.zeros(4)) < related.support(Action({"A": 10.0}), np.zeros(4))


def test_effects_are_what_is_expected_and_what_was_left(delta, assay):
    bulk, z, _ = assay
    action = Action({"A": 10.0})
    found = delta.effect(bulk, "profile", action, CELLS, z)
    operator, ctx = bulk.operator, bulk.at(CELLS)
    with torch.no_grad():
        moved = operator.predict(z + delta.flow.offset[0], ctx) - operator.predict(z, ctx)
    anchor = delta.anchors["profile"]
    strength = np.array([0.1**0.4, 1.0])  # of the two doses of A
    near = np.exp(-0.5 * np.log(10) ** 2)
    among = np.outer(strength, strength) * np.array([[1, near], [near, 1]])
    cross = np.array([strength[0] * near, 1.0])
    left = cross @ np.linalg.solve(among + 0.2 * np.eye(2), anchor.y[:2])
    residual, variance = delta.residual("profile", action, z.mean(0).numpy())
    members, _ = anchor.members(describe(delta.flow, [action], z.mean(0).numpy()[None]))
    np.testing.assert_allclose(members[0, 1], left, rtol=1e-6)
    np.testing.assert_allclose(variance, 1 - cross @ np.linalg.solve(among + 0.2 * np.eye(2), cross), rtol=1e-6)
    np.testing.assert_allclose(found.value, moved.mean(0).numpy() + residual, atol=1e-5)
    nothing = delta.effect(bulk, "profile", Action(), CELLS, z)
    assert not nothing.value.any()
    assert not nothing.halfwidth.any()


def test_measured_effects_that_are_not_calibrated_have_sampling_intervals(delta, assay):
    bulk, z, values = assay
    action = Action({"B": 4.0})
    found = delta.effect(bulk, "profile", action, CELLS, z, level=0.8, n_cells=15)
    own = (values.var(0, ddof=1) + 2.0) / 2 / 30
    new = own * (1 + 30 / 15)
    mean, variance = delta.residual("profile", action, np.zeros(4))
    left = np.maximum((delta.anchors["profile"].y[2] - mean) ** 2, np.maximum(0.2, variance))
    np.testing.assert_allclose(found.halfwidth, t.ppf(0.9, 2.0 / 0.2 - 1) * np.sqrt(new + left), rtol=1e-4)
    assert np.isinf(delta.effect(bulk, "profile", Action({"A": 10.0, "B": 4.0}), CELLS, z).halfwidth).all()


def test_calibrated_intervals_are_quantiles_of_errors_that_were_left_out(delta, assay):
    bulk, z, values = assay
    rng = np.random.default_rng(3)
    condition = np.repeat(np.arange(400), 8)
    rows = np.stack([np.abs(rng.normal(size=3200)), rng.chisquare(1, 3200), np.ones(3200), condition, 0 * condition], 1)
    action = Action({"A": 10.0})
    noise = (values.var(0, ddof=1) + 2.0) / 2 / 30 * 2
    variance = delta.residual("profile", action, z.mean(0).numpy())[1] + noise
    widths = []
    for factor in (1.0, 9.0, 0.01):
        wide = rows * [1, factor, 1, 1, 1]
        delta.calibration["profile"] = wide
        widths.append(delta.effect(bulk, "profile", action, CELLS, z).halfwidth / np.sqrt(variance))
    fair, wide, narrow = widths
    np.testing.assert_allclose(narrow, norm.ppf(0.95), rtol=1e-3, err_msg="none is narrower than the Gaussian one")
    assert fair.mean() == pytest.approx(norm.ppf(0.95), rel=0.25)
    assert (wide > 1.8 * fair).all()
    assert "intervals calibrated: profile" in repr(delta)


def test_support_is_one_of_nothing_and_falls_with_distance(delta):
    place = np.zeros(4)
    assert delta.support(Action(), place) == 1
    seen = [delta.support(Action({"A": dose}), place) for dose in (10.0, 30.0, 100.0, 1000.0)]
    assert (np.diff(seen) < 0).all()
    away = [delta.support(Action({"B": 4.0}), place + far) for far in (0.0, 0.5, 1.0, 5.0)]
    assert (np.diff(away) < 0).all()
    assert away[0] > 0.9
    parts = [delta.support(Action({name: dose}), place) for name, dose in (("A", 10.0), ("B", 4.0))]
    assert delta.support(Action({"A": 10.0, "B": 4.0}), place) <= 0.8 * min(parts)
    assert replace(delta, anchors={}).support(Action({"A": 1.0}), place) == 0


def test_the_order_of_conditions_does_not_matter(delta):
    order = [2, 0, 3, 1]
    anchor = delta.anchors["profile"]
    shuffled = replace(anchor, conditions=anchor.conditions.take(order), y=anchor.y[order], noise=anchor.noise[order])
    other = replace(delta, anchors={"profile": shuffled})
    for action in (Action({"A": 3.0}), Action({"B": 4.0}), Action({"A": 1.0, "C": 1.0})):
        for one, two in zip(*(d.residual("profile", action, np.ones(4)) for d in (delta, other)), strict=True):
            np.testing.assert_allclose(two, one, rtol=1e-8, atol=1e-12)
        assert other.support(action, np.ones(4)) == pytest.approx(delta.support(action, np.ones(4)))

"""Whether the order of two actions matters, of states and flows for which it is known."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from scvcell import Action
from scvcell.perturb import AffineFlow
from scvcell.response import Bulk, Contrast
from scvcell.screen import _order
from scvcell.screen._order import (
    Arm,
    additive_null,
    against_action,
    both_orders,
    by_cells,
    joint_size,
    refit,
    resampled,
    singles,
)

A, B = Action("A"), Action("B")
AB = Action.schedule([("A", None, 0, 6), ("B", None, 6, 12)])
BA = Action.schedule([("B", None, 0, 6), ("A", None, 6, 12)])


def unit(action, context=0, cells=(0, 1), controls=(2, 3)):
    return Contrast(action, context, np.array(cells), np.array(controls))


def test_conditions_with_exchanged_periods_are_found_in_their_context():
    other = Action.schedule([("B", None, 0, 5), ("A", None, 5, 12)])
    units = [unit(AB), unit(BA), unit(AB, 1), unit(other, 1), unit(A), unit(Action("A+B"))]
    assert both_orders(units, "A", "B") == [(units[0], units[1])]
    assert both_orders(units, "B", "A") == [(units[1], units[0])]
    assert both_orders(units[2:], "A", "B") == []
    late = [unit(Action.schedule(list(a.pulses), time=24)) for a in (AB, BA)]
    assert both_orders([late[0], units[1]], "A", "B") == []
    assert both_orders(late, "A", "B") == [tuple(late)]


def test_singles_are_conditions_of_one_target_alone():
    units = [unit(A), unit(B, 1), unit(Action("A+B")), unit(AB), unit(Action("C")), unit(A, 1)]
    assert singles(units, ("A", "B")) == [units[0], units[1], units[5]]
    with pytest.raises(ValueError, match=r"have no 10 cells of one context that got 'B' alone.*aggregate.*measure"):
        singles([unit(A), unit(AB)], ("A", "B"))


def test_size_is_the_sum_of_what_both_targets_move():
    latent = torch.zeros(10, 2)
    latent[2:4] = torch.tensor([3.0, 4.0])
    latent[4:6] = torch.tensor([0.0, 2.0])
    latent[6:8] = torch.tensor([1.0, 0.0])
    latent += torch.tensor([7.0, -3.0])
    controls = (8, 9)
    alone = [
        unit(A, 0, (2, 3), controls),
        unit(B, 0, (4, 5), controls),
        unit(A, 1, (6, 7), controls),
    ]
    assert joint_size(alone, latent, {0}) == pytest.approx(5 + 2)
    assert joint_size(alone, latent, {0, 1}) == pytest.approx((5 + 1) / 2 + 2)
    assert joint_size(alone, latent, {1}) == pytest.approx((5 + 1) / 2 + 2), "context 1 has no B alone"


def test_kappa_of_cells_is_the_distance_of_means_and_its_null_holds_none():
    rng = np.random.default_rng(0)

    def side(n, step=0.0):
        return torch.from_numpy(rng.normal(size=(n, 3)) + step)

    sides = {"same": [(side(80), side(120))], "apart": [(side(80), side(60, 1.0)), (side(20), side(40, 0.5))]}
    size = {"same": 2.0, "apart": 4.0}
    found, null, again = by_cells(sides, size, 200, np.random.default_rng(1))
    apart = [float((a.mean(0) - b.mean(0)).norm()) for a, b in sides["apart"]]
    assert found[1] == pytest.approx((140 * apart[0] + 60 * apart[1]) / 200 / 4)
    assert null.shape == again.shape == (200, 2)
    assert 0.02 < (null[:, 0] >= found[0]).mean() < 0.98
    assert (null[:, 1] < found[1]).all()
    # A permuted difference of means has the pooled variance, over both numbers of cells.
    a, b = sides["same"][0]
    expected = torch.cat([a, b]).var(0).sum() * (1 / 80 + 1 / 120) / 2.0**2
    assert np.square(null[:, 0]).mean() == pytest.approx(float(expected), rel=0.15)
    assert np.median(again[:, 1]) == pytest.approx(found[1], rel=0.15)


def flow_of(linear=None):
    """A shifts the first axis; B stretches it about zero where `linear` says so, else it shifts the second."""
    flow = AffineFlow(2, ("A", "B"), rank=1)
    with torch.no_grad():
        flow.into.zero_()
        flow.offset[0, 0] = 1.0
        if linear is None:
            flow.offset[1, 1] = 2.0
        else:
            flow.out[1, 0, 0] = flow.into[1, 0, 0] = 1.0
            flow.out[1] *= linear
    return flow


def test_shifts_commute_and_a_stretch_does_not():
    z = torch.from_numpy(np.random.default_rng(2).normal(size=(30, 2)).astype(np.float32))
    start = SimpleNamespace(latent=z)
    cells = np.arange(3, 20)
    kappa = against_action(B, start, A, cells, 0)
    assert kappa(flow_of()) == pytest.approx(0, abs=1e-6)
    growth = np.exp(0.5)
    x = z[cells, 0].numpy()
    # First A then B: (x + 1) e^k; first B then A: x e^k + 1.
    expected = ((growth - 1) / (1 + np.abs(x * (growth - 1)))).mean()
    assert kappa(flow_of(0.5)) == pytest.approx(expected, rel=1e-4)
    assert against_action(A, start, B, cells, 0)(flow_of(0.5)) == pytest.approx(expected, rel=1e-4)


class Same(torch.nn.Module):
    """A decoder whose values are the state."""

    def forward(self, z, design):
        return z


@pytest.mark.parametrize("off_by", [0.0, 0.5])
def test_pooling_and_measuring_commute_as_far_as_states_are_read_as_they_are(readout, off_by):
    """Values are states, read with an error; three batches of unequal size."""
    rng = np.random.default_rng(5)
    values = rng.normal(size=(12, 2)).astype(np.float32)
    seen = readout("profile", values, n_latent=2)
    seen.operator.decoder = Same()
    seen.operator.centre.zero_()
    seen.operator.spread.fill_(1.0)
    batch, z = np.array([0, 0, 0, 0, 1, 1, 2, 2, 2, 0, 1, 2]), torch.from_numpy(values)
    start = SimpleNamespace(
        latent=z,
        index=np.arange(12),
        bulks={"profile": Bulk(seen)},
        encode=lambda cells, given, depth=None: off_by + torch.tensor(given["profile"]).float(),
        model=SimpleNamespace(schema=SimpleNamespace(context=lambda part: (None, batch[part]))),
        part=SimpleNamespace(subset=lambda cells: cells),
    )
    group, flow = np.arange(1, 11), flow_of(0.5)
    with torch.no_grad():
        before, after = z[group].numpy(), flow(z[group], B).numpy()
    size = np.linalg.norm(after - before, axis=1).mean()
    measured = off_by * np.sqrt(2) / size
    assert _order.OPERATORS["measure"](start, B, group, 0)(flow) == pytest.approx(measured, abs=1e-5)
    apart, weights = [], []
    for code in range(3):
        pool = np.flatnonzero(batch[group] == code)
        read = before[pool].mean(0) + np.float32(off_by)
        with torch.no_grad():
            moved = flow(torch.from_numpy(read[None]), B)[0].numpy()
        off = np.linalg.norm(before[pool] - read, axis=1).mean()
        apart.append(np.linalg.norm(after[pool].mean(0) + off_by - moved) / (size + off))
        weights.append(len(pool))
    pooled = _order.OPERATORS["aggregate"](start, B, group, 0)(flow)
    assert pooled == pytest.approx(np.average(apart, weights=weights), abs=1e-5)
    assert (pooled < 1e-5) == (off_by == 0)


def test_a_flow_is_learned_again_from_arms(monkeypatch):
    monkeypatch.setattr(_order, "REFIT_STEPS", 20)
    rng = np.random.default_rng(3)
    controls = torch.from_numpy(rng.normal(0, 0.1, (30, 2)).astype(np.float32))
    arms = [Arm(A, 0, controls + torch.tensor([1.0, 0.0]), controls), Arm(B, 1, controls - 1, controls)]
    flow = refit(arms, 0)
    with torch.no_grad():
        np.testing.assert_allclose((flow(controls, A) - controls).mean(0), [1, 0], atol=0.15)
        np.testing.assert_allclose((flow(controls, B) - controls).mean(0), [-1, -1], atol=0.15)
    again = resampled(arms[0], np.random.default_rng(0))
    rows = {tuple(row) for row in arms[0].treated.tolist()}
    assert {tuple(row) for row in again.treated.tolist()} < rows
    assert (len(again.treated), len(again.controls), again.action) == (30, 30, A)


def test_the_null_adds_the_measured_effect_to_controls(readout):
    """States are the values themselves, so that the mean of treated draws is that of controls and the effect."""
    rng = np.random.default_rng(4)
    values = rng.normal(size=(60, 8)).astype(np.float32)
    values[30:] += np.linspace(-2, 2, 8)
    bulk = Bulk(readout("profile", values, n_latent=8))
    start = SimpleNamespace(
        whole={"profile": bulk},
        encode=lambda cells, given, depth: torch.from_numpy(given["profile"]),
        model=SimpleNamespace(progress=False),
    )
    latent = torch.from_numpy(values)
    draws = additive_null(start, [unit(A, 0, range(30, 60), range(30))], latent, 40, rng)
    assert len(draws) == 40
    ((arm,), *_) = draws
    assert (arm.action, arm.context, arm.treated.shape, arm.controls.shape) == (A, 0, (30, 8), (30, 8))
    effect = values[30:].mean(0) - values[:30].mean(0)
    assert cdist(arm.treated.numpy(), values[:30] + effect).min(1).max() < 1e-4
    means = np.mean([arm.treated.numpy().mean(0) - arm.controls.numpy().mean(0) for (arm,) in draws], 0)
    np.testing.assert_allclose(means, effect, atol=0.2)

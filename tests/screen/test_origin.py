"""Where treated cells come from, on clouds whose shift and odds of treatment are known."""

import numpy as np
import pytest
import torch

from scvcell import Action
from scvcell.perturb import AffineFlow
from scvcell.response import Contrast
from scvcell.screen import Origin
from scvcell.screen._origin import _shifted, fit_origin

A = Action("A")


def moved(tilt=0.0, n=400, seed=0):
    """Two clouds of controls; treated cells are drawn by odds that grow along the first axis, and moved."""
    rng = np.random.default_rng(seed)
    kind = rng.choice([-1.5, 1.5], 2 * n)
    states = np.stack([kind, np.zeros(2 * n)], 1) + 0.3 * rng.normal(size=(2 * n, 2))
    odds = np.exp(tilt * states[:n, 0])
    treated = states[:n][rng.choice(n, n, p=odds / odds.sum())] + [0.0, 1.0]
    latent = torch.from_numpy(np.concatenate([states[n:], treated]).astype(np.float32))
    return [Contrast(A, 0, np.arange(n, 2 * n), np.arange(n))], latent


def test_weights_are_the_odds_of_treatment_and_before_undoes_after():
    torch.manual_seed(0)
    flow = AffineFlow(3, ("A",))
    with torch.no_grad():
        flow.offset.normal_()
        flow.out.normal_()
    z, tilt, center = torch.randn(20, 3), torch.tensor([1.0, -0.5, 0.0]), torch.tensor([2.0, 0.0, 1.0])
    origin = Origin(A, flow, center, tilt)
    odds = np.exp(z.numpy() @ tilt.numpy())
    np.testing.assert_allclose(origin.weight(z), odds / odds.sum(), rtol=1e-5)
    torch.testing.assert_close(origin.before(origin.after(z)), z, atol=1e-4, rtol=1e-4)
    assert (origin.after(z) - z).norm() > 1


def test_at_first_every_target_takes_its_part_in_the_difference_of_means():
    units, latent = moved()
    both = [Contrast(Action("A+B"), 0, units[0].treated, units[0].controls)]
    origin = _shifted(both, latent, 0)
    controls, treated = latent[units[0].controls], latent[units[0].treated]
    torch.testing.assert_close(origin.center, controls.mean(0))
    torch.testing.assert_close(origin.flow.offset.detach(), ((treated.mean(0) - controls.mean(0)) / 2).expand(2, 2))
    torch.testing.assert_close(origin.after(controls).mean(0), treated.mean(0))
    assert not origin.tilt.any()


@pytest.mark.parametrize("tilt", [0.0, 0.5])
def test_the_shift_is_told_from_who_was_treated(tilt):
    units, latent = moved(tilt)
    found = fit_origin(units, latent, 0, tilted=True)
    controls = latent[units[0].controls]
    step = (found.after(controls) - controls).mean(0)
    np.testing.assert_allclose(step, [0, 1], atol=0.15)
    plain = float((latent[units[0].treated].mean(0) - controls.mean(0))[0])
    if tilt:
        assert plain > 0.7, "the difference of means is mostly who was treated"
    assert float(found.tilt[0]) == pytest.approx(tilt, abs=0.2)


def test_what_is_left_is_less_where_odds_may_depend_on_the_state():
    units, latent = moved(0.7)
    free, stiff = (fit_origin(units, latent, 0, tilted=tilted, steps=60) for tilted in (True, False))
    assert not stiff.tilt.any()
    assert free.distance < stiff.distance
    again = fit_origin(units, latent, 0, tilted=True, steps=60)
    assert again.distance == free.distance
    torch.testing.assert_close(again.tilt, free.tilt)

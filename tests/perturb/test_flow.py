"""An affine flow: doses, times, paths and targets it never saw."""

import pytest
import torch

from scvcell import Action
from scvcell.perturb import AffineFlow


@pytest.fixture
def flow():
    torch.manual_seed(0)
    made = AffineFlow(4, ("A", "B"), largest={"A": 10.0})
    with torch.no_grad():
        made.offset.normal_()
        made.out.normal_(std=0.3)
    return made


def test_exposure_saturates_from_nothing_to_one(flow):
    share = torch.linspace(0, 1, 11)
    with torch.no_grad():
        strength = flow.exposure(0, share)
    assert strength[0] == 0
    assert strength[-1] == pytest.approx(1)
    assert (strength.diff() > 0).all()
    with torch.no_grad():
        assert flow.exposure(0, torch.tensor(100.0)) < 1 + flow.log_half[0].exp()


def test_additive_without_dependence_on_state(flow):
    torch.nn.init.zeros_(flow.out)
    z = torch.randn(5, 4)
    both = flow(z, Action("A+B")) - z
    alone = flow(z, Action("A")) - z + flow(z, Action("B")) - z
    torch.testing.assert_close(both, alone)


def test_backwards_in_time(flow):
    z, schedule = torch.randn(5, 4), Action.schedule([("A", 5.0, 0, 2), ("B", None, 1, 3)], time=4)
    for action in (Action({"A": 3.0}), schedule):
        there = flow(z, action)
        assert (there - z).abs().max() > 0.1
        torch.testing.assert_close(flow.inverse(there, action), z, atol=1e-4, rtol=1e-4)


def test_unseen_target_acts_like_its_relatives(flow):
    z = torch.randn(5, 4)
    with pytest.raises(KeyError):
        flow(z, Action("new"))
    flow.relate("new", [1.0, 0.0])
    torch.testing.assert_close(flow(z, Action("new")), flow(z, Action("A")))


def test_late_start_and_early_stop(flow):
    z = torch.randn(5, 4)
    part = Action.schedule([("A", 10.0, 2, 4)], time=8)
    pieces = flow.pieces(part)
    assert sum(piece.duration for piece in pieces) == pytest.approx(1)
    assert [bool(piece.doses) for piece in pieces] == [False, True, False]
    assert not torch.equal(flow(z, part), z)


def test_a_path_leads_from_the_state_to_the_state_after_the_action(flow):
    z = torch.randn(4)
    for action in (Action("A+B"), Action.schedule([("A", 10.0, 2, 4), ("B", 2.0, 3, 6)], time=8)):
        steps = flow.path(z, action, torch.tensor([0.0, 0.5, 1.0]))
        torch.testing.assert_close(steps[0], z)
        torch.testing.assert_close(steps[2], flow(z[None], action)[0])
    half = flow.path(z, Action("A"), torch.tensor([0.5]))[0]
    torch.testing.assert_close(flow.path(half, Action("A"), torch.tensor([0.5]))[0], flow(z[None], Action("A"))[0])

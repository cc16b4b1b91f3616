"""What every registered perturbation operator must do."""

import pytest
import torch

from scvcell import Action
from scvcell.perturb import PERTURBATIONS

TARGETS = ("A", "B", "C")


@pytest.fixture(params=list(PERTURBATIONS))
def operator(request):
    torch.manual_seed(0)
    made = PERTURBATIONS[request.param](6, TARGETS, largest={"A": 10.0, "B": 1.0}, span=24.0).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return made


@pytest.fixture
def z():
    return torch.randn(9, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    "action", [Action(), Action({"A": 0.0}), Action({"A": 0.0, "B": 0.0}, time=3), Action("A", time=0)]
)
def test_no_action_is_exactly_the_identity(operator, z, action):
    assert operator(z, action) is z or torch.equal(operator(z, action), z)


def test_an_action_moves_states(operator, z):
    assert not torch.allclose(operator(z, Action("A")), z)


def test_composition_over_time_is_exact(operator, z):
    for first, second in ((6.0, 18.0), (1.0, 2.0)):
        whole = operator(z, Action({"A": 3.0, "B": 0.5}, time=first + second))
        parts = operator(operator(z, Action({"A": 3.0, "B": 0.5}, first)), Action({"A": 3.0, "B": 0.5}, second))
        assert torch.allclose(whole, parts, atol=1e-8)


def test_a_schedule_is_one_action_after_the_other(operator, z):
    planned = operator(z, Action.schedule([("A", 3.0, 0, 6), ("B", 0.5, 6, 12)]))
    turned = operator(z, Action.schedule([("B", 0.5, 0, 6), ("A", 3.0, 6, 12)]))
    after = operator(operator(z, Action({"A": 3.0}, 6)), Action({"B": 0.5}, 6))
    assert torch.allclose(planned, after, atol=1e-8)
    assert not torch.allclose(planned, turned, atol=1e-3)


def test_states_do_not_depend_on_each_other(operator, z):
    action = Action({"A": 2.0, "C": None})
    assert torch.allclose(operator(z, action)[3:5], operator(z[3:5], action))


def test_gradients_reach_parameters(operator, z):
    operator(z, Action({"A": 2.0})).square().sum().backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in operator.parameters())


def test_state_dict_restores_it(operator, z):
    other = type(operator)(6, TARGETS, largest={"A": 10.0, "B": 1.0}, span=24.0).double()
    other.load_state_dict(operator.state_dict())
    assert torch.equal(other(z, Action("A+C")), operator(z, Action("A+C")))

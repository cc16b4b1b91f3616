"""What every perturbation operator has, and the registry of them."""

import pytest
import torch

from scvcell import Action
from scvcell.perturb import PERTURBATIONS, Perturbation


class Push(Perturbation):
    """Moves every state by one along the first axis, as often as there are targets."""

    def forward(self, z, action):
        return z + len(action.targets) * torch.eye(self.n_latent)[0]


def test_a_subclass_says_only_how_states_move():
    push = Push(3, ("A", "B"))
    assert (push.n_latent, push.targets, push.reference) == (3, ("A", "B"), "")
    z = torch.randn(4, 3)
    assert push(z, Action()).equal(z)
    torch.testing.assert_close(push(z, Action("A+B")), z + torch.tensor([2.0, 0, 0]))


def test_the_base_class_moves_nothing():
    with pytest.raises(TypeError, match="abstract"):
        Perturbation(3, ())


def test_registered_operators_are_perturbations_with_an_equation_and_a_source():
    assert list(PERTURBATIONS)
    for name in PERTURBATIONS:
        kind = PERTURBATIONS[name]
        assert issubclass(kind, Perturbation)
        assert kind.equation != Perturbation.equation
        assert kind.reference
    with pytest.raises(KeyError, match="No perturbation is called"):
        PERTURBATIONS["nothing"]

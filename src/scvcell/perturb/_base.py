"""Delta_a: how an action moves the state, behind one interface."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from torch import nn

from scvcell._registry import Registry

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from scvcell.perturb._action import Action


class Perturbation(nn.Module, ABC):
    r"""Delta_a: state to state under an action.

    .. math:: z \mapsto \Delta_a z, \qquad \Delta_{\varnothing} z = z

    A subclass says how an action moves states; that no action, and every dose of 0, is exactly the identity is tested
    for each registered class.

    Parameters
    ----------
    n_latent
        Dimension of z.
    targets
        Names of the targets it is to know.
    """

    equation: ClassVar[str] = "z -> Delta_a z"
    reference: ClassVar[str] = ""

    def __init__(self, n_latent: int, targets: tuple[str, ...]) -> None:
        super().__init__()
        self.n_latent = n_latent
        self.targets = targets

    @abstractmethod
    def forward(self, z: Float[Tensor, "cells latent"], action: Action) -> Float[Tensor, "cells latent"]:
        """States after `action`."""


PERTURBATIONS: Registry[type[Perturbation]] = Registry("perturbation", "scvcell.perturbations")
"""Every perturbation operator by name."""

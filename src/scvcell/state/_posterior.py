"""q(z | x_A): product of the experts of the observed modalities A, with the prior as one expert."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jaxtyping import Float
    from torch import Tensor


class Posterior(NamedTuple):
    """Diagonal Gaussian over the state.

    Attributes
    ----------
    mean, var
        Each of shape ``(cells, latent)``.
    """

    mean: Float[Tensor, "cells latent"]
    var: Float[Tensor, "cells latent"]

    def sample(self) -> Float[Tensor, "cells latent"]:
        """One reparametrised draw per cell."""
        return self.mean + self.var.sqrt() * torch.randn_like(self.mean)

    def kl(self) -> Float[Tensor, " cells"]:
        """KL divergence from the standard-normal prior, in nats per cell."""
        return 0.5 * (self.mean**2 + self.var - 1 - self.var.log()).sum(-1)

    def kl_to(self, other: Posterior) -> Float[Tensor, " cells"]:
        """KL( self || other ), in nats per cell."""
        return self.kl_by_dimension(other).sum(-1)

    def kl_by_dimension(self, other: Posterior) -> Float[Tensor, "cells latent"]:
        """KL( self || other ) of each dimension, in nats."""
        ratio = self.var / other.var
        return 0.5 * (ratio + (self.mean - other.mean) ** 2 / other.var - 1 - ratio.log())

    def with_prior(self) -> Posterior:
        """Posterior from this expert alone: its product with the standard-normal prior."""
        return Posterior(self.mean / (1 + self.var), self.var / (1 + self.var))

    def detach(self) -> Posterior:
        """The same, through which no gradient flows."""
        return Posterior(self.mean.detach(), self.var.detach())

    def at(self, rows: Tensor) -> Posterior:
        """Posterior of some of the cells."""
        return Posterior(self.mean[rows], self.var[rows])


def fuse(n_cells: int, experts: Iterable[tuple[Tensor, Posterior]], like: Tensor, n_latent: int) -> Posterior:
    r"""Product of Gaussian experts and the standard-normal prior.

    .. math:: \Lambda = I + \sum_{m \in A} \mathrm{diag}(1 / v_m), \qquad \mu = \Lambda^{-1} \sum_{m \in A} \mu_m / v_m

    Adding an expert never increases a variance.

    Parameters
    ----------
    n_cells
        Number of cells.
    experts
        Pairs of row positions (which cells have the modality) and their `Posterior`.
    like
        A tensor that gives device and dtype.
    n_latent
        Dimension of the state.

    References
    ----------
    Hinton, Training products of experts by minimizing contrastive divergence, Neural Comput 2002;
    Wu and Goodman, Multimodal generative models for scalable weakly-supervised learning, NeurIPS 2018.
    """
    precision = torch.ones(n_cells, n_latent, device=like.device, dtype=like.dtype)
    weighted = torch.zeros_like(precision)
    for rows, expert in experts:
        inverse = 1.0 / expert.var
        precision = precision.index_add(0, rows, inverse)
        weighted = weighted.index_add(0, rows, expert.mean * inverse)
    return Posterior(weighted / precision, 1.0 / precision)

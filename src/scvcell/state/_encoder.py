"""q_m(z | x_m): small networks on the scores of a front-end, with a linear skip to the mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from jaxtyping import Float

SHARE_ALONE = 0.5
"""Share of the cells that one of several networks encodes alone in training."""


class _Network(nn.Module):
    """Diagonal Gaussian: two hidden layers, and a linear skip to the mean."""

    def __init__(self, n_in: int, n_latent: int, n_hidden: int, dropout: float) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(n_in, n_hidden),
            nn.LayerNorm(n_hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(n_hidden, n_hidden),
            nn.LayerNorm(n_hidden),
            nn.GELU(),
        )
        self.head = nn.Linear(n_hidden, 2 * n_latent)
        self.skip = nn.Linear(n_in, n_latent, bias=False)
        with torch.no_grad():
            self.head.bias[n_latent:] = -1.0

    def forward(self, h: Tensor) -> Tensor:
        """Mean and log variance, stacked, shape ``(2, cells, latent)``."""
        mean, log_var = self.head(self.body(h)).chunk(2, -1)
        return torch.stack([mean + self.skip(h), log_var.clamp(-10.0, 4.0)])


class Encoder(nn.Module):
    """Diagonal Gaussian q_m(z | x_m): the mean of small networks, in mean and in log variance.

    Parameters
    ----------
    n_in, n_latent
        Widths.
    n_networks
        Number of networks. Several regularise where cells are few: in training, a share `SHARE_ALONE` of the cells is
        encoded by one of them alone.
    n_hidden
        Width of the hidden layers.
    dropout
        Dropout of inputs and hidden units.
    """

    def __init__(
        self, n_in: int, n_latent: int, n_networks: int = 1, n_hidden: int = 128, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.networks = nn.ModuleList(_Network(n_in, n_latent, n_hidden, dropout) for _ in range(n_networks))

    def forward(self, h: Float[Tensor, "cells width"]) -> tuple[Tensor, Tensor]:
        """Mean and variance, each of shape ``(cells, latent)``."""
        outputs = torch.stack([network(h) for network in self.networks])
        mean, log_var = self._pool(outputs) if self.training and len(self.networks) > 1 else outputs.mean(0)
        return mean, log_var.exp()

    @staticmethod
    def _pool(outputs: Float[Tensor, "networks two cells latent"]) -> Float[Tensor, "two cells latent"]:
        """Mean over networks; for a share `SHARE_ALONE` of the cells, the output of one of them at random."""
        n, _, cells, _ = outputs.shape
        chosen = torch.randint(n, (cells,), device=outputs.device)
        one = (chosen[:, None] == torch.arange(n, device=outputs.device)).to(outputs.dtype)
        alone = torch.rand(cells, 1, device=outputs.device) < SHARE_ALONE
        return torch.einsum("ntcl,cn->tcl", outputs, torch.where(alone, one, 1 / n))

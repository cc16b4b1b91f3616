"""From state and context to one value per feature."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from scvcell.measure._widen import grow

if TYPE_CHECKING:
    from jaxtyping import Float

    from scvcell.measure._widen import Columns, Grown


class Decoder(nn.Module):
    """One hidden layer from state and context to one value per feature, with a bias per context and feature.

    Parameters
    ----------
    n_latent, n_context, n_out
        Widths of the state, the context design, and the output.
    n_hidden
        Width of the hidden layer.
    """

    def __init__(self, n_latent: int, n_context: int, n_out: int, n_hidden: int = 128) -> None:
        super().__init__()
        self.hidden = nn.Linear(n_latent + n_context, n_hidden)
        self.act = nn.GELU()
        self.out = nn.Linear(n_hidden, n_out)
        self.context_bias = nn.Parameter(torch.zeros(n_context, n_out))

    def forward(self, z: Float[Tensor, "cells latent"], design: Float[Tensor, "cells context"]) -> Tensor:
        """Value per feature, shape ``(cells, n_out)``."""
        hidden = self.act(self.hidden(torch.cat([z, design], 1)))
        return torch.addmm(self.out(hidden), design, self.context_bias)

    def widen(self, old: Decoder, columns: Columns, prefix: str = "") -> Grown:
        """Take the weights of a decoder for fewer batches, see `scvcell.measure.widen`."""
        latent = old.hidden.in_features - len(old.context_bias)
        kept = [*range(latent), *(latent + column for column in columns.kept)]
        weight, before = self.hidden.weight, old.hidden.weight
        with torch.no_grad():
            grew = grow(weight, before.to(weight.device), 1, kept, latent, columns, f"{prefix}hidden.weight")
            self.hidden.bias.copy_(old.hidden.bias)
            grew |= _widen_bias(self.context_bias, old.context_bias, columns, prefix)
        self.out.load_state_dict(old.out.state_dict())
        return grew

    def factors(self, z: Tensor, design: Tensor) -> tuple[Tensor, Tensor]:
        """The same value as a product ``h @ v.T``: ``(cells, rank)`` and ``(n_out, rank)``."""
        hidden = self.act(self.hidden(torch.cat([z, design], 1)))
        h = torch.cat([hidden, design, hidden.new_ones(len(z), 1)], 1)
        return h, torch.cat([self.out.weight, self.context_bias.T, self.out.bias[:, None]], 1)


class LinkedDecoder(nn.Module):
    r"""Linear from the state to one value per feature, through vectors that a prior provides.

    .. math:: a_i \langle z, v_i \rangle + b_i + \langle c, b_{c,i} \rangle

    Parameters
    ----------
    decoder
        Decoder that this one replaces; its biases are kept.

    Attributes
    ----------
    vectors
        Vector of each feature, shape ``(n_out, latent)``; set anew by the model whenever they change.
    """

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.bias = nn.Parameter(decoder.out.bias.detach().clone())
        self.context_bias = nn.Parameter(decoder.context_bias.detach().clone())
        self.scale = nn.Parameter(torch.zeros(len(self.bias)))
        self.vectors: Tensor | None = None

    def widen(self, old: LinkedDecoder, columns: Columns, prefix: str = "") -> Grown:
        """As `Decoder.widen`."""
        with torch.no_grad():
            self.bias.copy_(old.bias)
            self.scale.copy_(old.scale)
            return _widen_bias(self.context_bias, old.context_bias, columns, prefix)

    def factors(self, z: Tensor, design: Tensor) -> tuple[Tensor, Tensor]:
        """As `Decoder.factors`."""
        if self.vectors is None:
            raise RuntimeError("This decoder has no feature vectors yet.")
        weight = nn.functional.softplus(self.scale)[:, None] * self.vectors
        h = torch.cat([z, design, z.new_ones(len(z), 1)], 1)
        return h, torch.cat([weight, self.context_bias.T, self.bias[:, None]], 1)

    def forward(self, z: Float[Tensor, "cells latent"], design: Float[Tensor, "cells context"]) -> Tensor:
        """Value per feature, shape ``(cells, n_out)``."""
        h, v = self.factors(z, design)
        return h @ v.T


def _widen_bias(bias: Tensor, before: Tensor, columns: Columns, prefix: str) -> Grown:
    """Biases per context, ``(context, features)``."""
    return grow(bias, before.to(bias.device), 0, columns.kept, 0, columns, f"{prefix}context_bias")

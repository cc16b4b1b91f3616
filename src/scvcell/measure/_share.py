"""Counts that are shares of a depth, and their softmax over many features: by blocks, or from a sample of them."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from scvcell.measure._base import Measurement, expected_part

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jaxtyping import Float, Int
    from numpy.typing import NDArray
    from torch.distributions import Distribution

    from scvcell._types import Mask
    from scvcell.measure._context import Context, Summary
    from scvcell.measure._decoder import Decoder

ENTRIES_PER_BLOCK = 1 << 22
"""Entries of a block of logits."""
OFF_PANEL = -1e4
"""Logit of a feature that was not measured: its share is 0, and so is what it adds to likelihood and gradient."""


class Shares(Measurement):
    """Counts of a depth that says nothing of the state: expected are the depth times shares that sum to 1.

    Where the depth is given, the rest of the counts, of features that are not among these, has a share as well.
    """

    decoder: Decoder
    linkable = True
    responds = True

    def __init__(self, n_latent: int, summary: Summary) -> None:
        super().__init__(n_latent, summary)
        self.rest: Decoder | None = None

    @classmethod
    def encoder_part(cls, x: Any, mean: NDArray[np.float32], observed: Mask, every: Mask) -> Any:
        """As `Measurement.encoder_part`: square roots of shares of a depth of which the features expect a part."""
        return cls.encoder_input(x, mean) * np.float32(np.sqrt(expected_part(mean, observed, every)))

    @classmethod
    def encoder_sized(cls, x: Any, mean: NDArray[np.float32], depth: NDArray[np.float32]) -> Any:
        """As `encoder_input`, of shares of a given depth, shape ``(cells,)``."""
        total = np.maximum(np.asarray(x.sum(1), dtype=np.float32).ravel(), 1.0)
        part, value = np.sqrt(total / np.maximum(depth, total))[:, None], cls.encoder_input(x, mean)
        return sp.csr_matrix(value.multiply(part)) if sp.issparse(value) else value * part

    @abstractmethod
    def counted(self, mean: Float[Tensor, "cells features"]) -> Distribution:
        """Distribution of what is counted where `mean` is expected."""

    def frequency(
        self, z: Float[Tensor, "cells latent"], ctx: Context, observed: Tensor | None = None
    ) -> Float[Tensor, "cells features"]:
        """Share of each feature in the counts; the `observed` ones (default: on the panel) and the rest sum to 1."""
        observed = self.on_panel(ctx) if observed is None else observed
        logits = self.decoder(z, ctx.design)
        return shares(logits, observed) if self.rest is None else shares(*self.beside(logits, z, ctx, observed))[:, :-1]

    def beside(
        self, logits: Tensor, z: Float[Tensor, "cells latent"], ctx: Context, observed: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Logits and mask of the features with the rest beside them, ``(cells, features + 1)`` each."""
        if self.rest is None:
            raise RuntimeError("The depth is that of the features.")
        if observed is not None:
            observed = torch.cat([observed, observed.new_ones(len(observed), 1)], 1)
        return torch.cat([logits, self.rest(z, ctx.design)], 1), observed

    def forward(self, z: Float[Tensor, "cells latent"], ctx: Context, observed: Tensor | None = None) -> Distribution:
        """Distribution of counts at the cell's depth, which is that of the `observed` features."""
        return self.counted(self.depth(ctx, z)[:, None] * self.frequency(z, ctx, observed) + 1e-8)

    def shifted(self, z: Float[Tensor, "cells latent"], ctx: Context, shift: Tensor) -> Distribution:
        """As `Measurement.shifted`; shares are normalised again, with the rest."""
        share, other = self.frequency(z, ctx), 0.0
        if self.rest is not None:
            panel = self.on_panel(ctx)
            other = (1 - (share if panel is None else share * panel).sum(1, keepdim=True)).clamp(min=0)
        share = share * shift.exp()
        return self.counted(self.depth(ctx, z)[:, None] * share / (share.sum(1, keepdim=True) + other) + 1e-8)


def shares(logits: Float[Tensor, "cells features"], observed: Tensor | None) -> Float[Tensor, "cells features"]:
    """Softmax over the `observed` features, which sum to 1; all of them where None."""
    if observed is None:
        return torch.softmax(logits, -1)
    return (logits - torch.logsumexp(logits.masked_fill(~observed, OFF_PANEL), -1, keepdim=True)).exp()


def only(x: Tensor, observed: Float[Tensor, "cells features"]) -> Tensor:
    """Counts, dense or sparse (COO, coalesced), with 0 where they were not observed.

    Entries stay, as 0: a device would have to be waited for to say how many are left.
    """
    if not x.is_sparse:
        return x.masked_fill(~observed, 0)
    at = x.indices()
    return torch.sparse_coo_tensor(at, x.values() * observed[at[0], at[1]], x.shape, is_coalesced=True)


class LogTotal(torch.autograd.Function):
    r"""``logsumexp(h v^T)`` of each cell over the observed features, in blocks of cells.

    With :math:`\rho = \mathrm{softmax}(h v^\top)` and an upstream gradient :math:`g` per cell, the gradient of the
    logits is :math:`g \rho`; it is formed block by block, as the logits are. What is kept for it is one number per
    cell.
    """

    @staticmethod
    def forward(
        ctx: Any,
        h: Float[Tensor, "cells rank"],
        v: Float[Tensor, "features rank"],
        observed: Tensor | None = None,
    ) -> Float[Tensor, " cells"]:
        """Log of the sum of each cell."""
        total = h.new_empty(len(h))
        for rows in _blocks(len(h), len(v)):
            logits = _logits(h, v, rows, observed)
            largest = logits.amax(1, keepdim=True)
            total[rows] = logits.sub_(largest).exp_().sum(1).log_().add_(largest[:, 0])
        ctx.save_for_backward(h, v, total, observed)
        return total

    @staticmethod
    def backward(ctx: Any, upstream: Float[Tensor, " cells"]) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        """Gradients with respect to `h` and `v`."""
        h, v, total, observed = ctx.saved_tensors
        grad_h, grad_v = torch.empty_like(h), torch.zeros_like(v)
        for rows in _blocks(len(h), len(v)):
            grad = _logits(h, v, rows, observed).sub_(total[rows, None]).exp_().mul_(upstream[rows, None])
            grad_h[rows] = grad @ v
            grad_v.addmm_(grad.T, h[rows])
        return grad_h, grad_v, None


def sampled_total(
    h: Float[Tensor, "cells rank"],
    v: Float[Tensor, "features rank"],
    frequency: Float[Tensor, " features"],
    n: int,
    observed: Tensor | None = None,
) -> Float[Tensor, " cells"]:
    r"""`LogTotal` from `n` features, drawn systematically with probability :math:`q` proportional to `frequency`.

    .. math:: \log \frac{1}{n} \sum_{s=1}^n \frac{e^{h v_{j_s}^\top}}{q_{j_s}}, \qquad j_s \sim q

    The sum is unbiased, its log too low by half of its relative variance, which is small where `frequency` is about
    what the cells have.

    `frequency` is kept on the host, which draws: sums over so many features need double precision, which not every
    device has.
    """
    q = frequency.double() / frequency.double().sum()
    at = (torch.arange(n) + torch.rand((), dtype=q.dtype)) / n
    drawn: Int[Tensor, " sample"] = torch.searchsorted(q.cumsum(0), at).clamp_max(len(v) - 1)
    weight = -(n * q[drawn]).log()
    drawn, weight = drawn.to(h.device, non_blocking=True), weight.to(h.dtype).to(h.device, non_blocking=True)
    return LogTotal.apply(
        torch.cat([h, h.new_ones(len(h), 1)], 1),
        torch.cat([v[drawn], weight[:, None]], 1),
        None if observed is None else observed[:, drawn],
    )


def _blocks(n_cells: int, n_features: int) -> Iterator[slice]:
    """Blocks of cells."""
    size = max(ENTRIES_PER_BLOCK // n_features, 1)
    for start in range(0, n_cells, size):
        yield slice(start, min(start + size, n_cells))


def _logits(h: Tensor, v: Tensor, rows: slice, observed: Tensor | None) -> Tensor:
    logits = h[rows] @ v.T
    return logits if observed is None else logits.masked_fill_(~observed[rows], OFF_PANEL)

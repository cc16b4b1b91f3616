"""Log shares of a low-rank softmax at chosen entries: exact, in blocks of cells, no cells x features matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jaxtyping import Float, Int

BLOCK = 1 << 22
"""Entries of a block of logits."""
OFF_PANEL = -1e4
"""Logit of a feature that was not measured: its share is 0, and so is what it adds to likelihood and gradient."""


def shares(logits: Float[Tensor, "cells features"], observed: Tensor | None) -> Float[Tensor, "cells features"]:
    """Softmax over the `observed` features, which sum to 1; all of them where None."""
    if observed is None:
        return torch.softmax(logits, -1)
    return (logits - torch.logsumexp(logits.masked_fill(~observed, OFF_PANEL), -1, keepdim=True)).exp()


class LogShare(torch.autograd.Function):
    r"""``log softmax(h v^T)`` at the entries ``(cell, feature)``, which are sorted by cell.

    With :math:`\rho = \mathrm{softmax}(h v^\top)` and upstream gradients :math:`g` at the entries, the gradient of the
    logits is :math:`g - \rho \sum_{features} g`; it is formed block by block, as the logits are. What is kept for it is
    one number per cell.
    """

    @staticmethod
    def forward(
        ctx: Any,
        h: Float[Tensor, "cells rank"],
        v: Float[Tensor, "features rank"],
        cell: Int[Tensor, " entries"],
        feature: Int[Tensor, " entries"],
        observed: Tensor | None = None,
    ) -> Float[Tensor, " entries"]:
        """Log share of each entry."""
        total = h.new_empty(len(h))
        value = h.new_empty(len(cell))
        for rows, at in _blocks(cell, len(h), len(v)):
            logits = _logits(h, v, rows, observed)
            total[rows] = torch.logsumexp(logits, 1)
            value[at] = logits[cell[at] - rows.start, feature[at]]
        ctx.save_for_backward(h, v, cell, feature, total, observed)
        return value - total[cell]

    @staticmethod
    def backward(ctx: Any, upstream: Float[Tensor, " entries"]) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        """Gradients with respect to `h` and `v`."""
        h, v, cell, feature, total, observed = ctx.saved_tensors
        whole = h.new_zeros(len(h)).index_add_(0, cell, upstream)
        grad_h, grad_v = torch.empty_like(h), torch.zeros_like(v)
        for rows, at in _blocks(cell, len(h), len(v)):
            grad = _logits(h, v, rows, observed).sub_(total[rows, None]).exp_().mul_(-whole[rows, None])
            grad.index_put_((cell[at] - rows.start, feature[at]), upstream[at], accumulate=True)
            grad_h[rows] = grad @ v
            grad_v.addmm_(grad.T, h[rows])
        return grad_h, grad_v, None, None, None


def _blocks(cell: Tensor, n_cells: int, n_features: int) -> Iterator[tuple[slice, slice]]:
    """Blocks of cells, and where their entries are."""
    size = max(BLOCK // n_features, 1)
    starts = torch.arange(0, n_cells + size, size, device=cell.device)
    bounds = torch.searchsorted(cell.contiguous(), starts).tolist()
    for i, start in enumerate(range(0, n_cells, size)):
        yield slice(start, min(start + size, n_cells)), slice(bounds[i], bounds[i + 1])


def _logits(h: Tensor, v: Tensor, rows: slice, observed: Tensor | None) -> Tensor:
    logits = h[rows] @ v.T
    return logits if observed is None else logits.masked_fill_(~observed[rows], OFF_PANEL)

"""What terms that compare cells need of a mini-batch that several processes share: the posteriors of all of its cells.

Which cells these are each process knows, as their order is a function of the seed; only means travel.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np
import torch

from scvcell.state._layout import layout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jaxtyping import Float
    from torch import Tensor
    from torch.autograd.function import FunctionCtx

    from scvcell.state._batch import Batch
    from scvcell.state._layout import Layout
    from scvcell.state._posterior import Posterior


@dataclass(frozen=True)
class Everywhere:
    """Posterior means of all cells of a mini-batch, on all ranks.

    Attributes
    ----------
    means
        Per assay, ``(some, latent)``.
    batch
        Batch code of every cell, ``(cells,)``.
    confidence
        As of a mini-batch, ``(cells,)``.
    layout
        Which cells have which assays.
    """

    means: dict[str, Tensor]
    batch: Tensor
    confidence: Tensor | None
    layout: Layout

    def pairs(self) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor | None]]:
        """Of every two assays that share cells: both means, batch and confidence of these cells."""
        for a, b, in_a, in_b, both in self.layout.pairs:
            weight = None if self.confidence is None else self.confidence[both]
            yield self.means[a][in_a], self.means[b][in_b], self.batch[both], weight


def gather(batch: Batch, experts: dict[str, tuple[Tensor, Posterior]], n_latent: int) -> Everywhere:
    """Posterior means of all ranks' cells, with gradients to those of this one; every rank must call it.

    Parameters
    ----------
    batch
        This rank's share of a mini-batch.
    experts
        Posteriors of its assays.
    n_latent
        Dimension of the state.
    """
    device, names = batch.index.device, batch.ranks[0].assays
    # a rank without any assay takes part, too, also in the backward pass
    mine = torch.zeros(0, n_latent, device=device, requires_grad=torch.is_grad_enabled())
    mine = torch.cat([mine, *(experts[name][1].mean for name in names if name in experts)])
    sizes = [[len(share.rows[name]) for name in names] for share in batch.ranks]
    longest = max(map(sum, sizes))
    every = _Gather.apply(torch.cat([mine, mine.new_zeros(longest - len(mine), n_latent)]), len(sizes))
    parts = [part[: sum(size)].split(size) for part, size in zip(every, sizes, strict=True)]
    means = {name: torch.cat([part[i] for part in parts]) for i, name in enumerate(names)}
    cells = [len(share.batch) for share in batch.ranks]
    first = [0, *accumulate(cells)][:-1]
    rows = {
        name: np.concatenate([share.rows[name] + at for share, at in zip(batch.ranks, first, strict=True)])
        for name in names
    }
    codes = np.concatenate([share.batch for share in batch.ranks])
    found = None
    if batch.confidence is not None:
        found = torch.from_numpy(np.concatenate([share.confidence for share in batch.ranks])).to(device)
    here = [name for name in names if len(rows[name])]
    whole = layout(sum(cells), rows, here, codes, device)
    return Everywhere(means, torch.from_numpy(codes).to(device), found, whole)


class _Gather(torch.autograd.Function):
    """Tensors of one shape of all ranks, stacked; gradients are summed over ranks."""

    @staticmethod
    def forward(ctx: FunctionCtx, mine: Float[Tensor, "rows latent"], world: int) -> Float[Tensor, "ranks rows latent"]:
        parts = [torch.empty_like(mine) for _ in range(world)]
        torch.distributed.all_gather(parts, mine.contiguous())
        return torch.stack(parts)

    @staticmethod
    def backward(ctx: FunctionCtx, *grads: Tensor) -> tuple[Tensor, None]:
        total = grads[0].contiguous()
        torch.distributed.all_reduce(total)
        return total[torch.distributed.get_rank()], None

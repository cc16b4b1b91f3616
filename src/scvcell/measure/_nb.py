"""Exact negative-binomial log-likelihood of softmax rates: analytic gradient, Gamma functions at non-zeros only."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float, Int

TABLED = 8
"""Counts up to which Gamma functions are read from a table of each feature."""


class NBSoftmax(torch.autograd.Function):
    r"""``log p(x)`` per state for ``x ~ NB(l softmax(eta), exp(log_theta))``.

    With :math:`\mu = \ell\,\mathrm{softmax}(\eta)` and :math:`t = \theta\,(x - \mu) / (\theta + \mu)`,

    .. math::
        \log p = \sum_g x \log\tfrac{\mu}{\theta} - (x + \theta) \log\big(1 + \tfrac{\mu}{\theta}\big)
                 + \log\Gamma(x+\theta) - \log\Gamma(\theta) - \log\Gamma(x+1), \qquad
        \partial_\eta = t - \rho \sum_g t

    Everything that involves Gamma functions vanishes where x = 0, which is most of a single-cell matrix. For small
    counts it is a sum of few terms, :math:`\log\Gamma(x+\theta) - \log\Gamma(\theta) = \sum_{k<x} \log(\theta + k)`,
    which a table holds for every feature.
    """

    @staticmethod
    def forward(
        ctx: Any,
        eta: Float[Tensor, "states features"],
        log_theta: Float[Tensor, " features"],
        x: Float[Tensor, "cells features"],
        depth: Float[Tensor, " states"],
        rows: Int[Tensor, " states"] | None = None,
    ) -> Float[Tensor, " states"]:
        """Log-likelihood of each state, shape ``(states,)``.

        Parameters
        ----------
        ctx
            What is kept for the gradient.
        eta, log_theta
            Logits of the shares, and log inverse dispersions.
        x
            Counts, dense or sparse (COO, coalesced).
        depth
            Depth of the cell of each state.
        rows
            Which row of `x` is the cell of each state; one to one where None.
        """
        entries, n_cells = _entries(x), len(x)
        theta, scale = log_theta.exp(), depth.clamp_min(1e-8)
        fixed = _rising(entries, theta, torch.log, torch.lgamma) - _rising(
            entries, theta.new_ones(1), torch.log, torch.lgamma
        )
        constant = fixed.new_zeros(n_cells).scatter_add(0, entries.cell, fixed)
        x = dense(x).to(eta.dtype)
        if rows is not None:
            x, constant = x.index_select(0, rows), constant.index_select(0, rows)
        share = torch.softmax(eta, -1)
        log_scale = scale.log() - eta.amax(1) + share.amax(1).log()
        mu = share.mul_(scale[:, None])
        excess = (mu / theta).log1p_()
        part = (eta + log_scale[:, None]).sub_(log_theta).mul_(x)
        value = part.sum(1)
        value = constant + value - torch.add(x, theta, out=part).mul_(excess).sum(1)
        ctx.n_cells = n_cells
        ctx.save_for_backward(mu, theta, excess, x, scale, rows, *entries)
        return value

    @staticmethod
    def backward(ctx: Any, upstream: Float[Tensor, " states"]) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        """Gradients with respect to `eta` and `log_theta`."""
        mu, theta, excess, x, scale, rows, *kept = ctx.saved_tensors
        entries = Entries(*kept)
        miss = (x - mu).div_(mu + theta).mul_(upstream[:, None])
        grad_theta = -(miss.sum(0) + upstream @ excess)
        grad_eta = miss.mul_(theta)
        grad_eta.addcmul_(mu, (grad_eta.sum(-1) / scale)[:, None], value=-1)
        per_cell = upstream if rows is None else upstream.new_zeros(ctx.n_cells).index_add(0, rows, upstream)
        rising = _rising(entries, theta, torch.reciprocal, torch.digamma) * per_cell.index_select(0, entries.cell)
        wide = rising.dtype if entries.row is None else torch.float64
        at_counts = theta.new_zeros(len(theta), dtype=wide).scatter_add(0, entries.gene, rising.to(wide))
        return grad_eta, (grad_theta + at_counts.to(theta.dtype)) * theta, None, None, None


def csr(starts: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    """Rows as a sparse (csr) tensor; it is not checked, and torch does not say that such tensors are new."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*Sparse CSR tensor support.*")
        return torch.sparse_csr_tensor(starts, columns, values, shape, check_invariants=False)


def dense(x: Tensor) -> Float[Tensor, "cells features"]:
    """Dense or sparse (COO, coalesced) values as dense ones; by a copy that every device can do."""
    if not x.is_sparse:
        return x
    cell, gene = x.indices()
    flat = torch.zeros(x.shape, dtype=x.dtype, device=x.device).view(-1)
    return flat.index_copy_(0, cell * x.shape[1] + gene, x.values()).view(x.shape)


class Entries(NamedTuple):
    """Non-zeros of a matrix of counts.

    Attributes
    ----------
    cell, gene, count
        Where they are, and what they hold, each ``(entries,)``.
    row
        Row of the table that holds each, up to `TABLED`.
    rest
        Positions of those that the table does not hold; None where no table is used.
    """

    cell: Tensor
    gene: Tensor
    count: Tensor
    row: Tensor | None = None
    rest: Tensor | None = None


def _entries(x: Tensor) -> Entries:
    """Non-zeros of dense or sparse counts.

    Which they are, and which of them are small, is only asked of the host: other devices would have to be waited for,
    and take all alike.
    """
    on_host = x.device.type == "cpu"
    if x.is_sparse:
        (cell, gene), count = x.indices(), x.values()
    elif on_host:
        cell, gene = x.nonzero(as_tuple=True)
        count = x[cell, gene]
    else:
        at = torch.arange(x.numel(), device=x.device)
        cell, gene, count = at // x.shape[1], at % x.shape[1], x.reshape(-1)
    if not on_host:
        return Entries(cell, gene, count)
    row = count.clamp(0, TABLED).trunc_()
    return Entries(cell, gene, count, row.long(), (row != count).nonzero()[:, 0])


def _rising(
    entries: Entries,
    theta: Float[Tensor, " features"],
    step: Callable[[Tensor], Tensor],
    exact: Callable[[Tensor], Tensor],
) -> Float[Tensor, " entries"]:
    r"""``F(x + theta) - F(theta)`` of each entry, where F is `exact` and ``F(t + 1) - F(t)`` is `step`.

    `theta` has one value per feature, or one for all.
    """
    gene, n = entries.gene, len(theta)
    if entries.row is None or entries.rest is None:
        own = theta.index_select(0, gene) if n > 1 else theta
        return exact(entries.count + own) - exact(own)
    steps = torch.arange(TABLED, dtype=theta.dtype, device=theta.device)[:, None] + theta
    table = torch.cat([theta.new_zeros(1, n), step(steps).cumsum(0)])
    found = table.view(-1).index_select(0, entries.row * n + gene if n > 1 else entries.row)
    if len(entries.rest):
        own = theta.index_select(0, gene.index_select(0, entries.rest)) if n > 1 else theta
        large = entries.count.index_select(0, entries.rest).to(theta.dtype)
        found.index_copy_(0, entries.rest, exact(large + own) - exact(own))
    return found

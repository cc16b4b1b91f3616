"""Exact negative-binomial log-likelihood of softmax rates: analytic gradient, lgamma and digamma at non-zeros only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float


class NBSoftmax(torch.autograd.Function):
    r"""``log p(x)`` per cell for ``x ~ NB(l softmax(eta), exp(log_theta))``.

    With :math:`\mu = \ell\,\mathrm{softmax}(\eta)` and :math:`t = x - (x + \theta)\,\mu / (\theta + \mu)`,

    .. math::
        \log p = \sum_g \theta \log\tfrac{\theta}{\theta+\mu} + x \log\tfrac{\mu}{\theta+\mu}
                 + \log\Gamma(x+\theta) - \log\Gamma(\theta) - \log\Gamma(x+1), \qquad
        \partial_\eta = t - \rho \sum_g t

    Everything that involves Gamma functions vanishes where x = 0, which is most of a single-cell matrix.
    """

    @staticmethod
    def forward(
        ctx: Any,
        eta: Float[Tensor, "cells features"],
        log_theta: Float[Tensor, " features"],
        x: Float[Tensor, "cells features"],
        depth: Float[Tensor, " cells"],
    ) -> Float[Tensor, " cells"]:
        """Log-likelihood of each cell, shape ``(cells,)``."""
        log_mu = torch.log_softmax(eta, -1).add_(depth.clamp_min(1e-8).log()[:, None])
        mu = log_mu.exp()
        theta = log_theta.exp()
        total = mu + theta
        log_zero = log_theta - total.log()
        cell, gene = x.nonzero(as_tuple=True)
        count = x[cell, gene]
        at_counts = (
            count * (log_mu[cell, gene] + (log_zero[cell, gene] - log_theta[gene]))
            + torch.lgamma(count + theta[gene])
            - torch.lgamma(theta)[gene]
            - torch.lgamma(count + 1)
        )
        value = (log_zero @ theta).index_add(0, cell, at_counts)
        ctx.save_for_backward(mu, theta, total, log_zero, cell, gene, count, depth)
        return value

    @staticmethod
    def backward(ctx: Any, upstream: Float[Tensor, " cells"]) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        """Gradients with respect to `eta` and `log_theta`."""
        mu, theta, total, log_zero, cell, gene, count, depth = ctx.saved_tensors
        share = mu / total
        grad_eta = share * (-theta)
        grad_eta[cell, gene] += count * (1 - share[cell, gene])
        grad_eta.sub_(mu * (grad_eta.sum(-1) / depth.clamp_min(1e-8))[:, None]).mul_(upstream[:, None])
        grad_theta = upstream @ (log_zero + share)
        at_counts = torch.digamma(count + theta[gene]) - torch.digamma(theta)[gene] - count / total[cell, gene]
        grad_theta = grad_theta.index_add(0, gene, at_counts * upstream[cell]) * theta
        return grad_eta, grad_theta, None, None

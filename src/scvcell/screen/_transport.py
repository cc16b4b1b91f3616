"""Entropic optimal transport between sets of cells, in the log domain."""

from __future__ import annotations

import math

import torch

N_ITERATIONS = 200


def potential(cost: torch.Tensor, weight: torch.Tensor, epsilon: float, relax: float) -> torch.Tensor:
    r"""Log of what each column of a transport plan is worth to every row.

    .. math::
        \min_{P 1 = 1/n} \langle P, C \rangle + \epsilon\, \mathrm{KL}(P \,\|\, \tfrac{1}{n} \otimes w) +
        \rho\, \mathrm{KL}(P^\top 1 \,\|\, w)
        \qquad \Rightarrow \qquad P_{i \cdot} = \tfrac{1}{n}\, \mathrm{softmax}(g - C_{i \cdot} / \epsilon)

    Rows are all matched, columns as far as they are needed: relax large is balanced transport, relax 0 a kernel around
    each row.

    Parameters
    ----------
    cost
        ``(rows, columns)``.
    weight
        Weight of every column, summing to one.
    epsilon
        Entropy.
    relax
        Cost of straying from `weight`.

    Returns
    -------
    g, ``(columns,)``; rows that had no part in it are matched by the same softmax.

    References
    ----------
    Chizat et al., Scaling algorithms for unbalanced optimal transport problems, Math Comput 2018.
    """
    scaled, log_weight = -cost / epsilon, weight.clamp_min(1e-12).log()
    pull = relax / (relax + epsilon)
    g = log_weight
    for _ in range(N_ITERATIONS):
        log_mass = torch.logsumexp(torch.log_softmax(scaled + g, 1), 0) - math.log(len(cost)) - g
        g = log_weight - pull * log_mass
    return g

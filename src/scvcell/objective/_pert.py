"""Eq. 4: L_pert, distance between what an action is predicted to do to a set of cells and what it did."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor


def energy_distance(
    x: Float[Tensor, "*sets n latent"],
    y: Float[Tensor, "*sets m latent"],
    weight: Float[Tensor, "*sets n"] | None = None,
) -> Float[Tensor, "*sets"]:
    r"""Euclidean energy distance between sets of cells, unbiased.

    .. math:: D(X, Y) = 2 E\|x - y\| - E\|x - x'\| - E\|y - y'\|

    Zero only if both sets come from one distribution, unlike its squared-Euclidean namesake, which sees means only.

    Parameters
    ----------
    x, y
        Sets of at least two cells.
    weight
        Weight of each cell of `x`, summing to one; all alike by default.

    References
    ----------
    Székely and Rizzo, Energy statistics: a class of statistics based on distances, J Stat Plan Inference 2013.
    """

    def within(a: Tensor) -> Tensor:
        n = a.shape[-2]
        return torch.cdist(a, a).sum((-1, -2)) / (n * (n - 1))

    if weight is None:
        return 2 * torch.cdist(x, y).mean((-1, -2)) - within(x) - within(y)
    between = (weight * torch.cdist(x, y).mean(-1)).sum(-1)
    weighted = torch.einsum("...i,...ij,...j", weight, torch.cdist(x, x), weight) / (1 - weight.square().sum(-1))
    return 2 * between - weighted - within(y)

r"""How strongly each treated cell responded: the posterior of s in z = Phi_s(z_control), along the fitted flow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.special import softmax
from scipy.stats import norm
from sklearn.covariance import LedoitWolf

if TYPE_CHECKING:
    from scvcell._types import Array
    from scvcell.perturb import Action, AffineFlow


GRID = np.linspace(0, 5, 51)
"""Responders of a cell; 0 has not responded, 1 is the action as the flow has learned it, over all treated cells."""
SIZES = np.linspace(0.5, 4, 29)
SPREADS = np.linspace(0.1, 1, 10)
"""Responders of responders before truncation at 0: mean, and standard deviation over the mean."""
SHARES = np.linspace(0, 1, 41)
"""Shares of cells that responded."""


@dataclass(frozen=True)
class Responders:
    """Posterior of the strengths of some treated cells, and of their distribution.

    Attributes
    ----------
    mean, sd
        Of the strength of each cell, ``(cells,)``.
    responded
        Probability that the strength of each cell is not 0, ``(cells,)``.
    weight
        Probability of every share of responders and distribution of their strengths, ``(shares, distributions)``.
    size, dispersion
        Mean of each of these distributions, and its standard deviation over the mean, ``(distributions,)``.
    """

    mean: Array
    sd: Array
    responded: Array
    weight: Array
    size: Array
    dispersion: Array

    def summary(self, level: float) -> dict[str, float]:
        """Share, size, dispersion and mean response (share times size), each with its interval."""
        quantities = {
            "response": SHARES[:, None] * self.size,
            "share": SHARES[:, None] + 0 * self.size,
            "size": 0 * SHARES[:, None] + self.size,
            "dispersion": 0 * SHARES[:, None] + self.dispersion,
        }
        out: dict[str, float] = {}
        for name, value in quantities.items():
            order = np.argsort(value, axis=None)
            below = np.cumsum(self.weight.ravel()[order])
            ends = np.searchsorted(below, [0.5 - level / 2, 0.5 + level / 2])
            lower, upper = value.ravel()[order][np.minimum(ends, value.size - 1)]
            out |= {name: float((self.weight * value).sum()), f"{name}_lower": lower, f"{name}_upper": upper}
        return out


def strengths(flow: AffineFlow, action: Action, controls: Array, treated: Array) -> Responders:
    r"""Responders of treated cells, with a uniform prior on the share of responders and on how strong they are.

    .. math::
        p(z \mid s) = \mathcal N(z - (\Phi_s(m) - m);\ m, S), \qquad
        s \sim (1 - w)\,\delta_0 + w\,\mathcal N_{> 0}(\mu, (\kappa \mu)^2)

    with mean m and covariance S of the controls; exact sums over a grid of s, w, :math:`\mu` and :math:`\kappa`.

    Parameters
    ----------
    flow, action
        Operator and what was done.
    controls, treated
        States of the cells of one context, ``(cells, latent)``.

    References
    ----------
    Ledoit and Wolf, A well-conditioned estimator for large-dimensional covariance matrices, J Multivar Anal 2004;
    Papalexi et al., Characterizing the molecular regulation of inhibitory immune checkpoints with multimodal
    single-cell screens, Nat Genet 2021 (a mixture with the controls).
    """
    shape = LedoitWolf().fit(controls)
    with torch.no_grad():
        start = torch.as_tensor(shape.location_, dtype=torch.float32)
        moved = (flow.path(start, action, torch.as_tensor(GRID, dtype=torch.float32)) - start).numpy()
    fit = np.stack([-0.5 * shape.mahalanobis(treated - step) for step in moved], 1)
    fit = np.exp(fit - fit.max(1, keepdims=True))
    mean, spread = (x.ravel() for x in np.meshgrid(SIZES, SPREADS, indexing="ij"))
    slab = norm.pdf(GRID[1:], mean[:, None], (mean * spread)[:, None])
    slab /= slab.sum(1, keepdims=True)
    size = slab @ GRID[1:]
    dispersion = np.sqrt(np.maximum(slab @ GRID[1:] ** 2 - size**2, 0)) / size
    none, some = fit[:, :1], np.maximum(fit[:, 1:] @ slab.T, np.finfo(float).tiny)
    with np.errstate(divide="ignore"):
        weight = softmax([np.log(w * some + (1 - w) * none).sum(0) for w in SHARES])
    # Expectations per cell, summed over what its population may be.
    moments = [some, *((fit[:, 1:] * GRID[1:] ** k) @ slab.T for k in (1, 2))]
    responded, first, second = np.zeros((3, len(treated)))
    for w, row in zip(SHARES, weight, strict=True):
        share = row * w / np.maximum(w * some + (1 - w) * none, np.finfo(float).tiny)
        responded += (share * moments[0]).sum(1)
        first += (share * moments[1]).sum(1)
        second += (share * moments[2]).sum(1)
    return Responders(first, np.sqrt(np.maximum(second - first**2, 0)), responded, weight, size, dispersion)

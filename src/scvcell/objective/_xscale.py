"""Eq. 3: L_xscale, whether lifting to cells and projecting back returns what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor


def nb_deviance(
    x: Float[Tensor, "units features"], mu: Float[Tensor, "units features"], theta: Float[Tensor, " features"]
) -> Float[Tensor, "units features"]:
    r"""Deviance of the negative binomial, twice the log-likelihood that is lost against a perfect mean; at least 0.

    .. math:: D = 2 \Big( x \log \frac{x}{\mu} - (x + \theta) \log \frac{x + \theta}{\mu + \theta} \Big)

    Parameters
    ----------
    x, mu
        Counts and what was expected of them.
    theta
        Inverse dispersion.

    References
    ----------
    McCullagh and Nelder, Generalized Linear Models, 1989.
    """
    mu = mu.clamp_min(1e-9)
    ratio = x.clamp_min(1e-9) / mu  # the slope of xlogy is no number where both are 0
    return 2 * (torch.xlogy(x, ratio) - (x + theta) * ((x + theta) / (mu + theta)).log()).clamp_min(0)


def cycle(
    x: Float[Tensor, "units features"],
    weights: Float[Tensor, "units kinds"],
    rates: Float[Tensor, "kinds features"],
    theta: Float[Tensor, " features"],
) -> Float[Tensor, "units features"]:
    r"""Deviance of units from the projection of what they were lifted to.

    .. math:: L_{xscale} = E_{r,g}\; D_{NB}\big(x_{rg},\ l_r\, m_g\, (W \rho)_{rg}\big)

    over units r and features g that the lift has not seen; `weights` hold :math:`l_r`, `rates` hold :math:`m_g`.

    Parameters
    ----------
    x
        Counts of the features.
    weights
        Number of cells of each kind, found from other features.
    rates
        Mean counts of a cell of each kind.
    theta
        Inverse dispersion.

    References
    ----------
    Hu and Chen, Insights into Artificial Intelligence Virtual Cells, eq. 3.
    """
    return nb_deviance(x, weights @ rates, theta)


def response_agreement(
    predicted: Float[Tensor, "units features"],
    observed: Float[Tensor, "units features"],
    noise: Float[Tensor, "units features"],
) -> Float[Tensor, "units features"]:
    r"""Error of predicted responses of coarse units, in variances of what was observed.

    .. math:: L_{rg} = \frac{\big(M_c(P \Delta z)_{rg} - y_{rg}\big)^2}{\sigma^2_{rg}}

    Its mean is 1 where predictions miss by as much as noise does, so that nothing can be better known than that.

    Parameters
    ----------
    predicted
        Responses of units r after projection, on the effect scale of `scvcell.response.Bulk`.
    observed
        Measured responses, of the same units on the same scale.
    noise
        Variance of the measured responses, above 0.

    References
    ----------
    Hu and Chen, Insights into Artificial Intelligence Virtual Cells, eq. 3 (agreement of responses).
    """
    return (predicted - observed).square() / noise.clamp_min(torch.finfo(noise.dtype).tiny)

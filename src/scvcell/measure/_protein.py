"""M for proteins: log-normal state and translation, with totalVI's foreground/background count mixture beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from scvi.distributions import NegativeBinomialMixture
from torch import Tensor, nn
from torch.distributions import Normal

from scvcell.measure._base import MEASUREMENTS, Measurement, log1p
from scvcell.measure._decoder import Decoder

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy.typing import NDArray
    from torch.distributions import Distribution

    from scvcell._types import Mask
    from scvcell.measure._context import Context, Summary

CLR_FEATURES = 50
"""Panels above this size are encoded by centred log-ratios, smaller ones by log1p."""


@MEASUREMENTS.register(
    "protein",
    aliases=("adt", "prot", "proteins", "protein_expression", "cite", "cite_seq", "antibody", "antibody_capture", "ab"),
)
class Protein(Measurement):
    r"""Antibody-derived tags: a state-dependent log-normal, and a background mixture for raw counts.

    Two heads on one state. The first shapes z and translates:

    .. math:: \log(1 + y_t) \sim \mathcal N(f_t(z, c) + o, \sigma_t^2)

    where o is the cell's log geometric mean relative to its batch for panels above `CLR_FEATURES` proteins (the
    likelihood then is one of centred log-ratios, and antibody depth is no part of the state), and 0 for smaller ones.
    Where proteins were not measured, o is its expectation given z, from a small head on a stop-gradient of z.

    The second, on a stop-gradient of z, is totalVI's mixture of background and foreground,

    .. math::
        y_t \sim \pi_t \mathrm{NB}(\beta_t, \phi_t) + (1 - \pi_t) \mathrm{NB}(\alpha_t \beta_t, \phi_t), \quad
        \alpha_t = 1 + \mathrm{softplus}(\cdot) > 1, \quad \log\beta_t \sim \mathcal N(c_t, d_t^2)

    and answers what is background: `foreground_probability`, `denoised`, and predictive counts.

    Parameters
    ----------
    n_latent, summary
        See `Measurement`.
    background
        Prior location of log background counts per protein, from empty droplets or isotype controls
        (`scvcell.pp.background_prior`); None learns it from the lower mode of the cells themselves.
    background_sd
        Prior standard deviation ``d`` of log background, same length; only read with `background`.

    References
    ----------
    Gayoso et al., Joint probabilistic modeling of single-cell multi-omic data with totalVI, Nat Methods 2021.
    Stoeckius et al., CITE-seq, Nat Methods 2017 (centred log-ratio).
    """

    equation = "log1p(y) ~ N(f(z, c), sigma); y ~ pi NB(beta, phi) + (1 - pi) NB(alpha beta, phi)"
    reference = "Gayoso et al., Nat Methods 2021"
    linkable = True
    responds = True
    per_batch = (*Measurement.per_batch, "prior_location", "log_background")

    def __init__(
        self,
        n_latent: int,
        summary: Summary,
        background: list[float] | None = None,
        background_sd: list[float] | None = None,
    ) -> None:
        super().__init__(n_latent, summary)
        n, c = summary.n_features, summary.n_context
        self.decoder = Decoder(n_latent, c, n)
        self.register_buffer("centre", torch.as_tensor(summary.mean_log.mean(0), dtype=torch.float32))
        self.log_sd = nn.Parameter(torch.full((n,), -0.5))
        self.mixture = Decoder(n_latent, c, 2 * n)
        if n > CLR_FEATURES:
            self.size_head = Decoder(n_latent, c, 1, n_hidden=32)
        location = summary.mean_log - 0.5 * summary.sd_log if background is None else np.asarray([background])
        if location.shape[1] != n:
            raise ValueError(f"background has {location.shape[1]} values; the panel has {n} proteins.")
        spread = 0.7 if background_sd is None else np.asarray(background_sd)
        rows = np.broadcast_to(location, (summary.n_batches, n)).copy()
        self.register_buffer("prior_location", torch.as_tensor(rows, dtype=torch.float32))
        self.register_buffer("prior_sd", torch.as_tensor(np.broadcast_to(spread, n).copy(), dtype=torch.float32))
        self.log_background = nn.Parameter(self.prior_location.clone())
        self.log_phi = nn.Parameter(torch.full((n,), 1.0))

    @classmethod
    def encoder_input(cls, x: Any, mean: NDArray[np.float32]) -> Any:
        """log1p counts; centred within the cell for panels of more than `CLR_FEATURES` proteins."""
        dense = log1p(x.toarray() if sp.issparse(x) else x)
        return dense - dense.mean(1, keepdims=True) if dense.shape[1] > CLR_FEATURES else dense

    @classmethod
    def encoder_part(cls, x: Any, mean: NDArray[np.float32], observed: Mask, every: Mask) -> Any:
        """As `Measurement.encoder_part`; the centre of a cell is that of its panel, moved by as much as the means'."""
        dense = log1p(x.toarray() if sp.issparse(x) else x)
        if dense.shape[1] <= CLR_FEATURES or not observed.any():
            return dense
        typical = np.log1p(mean) * every
        return dense - dense[:, observed].mean(1, keepdims=True) - (typical.mean() - typical[observed].mean())

    @classmethod
    def size(cls, x: Any) -> Any:
        """Geometric mean of the counts for panels above `CLR_FEATURES` (the denominator of CLR), else the total."""
        if x.shape[1] <= CLR_FEATURES:
            return x.sum(1)
        if isinstance(x, Tensor):
            return torch.expm1(torch.log1p(x).mean(1))
        return np.expm1(np.asarray(log1p(x).mean(1)).ravel())

    def forward(self, z: Float[Tensor, "cells latent"], ctx: Context) -> Distribution:
        """Distribution of ``log1p`` of the counts (the scale of state and translation)."""
        location = self.centre + self.decoder(z, ctx.design) + self.offset(z, ctx)[:, None]
        return Normal(location, F.softplus(self.log_sd) + 1e-2, validate_args=False)

    def predictive(self, z: Float[Tensor, "cells latent"], ctx: Context) -> NegativeBinomialMixture:
        """Mixture of background and foreground counts."""
        return self.shifted(z, ctx, z.new_zeros(1))

    def shifted(self, z: Float[Tensor, "cells latent"], ctx: Context, shift: Tensor) -> NegativeBinomialMixture:
        """As `Measurement.shifted`, background and foreground alike."""
        fold, logit = self.mixture(z.detach(), ctx.design).chunk(2, -1)
        background = self.background(ctx) * (self.offset(z, ctx)[:, None] + shift).exp()
        return NegativeBinomialMixture(
            mu1=background,
            mu2=background * (1 + F.softplus(fold)),
            theta1=self.log_phi.exp(),
            mixture_logits=logit,
            validate_args=False,
        )

    def background(self, ctx: Context) -> Float[Tensor, "cells features"]:
        """Expected background counts beta of the batch, at its typical depth."""
        return self.log_background[ctx.batch].exp()

    def log_prob(
        self,
        x: Float[Tensor, "cells features"],
        z: Float[Tensor, "cells latent"],
        ctx: Context,
        observed: Tensor | None = None,
    ) -> Float[Tensor, " cells"]:
        """Log-likelihood of both heads; only the log-normal's gradient reaches z."""
        value = self(z, ctx).log_prob(torch.log1p(x)) + _of_mixture(x, self.predictive(z, ctx))
        if observed is not None:
            value = torch.where(observed, value, torch.zeros_like(value))
        return value.sum(-1)

    def predict(self, z: Float[Tensor, "cells latent"], ctx: Context) -> Float[Tensor, "cells features"]:
        """Back-transformed mean of the log scale: log1p of it is the best log-scale prediction."""
        return torch.expm1(self(z, ctx).mean).clamp_min(0)

    def foreground_probability(
        self, z: Float[Tensor, "cells latent"], ctx: Context, x: Float[Tensor, "cells features"] | None = None
    ) -> Float[Tensor, "cells features"]:
        """Probability that a protein is truly on the cell: prior given z, or posterior where counts `x` are given."""
        mixture = self.predictive(z, ctx)
        logit = -mixture.mixture_logits
        if x is not None:
            low, high = mixture.mu1, mixture.mu2
            theta = mixture.theta1
            logit = logit + x * (high.log() - low.log()) - (x + theta) * ((high + theta).log() - (low + theta).log())
        return torch.sigmoid(logit)

    def denoised(
        self, z: Float[Tensor, "cells latent"], ctx: Context, x: Float[Tensor, "cells features"] | None = None
    ) -> Float[Tensor, "cells features"]:
        """Expected foreground counts, ``P(foreground) alpha beta``: background removed."""
        return self.foreground_probability(z, ctx, x) * self.predictive(z, ctx).mu2

    def regulariser(self) -> Float[Tensor, ""]:
        """Negative log prior of the background, ``log beta ~ N(c, d^2)``."""
        return 0.5 * (((self.log_background - self.prior_location) / self.prior_sd) ** 2).sum()


def _of_mixture(x: Float[Tensor, "cells features"], found: NegativeBinomialMixture) -> Tensor:
    """Log-probability of each count. The distribution's own one waits for the device to say whether counts are valid.

    Both parts have one dispersion, so that the Gamma functions are outside of the mixture.
    """
    theta, logit = found.theta1, found.mixture_logits

    def part(mu: Tensor) -> Tensor:
        return x * mu.log() - (x + theta) * (mu + theta).log()

    mixed = torch.logaddexp(F.logsigmoid(logit) + part(found.mu1), F.logsigmoid(-logit) + part(found.mu2))
    return mixed + theta * theta.log() + torch.lgamma(x + theta) - torch.lgamma(theta) - torch.lgamma(x + 1)

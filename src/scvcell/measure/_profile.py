"""M for continuous profiles: images, morphology, arrays, bulk, embeddings of other models; Gaussian or Student-t."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Normal, StudentT

from scvcell.measure._base import MEASUREMENTS, Measurement
from scvcell.measure._decoder import Decoder

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor
    from torch.distributions import Distribution

    from scvcell.measure._context import Context, Summary

    Likelihood = Literal["gaussian", "student"]

STUDENT_DEGREES = 4.0
"""Degrees of freedom of the Student-t likelihood."""


@MEASUREMENTS.register(
    "profile",
    aliases=(
        "image",
        "morphology",
        "l1000",
        "cell_painting",
        "rppa",
        "microarray",
        "bulk",
        "embedding",
        "features",
        "he",
        "h&e",
    ),
)
class Profile(Measurement):
    r"""Continuous measurements of any sign, each feature with its own scale.

    .. math:: x_j \sim \mathcal N(\bar x_j + s_j f_j(z, c),\ (s_j \sigma_j)^2)

    with mean and standard deviation :math:`\bar x, s` of the training cells; or Student's t with 4 degrees of freedom,
    which outlying features (debris in an image) do not pull. For image features, morphology, protein arrays,
    microarrays, bulk profiles, and for embeddings of foundation models (:func:`scvcell.pp.modality_from_obsm`).

    Parameters
    ----------
    n_latent, summary
        See `Measurement`.
    likelihood
        ``"gaussian"`` (default) or ``"student"``.

    References
    ----------
    Argelaguet et al., MOFA+, Genome Biol 2020 (Gaussian); Lange, Little and Taylor, Robust statistical modeling using
    the t distribution, JASA 1989.
    """

    equation = "x ~ N(mean + sd f(z, c), (sd sigma)^2)"
    reference = "Argelaguet et al., Genome Biol 2020"
    count_data = False
    linkable = True
    responds = True

    def __init__(self, n_latent: int, summary: Summary, likelihood: Likelihood = "gaussian") -> None:
        super().__init__(n_latent, summary)
        if likelihood not in ("gaussian", "student"):
            raise ValueError(f"likelihood must be 'gaussian' or 'student', not {likelihood!r}.")
        self.likelihood = likelihood
        self.decoder = Decoder(n_latent, summary.n_context, summary.n_features)
        spread = np.sqrt((summary.sd_log**2).mean(0) + summary.mean_log.var(0))
        self.register_buffer("centre", torch.as_tensor(summary.mean_log.mean(0), dtype=torch.float32))
        self.register_buffer("spread", torch.as_tensor(np.where(spread > 0, spread, 1.0), dtype=torch.float32))
        self.log_sd = nn.Parameter(torch.full((summary.n_features,), 0.0))

    def forward(self, z: Float[Tensor, "cells latent"], ctx: Context) -> Distribution:
        """Distribution of the values."""
        return self.shifted(z, ctx, z.new_zeros(1))

    def shifted(self, z: Float[Tensor, "cells latent"], ctx: Context, shift: Tensor) -> Distribution:
        """As `Measurement.shifted`."""
        location, scale = self._around(z, ctx, shift)
        if self.likelihood == "student":
            return StudentT(STUDENT_DEGREES, location, scale, validate_args=False)
        return Normal(location, scale, validate_args=False)

    def _around(self, z: Tensor, ctx: Context, shift: Tensor) -> tuple[Tensor, Tensor]:
        """Location of the values, and their scale."""
        location = self.centre + self.spread * self.decoder(z, ctx.design) + shift
        return location, self.spread * (F.softplus(self.log_sd) + 1e-2)

    def log_prob(
        self,
        x: Float[Tensor, "cells features"],
        z: Float[Tensor, "cells latent"],
        ctx: Context,
        observed: Tensor | None = None,
    ) -> Float[Tensor, " cells"]:
        """As `Measurement.log_prob`; torch's Student-t waits for the device when it is made."""
        if self.likelihood != "student":
            return super().log_prob(x, z, ctx, observed)
        location, scale = self._around(z, ctx, z.new_zeros(1))
        half = (STUDENT_DEGREES + 1) / 2
        constant = math.lgamma(half) - math.lgamma(STUDENT_DEGREES / 2) - 0.5 * math.log(STUDENT_DEGREES * math.pi)
        value = constant - scale.log() - half * torch.log1p(((x - location) / scale).square() / STUDENT_DEGREES)
        return (value if observed is None else value.masked_fill(~observed, 0)).sum(-1)

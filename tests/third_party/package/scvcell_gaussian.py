"""A measurement operator of a third party: any real values, Gaussian with one standard deviation per feature."""

import torch
from torch import nn
from torch.distributions import Normal

from scvcell.measure import Decoder, Measurement


class Gaussian(Measurement):
    """Continuous profiles, x ~ N(f(z, c), sigma)."""

    equation = "x ~ N(f(z, c), sigma)"
    reference = "A. Third and B. Party, 2026"
    aliases = ("texture", "image_texture")
    count_data = False

    def __init__(self, n_latent, summary):
        super().__init__(n_latent, summary)
        self.decoder = Decoder(n_latent, summary.n_context, summary.n_features)
        self.log_sd = nn.Parameter(torch.zeros(summary.n_features))

    def forward(self, z, ctx):
        return Normal(self.decoder(z, ctx.design), self.log_sd.exp(), validate_args=False)

"""M for counts (RNA): x ~ NB(l rho, theta), rho = softmax(f(z, c)); ZINB and Poisson by option."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from scvi.distributions import NegativeBinomial, Poisson, ZeroInflatedNegativeBinomial
from torch import Tensor, nn

from scvcell.measure._base import MEASUREMENTS
from scvcell.measure._decoder import Decoder
from scvcell.measure._expected import expected_log1p
from scvcell.measure._nb import NBSoftmax, dense
from scvcell.measure._share import OFF_PANEL, Shares, only

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy.typing import NDArray
    from torch.distributions import Distribution

    from scvcell.measure._context import Context, Summary

    Likelihood = Literal["nb", "zinb", "poisson"]


@MEASUREMENTS.register(
    "counts", aliases=("rna", "gex", "gene_expression", "genes", "mrna", "scrna", "snrna", "expression")
)
class Counts(Shares):
    r"""Sequencing counts whose depth says nothing of the state.

    .. math:: \rho = \mathrm{softmax}(f(z, c)), \qquad x_g \sim \mathrm{NB}(\ell \rho_g, \theta_g)

    with observed depth :math:`\ell` and one inverse dispersion per gene. Where a batch measured only some of the genes,
    the softmax is normalised over these, since the depth is theirs. Where a depth is given that holds more than these
    genes (``size_factor`` of the fit), the rest is counted beside them as one more gene would be.

    Parameters
    ----------
    n_latent, summary
        See `Measurement`.
    likelihood
        ``"nb"`` (default), ``"zinb"`` (a drop-out logit per gene) or ``"poisson"``.

    References
    ----------
    Lopez et al., Deep generative modeling for single-cell transcriptomics, Nat Methods 2018.
    """

    equation = "x ~ NB(l softmax(f(z, c)), theta)"
    reference = "Lopez et al., Nat Methods 2018"
    sized = True
    sparse = True

    def __init__(self, n_latent: int, summary: Summary, likelihood: Likelihood = "nb") -> None:
        super().__init__(n_latent, summary)
        if likelihood not in ("nb", "zinb", "poisson"):
            raise ValueError(f"likelihood must be 'nb', 'zinb' or 'poisson', not {likelihood!r}.")
        self.likelihood = likelihood
        self.decoder = Decoder(n_latent, summary.n_context, summary.n_features)
        self.size_head = Decoder(n_latent, summary.n_context, 1, n_hidden=32)
        total = max(float(summary.mean.sum()) + (summary.rest or 0.0), 1e-8)
        share = summary.mean / total
        with torch.no_grad():
            self.decoder.out.bias.copy_(torch.log(torch.as_tensor(share, dtype=torch.float32) + 1e-7))
        if summary.rest is not None:
            self.rest = Decoder(n_latent, summary.n_context, 1, n_hidden=32)
            self.log_theta_rest = nn.Parameter(torch.full((1,), 1.0))
            with torch.no_grad():
                self.rest.out.bias.fill_(math.log(summary.rest / total + 1e-7))
        self.log_theta = nn.Parameter(torch.full((summary.n_features,), 1.0))
        self.dropout_logit = nn.Parameter(torch.full((summary.n_features,), -3.0)) if likelihood == "zinb" else None

    @classmethod
    def encoder_input(cls, x: Any, mean: NDArray[np.float32]) -> Any:
        """Square root of the share of each gene over the eighth root of its mean share.

        It lies between the Hellinger transform, which abundant genes rule, and Poisson residuals, which rare ones do.
        """
        total = np.maximum(np.asarray(x.sum(1), dtype=np.float32).ravel(), 1.0)
        typical = np.maximum(mean / max(float(mean.sum()), 1e-8), 1e-8)
        scale = (typical**-0.125).astype(np.float32)
        if sp.issparse(x):
            scaled = x.tocsr(copy=True)
            share = scaled.data.astype(np.float32, copy=False) / np.repeat(total, np.diff(scaled.indptr))
            scaled.data = np.sqrt(share) * scale[scaled.indices]
            return scaled
        return np.sqrt(x / total[:, None]) * scale

    def counted(self, mean: Float[Tensor, "cells features"]) -> Distribution:
        """As `Shares.counted`."""
        if self.likelihood == "poisson":
            return Poisson(rate=mean, validate_args=False)
        theta = self.log_theta.exp()
        if self.dropout_logit is not None:
            return ZeroInflatedNegativeBinomial(
                mu=mean, theta=theta, zi_logits=self.dropout_logit.expand_as(mean), validate_args=False
            )
        return NegativeBinomial(mu=mean, theta=theta, validate_args=False)

    def predict(self, z: Float[Tensor, "cells latent"], ctx: Context) -> Float[Tensor, "cells features"]:
        """Counts whose log1p is that expected of the cell."""
        mean = self.depth(ctx, z)[:, None] * self.frequency(z, ctx)
        if self.likelihood == "poisson":
            return torch.expm1(expected_log1p(mean))
        value = expected_log1p(mean, self.log_theta.exp())
        return torch.expm1(value if self.dropout_logit is None else value * torch.sigmoid(-self.dropout_logit))

    def log_prob(
        self,
        x: Float[Tensor, "cells features"],
        z: Float[Tensor, "states latent"],
        ctx: Context,
        observed: Tensor | None = None,
        rows: Tensor | None = None,
    ) -> Float[Tensor, " states"]:
        """As `Measurement.log_prob`; the negative binomial goes through the exact-gradient kernel.

        Parameters
        ----------
        x, observed
            Counts, dense or sparse (COO), and mask of the cells.
        z, ctx
            States and their context.
        rows
            Cell that each state belongs to; one to one where None.
        """
        if observed is not None:
            observed = observed.expand(x.shape)
            x = only(x, observed)
            observed = observed if rows is None else observed[rows]
        depth = self.depth(ctx)
        if self.likelihood != "nb" or self.rest is not None:
            x, rows = (dense(x) if rows is None else dense(x).index_select(0, rows)), None
        if self.likelihood != "nb":
            return self._by_distribution(x, z, ctx, observed, depth)
        eta, theta = self.decoder(z, ctx.design), self.log_theta
        if self.rest is not None:
            eta, observed = self.beside(eta, z, ctx, observed)
            x = torch.cat([x, (depth - x.sum(1)).clamp(min=0)[:, None]], 1)
            theta = torch.cat([theta, self.log_theta_rest])
        if observed is not None:
            eta = eta.masked_fill(~observed, OFF_PANEL)
        return NBSoftmax.apply(eta, theta, x, depth, rows)

    def _by_distribution(
        self, x: Tensor, z: Tensor, ctx: Context, observed: Tensor | None, depth: Tensor
    ) -> Float[Tensor, " states"]:
        """Log-likelihood of dense counts, one row per state."""
        found = self(z, ctx, observed)
        value = self._zero_inflated(x, found) if self.likelihood == "zinb" else found.log_prob(x)
        value = (value if observed is None else value.masked_fill(~observed, 0)).sum(-1)
        if self.rest is None:
            return value
        mean = found.mean if observed is None else found.mean.masked_fill(~observed, 0)
        other = NegativeBinomial((depth - mean.sum(1)).clamp(min=1e-8), self.log_theta_rest.exp())
        return value + other.log_prob((depth - x.sum(1)).clamp(min=0))

    def _zero_inflated(self, x: Tensor, found: Distribution) -> Float[Tensor, "cells features"]:
        """Log-probability of each count. The distribution's own one waits for the device to say if counts are valid."""
        logit = found.zi_logits
        value = NegativeBinomial(mu=found.mu, theta=found.theta, validate_args=False).log_prob(x)
        value = F.logsigmoid(-logit) + value
        return torch.where(x == 0, torch.logaddexp(F.logsigmoid(logit), value), value)

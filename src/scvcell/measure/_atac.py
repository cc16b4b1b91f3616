"""M for open chromatin (ATAC): x ~ Poisson(l rho), rho = softmax over peaks; costs by non-zeros and a low rank."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Bernoulli, Poisson

from scvcell.measure._base import MEASUREMENTS
from scvcell.measure._decoder import Decoder
from scvcell.measure._expected import expected_log1p
from scvcell.measure._nb import csr, dense
from scvcell.measure._share import LogTotal, Shares, only, sampled_total

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy.typing import NDArray
    from torch.distributions import Distribution

    from scvcell.measure._context import Context, Summary

    Likelihood = Literal["poisson", "bernoulli"]

FACTOR_RANK = 32
"""Rank of the log accessibilities; a graph prior replaces it by the dimension of the state."""
MAX_EXACT_PEAKS = 40_000
"""Peaks up to which training normalises over all of them."""
VECTOR_SD, BIAS_SD = 0.1, 0.1
"""Standard deviations of the priors of a peak's vector and of its bias in a context: a peak of few fragments keeps to
its share of all cells."""
DRAWN_PEAKS = 8_192
"""Peaks from which a training step normalises where there are more."""


@MEASUREMENTS.register(
    "atac",
    aliases=("peaks", "chromatin", "accessibility", "atac_seq", "scatac", "scatac_seq", "chromatin_accessibility"),
)
class Atac(Shares):
    r"""Fragments or insertions in peaks.

    .. math:: \rho = \mathrm{softmax}(f(z, c) V^\top + b), \qquad x_p \sim \mathrm{Poisson}(\ell \rho_p)

    with observed depth :math:`\ell`, one region factor :math:`b_p` and a vector :math:`V_p` per peak. As the shares sum
    to 1, the likelihood needs the non-zeros alone; normalising costs peaks x rank per cell, in blocks. Of more than
    40,000 peaks, each training step normalises over 8,192 drawn by their mean accessibility (prediction over all).
    Binary data take the same rates, :math:`P(x_p = 1) = 1 - e^{-\ell \rho_p}`.

    Parameters
    ----------
    n_latent, summary
        See `Measurement`.
    likelihood
        ``"poisson"`` (default) for fragment counts, ``"bernoulli"`` for whether a peak is open at all.

    References
    ----------
    Martens et al., Modeling fragment counts improves single-cell ATAC-seq analysis, Nat Methods 2024;
    Ashuach et al., MultiVI, Nat Methods 2023.
    """

    equation = "x ~ Poisson(l softmax(f(z, c) V' + b))"
    reference = "Martens et al., Nat Methods 2024"
    sparse = True

    def __init__(self, n_latent: int, summary: Summary, likelihood: Likelihood = "poisson") -> None:
        super().__init__(n_latent, summary)
        if likelihood not in ("poisson", "bernoulli"):
            raise ValueError(f"likelihood must be 'poisson' or 'bernoulli', not {likelihood!r}.")
        self.likelihood = likelihood
        self.decoder = Decoder(n_latent, summary.n_context, summary.n_features, n_hidden=FACTOR_RANK)
        self.size_head = Decoder(n_latent, summary.n_context, 1, n_hidden=32)
        share = summary.mean / max(float(summary.mean.sum()), 1e-8)
        with torch.no_grad():
            self.decoder.out.weight.mul_(0.1)
            self.decoder.out.bias.copy_(torch.log(torch.as_tensor(share, dtype=torch.float32) + 1e-8))
        # a peak that some cells have far more of than the mean is drawn often enough for them too
        self.draw_by = torch.as_tensor(share + 1 / summary.n_features).float()  # no buffer: it stays on the host

    @classmethod
    def encoder_input(cls, x: Any, mean: NDArray[np.float32]) -> Any:
        """Open or not, over the square roots of the cell's open peaks and the peak's share (correspondence analysis).

        The average share is added to each peak's: otherwise peaks of a handful of cells make up the first axes.
        """
        scale = 1 / _weight(mean)
        if sp.issparse(x):
            out = x.tocsr(copy=True)
            out.eliminate_zeros()
            opened = np.maximum(np.diff(out.indptr), 1)
            out.data = scale[out.indices] / np.repeat(np.sqrt(opened), np.diff(out.indptr)).astype(np.float32)
            return out
        opened = (x > 0).astype(np.float32)
        return opened * scale / np.sqrt(np.maximum(opened.sum(1, keepdims=True), 1))

    @classmethod
    def trivial(cls, mean: NDArray[np.float32]) -> NDArray[np.float32]:
        """The first axis of a correspondence analysis, along which depth moves every cell."""
        return (mean / _weight(mean)).astype(np.float32)

    def regulariser(self) -> Float[Tensor, ""]:
        """Normal priors of the peaks' vectors (a graph has its own) and of their biases in each context."""
        value = (self.decoder.context_bias / BIAS_SD).pow(2).sum() / 2
        if isinstance(self.decoder, Decoder):
            value = value + (self.decoder.out.weight / VECTOR_SD).pow(2).sum() / 2
        return value

    def counted(self, mean: Float[Tensor, "cells features"]) -> Distribution:
        """As `Shares.counted`; whether a peak is open of binary data."""
        if self.likelihood == "bernoulli":
            return Bernoulli(probs=-torch.expm1(-mean), validate_args=False)
        return Poisson(mean, validate_args=False)

    def predict(self, z: Float[Tensor, "cells latent"], ctx: Context) -> Float[Tensor, "cells features"]:
        """Counts whose log1p is that expected of the cell; of binary data, the probability of being open."""
        if self.likelihood == "bernoulli":
            return self(z, ctx).mean
        return torch.expm1(expected_log1p(self(z, ctx).mean))

    def log_prob(
        self,
        x: Tensor,
        z: Float[Tensor, "states latent"],
        ctx: Context,
        observed: Tensor | None = None,
        rows: Tensor | None = None,
    ) -> Float[Tensor, " states"]:
        """As `Measurement.log_prob`, of dense or sparse (COO) counts, at their non-zeros.

        Parameters
        ----------
        x, observed
            Counts and mask of the cells.
        z, ctx
            States and their context.
        rows
            Cell that each state belongs to; one to one where None.
        """
        rows = torch.arange(len(x), device=z.device) if rows is None else rows
        x = x if x.is_sparse else x.to_sparse()
        if observed is not None:
            observed = observed.expand(x.shape)
            x, observed = only(x, observed), observed[rows]
        (cell, peak), count = x.indices(), x.values()
        h, v = self.decoder.factors(z, ctx.design)
        if self.training and len(v) > MAX_EXACT_PEAKS:
            total = sampled_total(h, v, self.draw_by, DRAWN_PEAKS, observed)
        else:
            total = LogTotal.apply(h, v, observed)
        depth = self.depth(ctx)
        log_scale = depth.clamp_min(1e-8).log() - total
        if self.likelihood == "bernoulli":
            opened = _opened_at_entries if x.device.type == "cpu" else _opened_among_all
            return opened(x, rows, h, v, log_scale) - depth
        starts = torch.searchsorted(cell, torch.arange(len(x), device=cell.device))
        weighted = F.embedding_bag(peak, v, starts, mode="sum", per_sample_weights=count.to(v.dtype))
        fixed = torch.stack([count, -torch.lgamma(count + 1)]).to(v.dtype)
        counts, constant = fixed.new_zeros(2, len(x)).index_add(1, cell, fixed)[:, rows]
        return (h * weighted[rows]).sum(1) + counts * log_scale + constant - depth


def _opened_at_entries(x: Tensor, rows: Tensor, h: Tensor, v: Tensor, log_scale: Tensor) -> Tensor:
    r"""Sum over the open peaks of each state's cell of :math:`\log(1 - e^{-\mu}) + \mu`, ``(states,)``."""
    pattern = x.index_select(0, rows).coalesce()
    (cell, peak), count = pattern.indices(), pattern.values()
    value = _excess((_at(h, v, cell, peak) + log_scale[cell]).exp(), count > 0)
    return torch.zeros_like(log_scale).index_add(0, cell, value)


def _opened_among_all(x: Tensor, rows: Tensor, h: Tensor, v: Tensor, log_scale: Tensor) -> Tensor:
    """As `_opened_at_entries`, over all peaks: a device then sorts nothing, and is not asked how many are open."""
    opened = dense(x).index_select(0, rows) > 0
    return _excess((h @ v.T + log_scale[:, None]).exp(), opened).sum(1)


def _excess(rate: Tensor, opened: Tensor) -> Tensor:
    """By how much an open peak is likelier than a closed one, 0 where it is not `opened`."""
    return torch.where(opened, rate + torch.log(-torch.expm1(-rate.clamp_min(1e-12))), 0.0)


def _at(h: Tensor, v: Tensor, cell: Tensor, peak: Tensor) -> Tensor:
    """``h v^T`` at the entries."""
    starts = torch.searchsorted(cell, torch.arange(len(h) + 1, device=cell.device))
    pattern = csr(starts, peak, h.new_zeros(len(cell)), (len(h), len(v)))
    return torch.sparse.sampled_addmm(pattern, h, v.T, beta=0.0).values()


def _weight(mean: NDArray[np.float32]) -> NDArray[np.float32]:
    """Square root of the share of each peak plus the average one, so that a peak in a handful of cells has no axis."""
    return np.sqrt(mean / max(float(mean.sum()), 1e-8) + 1 / len(mean)).astype(np.float32)

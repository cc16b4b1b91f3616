"""M for RNA kinetics: coupled counts of mature and nascent RNA; spliced and unspliced, or old and new by labelling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
import torch
from scvi.distributions import NegativeBinomial
from torch import Tensor, nn

from scvcell.measure._base import MEASUREMENTS, Measurement
from scvcell.measure._counts import Counts
from scvcell.measure._decoder import Decoder
from scvcell.measure._expected import expected_log1p
from scvcell.measure._nb import NBSoftmax
from scvcell.measure._share import OFF_PANEL, shares

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float
    from numpy.typing import NDArray
    from torch.distributions import Distribution

    from scvcell._types import Mask
    from scvcell.measure._context import Context, Summary

RATIO_SD = 1.0
"""Prior standard deviation of the weights that let the nascent share of a gene vary with the state."""


@MEASUREMENTS.register(
    "kinetics", aliases=("velocity", "splicing", "spliced_unspliced", "labelling", "slam", "new_old")
)
class Kinetics(Measurement):
    r"""Two coupled counts per gene: what was made long ago and what was made just now.

    .. math::
        s_g \sim \mathrm{NB}(\ell_s \rho_g, \theta_g), \qquad
        u_g \sim \mathrm{NB}(\ell_u\,\mathrm{softmax}(\log \rho + b + r(z, c))_g, \theta'_g)

    for spliced and unspliced counts, each with its own depth; :math:`r_g` is above zero where a gene is being induced
    and below where it is repressed, relative to its typical ratio, and has a Gaussian prior. With a labelling time t
    the new fraction of a gene is :math:`1 - e^{-\gamma_g t}`, :math:`\log \gamma = b + r(z, c)`, of one common depth:

    .. math:: n_g \sim \mathrm{NB}(\ell \rho_g (1 - e^{-\gamma_g t}), \theta'_g), \qquad
              o_g \sim \mathrm{NB}(\ell \rho_g e^{-\gamma_g t}, \theta_g)

    Made from the layers of an AnnData by :func:`scvcell.pp.modality_from_layers`; the first half of the features is
    mature, the second nascent, in one order of genes.

    Parameters
    ----------
    n_latent, summary
        See `Measurement`.
    time
        Labelling time, in the unit that degradation rates shall have; None for spliced and unspliced counts.

    References
    ----------
    Bergen et al., Generalizing RNA velocity to transient cell states through dynamical modeling, Nat Biotechnol 2020;
    Gayoso et al., VeloVI, Nat Methods 2024; Jürges et al., Dissecting newly transcribed and old RNA using GRAND-SLAM,
    Bioinformatics 2018.
    """

    equation = "s ~ NB(l_s rho), u ~ NB(l_u softmax(log rho + b + r(z, c)))"
    reference = "Bergen et al., Nat Biotechnol 2020; Jürges et al., Bioinformatics 2018"
    responds = True

    def __init__(self, n_latent: int, summary: Summary, time: float | None = None) -> None:
        super().__init__(n_latent, summary)
        if summary.n_features % 2:
            raise ValueError(f"kinetics needs two values per gene; {summary.n_features} features are an odd number.")
        if time is not None and not time > 0:
            raise ValueError(f"time must be above 0, not {time!r}.")
        self.time = time
        self.n_genes = n = summary.n_features // 2
        self.decoder = Decoder(n_latent, summary.n_context, 2 * n)
        self.size_head = Decoder(n_latent, summary.n_context, 1, n_hidden=32)
        mature, nascent = (torch.as_tensor(m, dtype=torch.float32) for m in (summary.mean[:n], summary.mean[n:]))
        total = float((mature + nascent).sum()) or 1.0
        with torch.no_grad():
            self.decoder.out.weight[n:] *= 0.1
            if time is None:
                first = torch.log(mature / mature.sum().clamp_min(1e-8) + 1e-7)
                second = torch.log(nascent / nascent.sum().clamp_min(1e-8) + 1e-7) - first
            else:
                first = torch.log((mature + nascent) / total + 1e-7)
                fraction = ((nascent + 0.1) / (mature + nascent + 0.2)).clamp(1e-3, 0.999)
                second = torch.log(-torch.log1p(-fraction) / time)
            self.decoder.out.bias.copy_(torch.cat([first, second]))
        self.register_buffer("nascent", nascent.sum() / total)
        self.log_theta = nn.Parameter(torch.ones(2 * n))

    @classmethod
    def check(cls, features: Sequence[str], **_: object) -> None:
        """As `Measurement.check`: mature and nascent counts of the same genes, in one order."""
        n = len(features) // 2
        genes = [[name.rpartition(":")[0] for name in part] for part in (features[:n], features[n:])]
        if len(features) % 2 or genes[0] != genes[1] or not all(genes[0]):
            raise ValueError(
                "kinetics needs features GENE:mature of all genes, then GENE:nascent of the same genes in the same "
                "order. Make it with scvcell.pp.modality_from_layers(adata, 'spliced', 'unspliced')."
            )

    @classmethod
    def encoder_input(cls, x: Any, mean: NDArray[np.float32]) -> Any:
        """Of either half what `Counts` sees."""
        every = np.ones(x.shape[1], bool)
        return cls.encoder_part(x, mean, every, every)

    @classmethod
    def encoder_part(cls, x: Any, mean: NDArray[np.float32], observed: Mask, every: Mask) -> Any:
        """Of either half what `Counts` sees."""
        n = x.shape[1] // 2
        x = x.tocsr() if sp.issparse(x) else x
        halves = (slice(0, n), slice(n, 2 * n))
        parts = [Counts.encoder_part(x[:, half], mean[half], observed[half], every[half]) for half in halves]
        return sp.hstack(parts, format="csr") if sp.issparse(x) else np.concatenate(parts, 1)

    def rates(self, z: Float[Tensor, "cells latent"], ctx: Context) -> tuple[Tensor, Tensor]:
        r"""Log share of each gene (unnormalised) and :math:`b + r(z, c)`, each ``(cells, genes)``.

        The second is the log ratio of nascent to mature, up to a constant, or the log degradation rate.
        """
        first, second = self.decoder(z, ctx.design).split(self.n_genes, 1)
        return first, second

    def turnover(self, z: Float[Tensor, "cells latent"], ctx: Context) -> tuple[Tensor, Tensor]:
        """Log share of each gene, and what is made of it per molecule and unit of time, each ``(cells, genes)``.

        Without a labelling time, what is made is the share of nascent counts over that of mature ones, up to a constant
        of the gene.
        """
        panel = self.on_panel(ctx)
        mask = None if panel is None else panel[:, : self.n_genes]
        share, ratio = self.rates(z, ctx)
        if mask is not None:
            share = share.masked_fill(~mask, OFF_PANEL)
        level = torch.log_softmax(share, 1)
        return level, ratio.exp() if self.time is not None else (torch.log_softmax(share + ratio, 1) - level).exp()

    def _logits(self, z: Tensor, ctx: Context) -> tuple[Tensor, Tensor]:
        """Logits of the shares of mature and nascent counts."""
        share, ratio = self.rates(z, ctx)
        if self.time is None:
            return share, share + ratio
        decay = -ratio.exp() * self.time
        return share + decay, share + torch.log(-torch.expm1(decay.clamp_max(-1e-6)))

    def _depths(self, ctx: Context, z: Tensor, x: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Depth of mature and of nascent counts: observed, or the total split as is typical."""
        if x is not None:
            return x[:, : self.n_genes].sum(1), x[:, self.n_genes :].sum(1)
        depth = self.depth(ctx, z)
        return depth * (1 - self.nascent), depth * self.nascent

    def forward(self, z: Float[Tensor, "cells latent"], ctx: Context) -> Distribution:
        """Distribution of both counts at the cell's depth."""
        return self.shifted(z, ctx, z.new_zeros(2 * self.n_genes))

    def shifted(self, z: Float[Tensor, "cells latent"], ctx: Context, shift: Tensor) -> Distribution:
        """As `Measurement.shifted`; shares are normalised again."""
        moves = shift.split(self.n_genes, -1)
        logits = [part + move for part, move in zip(self._logits(z, ctx), moves, strict=True)]
        panel = self.on_panel(ctx)
        if self.time is None:
            masks = (None, None) if panel is None else panel.split(self.n_genes, 1)
            parts = [
                depth[:, None] * shares(part, mask)
                for part, mask, depth in zip(logits, masks, self._depths(ctx, z), strict=True)
            ]
            mu = torch.cat(parts, 1)
        else:
            mu = self.depth(ctx, z)[:, None] * shares(torch.cat(logits, 1), panel)
        return NegativeBinomial(mu=mu + 1e-8, theta=self.log_theta.exp(), validate_args=False)

    def predict(self, z: Float[Tensor, "cells latent"], ctx: Context) -> Float[Tensor, "cells features"]:
        """Counts whose log1p is that expected of the cell."""
        return torch.expm1(expected_log1p(self(z, ctx).mean, self.log_theta.exp()))

    def log_prob(
        self,
        x: Float[Tensor, "cells features"],
        z: Float[Tensor, "cells latent"],
        ctx: Context,
        observed: Tensor | None = None,
    ) -> Float[Tensor, " cells"]:
        """As `Measurement.log_prob`, through the exact-gradient kernel."""
        eta = torch.cat(self._logits(z, ctx), 1)
        if observed is not None:
            x, eta = x.masked_fill(~observed, 0), eta.masked_fill(~observed, OFF_PANEL)
        if self.time is not None:
            return NBSoftmax.apply(eta, self.log_theta, x, x.sum(1))
        return sum(
            NBSoftmax.apply(part, theta, counts.contiguous(), depth)
            for part, theta, counts, depth in zip(
                eta.split(self.n_genes, 1),
                self.log_theta.split(self.n_genes),
                x.split(self.n_genes, 1),
                self._depths(ctx, z, x),
                strict=True,
            )
        )

    def regulariser(self) -> Float[Tensor, ""]:
        """Gaussian prior of the weights behind r."""
        return 0.5 * (self.decoder.out.weight[self.n_genes :] / RATIO_SD).pow(2).sum()

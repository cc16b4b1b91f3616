"""Eq. 1: L_align, agreement between the posteriors of modalities measured in the same cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor


def info_nce(
    a: Float[Tensor, "pairs latent"],
    b: Float[Tensor, "pairs latent"],
    log_tau: Float[Tensor, ""],
    batch: Int[Tensor, " pairs"] | None = None,
    weight: Float[Tensor, " pairs"] | None = None,
) -> Float[Tensor, ""]:
    r"""Contrastive loss of paired latents, symmetric, cosine similarity.

    .. math::
        L_{align} = -\log \frac{e^{s(g_a z, g_b z^+)/\tau}}
                              {e^{s(g_a z, g_b z^+)/\tau} + \sum_k e^{s(g_a z, g_b z^-_k)/\tau}}

    Parameters
    ----------
    a, b
        Latents of the same cells in two modalities.
    log_tau
        Log temperature.
    batch
        Batch codes; negatives come from the same batch only. None: from everywhere.
    weight
        How much each pair counts in the mean; None: all alike.

    References
    ----------
    Hu and Chen, Insights into Artificial Intelligence Virtual Cells, eq. 1;
    van den Oord et al., Representation learning with contrastive predictive coding, 2018.
    """
    logits = F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).T * torch.exp(-log_tau)
    if batch is not None:
        logits = logits.masked_fill(batch[:, None] != batch[None, :], max(-1e9, torch.finfo(logits.dtype).min))
    target = torch.arange(len(a), device=a.device)
    loss = 0.5 * (
        F.cross_entropy(logits, target, reduction="none") + F.cross_entropy(logits.T, target, reduction="none")
    )
    return loss.mean() if weight is None else (loss * weight).sum() / weight.sum()


def mmd(a: Float[Tensor, "n latent"], b: Float[Tensor, "m latent"]) -> Float[Tensor, ""]:
    r"""Squared maximum mean discrepancy with a sum of rational-quadratic kernels (characteristic).

    .. math:: \mathrm{MMD}^2 = E\,k(a, a') + E\,k(b, b') - 2 E\,k(a, b),
              \quad k(x, y) = \sum_s \frac{s d}{s d + \lVert x - y\rVert^2}

    References
    ----------
    Gretton et al., A kernel two-sample test, JMLR 2012.
    """

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        d2 = torch.cdist(x, y).pow(2)
        return sum(s * x.shape[1] / (s * x.shape[1] + d2) for s in (0.2, 1.0, 5.0)) / 3

    n, m = len(a), len(b)
    if n < 2 or m < 2:
        return a.new_zeros(())
    aa, bb = kernel(a, a), kernel(b, b)
    within = (aa.sum() - aa.trace()) / (n * (n - 1)) + (bb.sum() - bb.trace()) / (m * (m - 1))
    return within - 2 * kernel(a, b).mean()

"""Eq. 2: L_obs, likelihood of what was observed, KL to the prior, and alignment; each term on its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from scvcell._checks import is_number
from scvcell.objective._align import info_nce, mmd

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float
    from torch import Tensor

FEW_PAIRS, MANY_PAIRS = 0.2, 0.4
"""Shares of measured pairs among the cells: from the first on terms of pairs weigh no more in all, see `_of_pairs`;
between them `agreement` goes from both ways to one way."""
MATCH_CELLS = 8
"""Cells per batch and modality below which distributions are not matched."""


@dataclass(frozen=True)
class Weights:
    """Weights of the terms of the objective (lambda of equation 2); the special cases of the theory are settings.

    Parameters
    ----------
    likelihood
        Weight of the reconstruction terms; 0 leaves a dual encoder.
    kl
        Weight of the KL to the prior (warmed up over the first 30 % of the steps).
    align
        Weight of all alignment terms together; 0 leaves a plain multimodal VAE.
    contrast
        Weight of InfoNCE (eq. 1) inside the alignment, multiplied by the share of paired cells, up to one in five.
    agreement
        Weight of the divergence between the posteriors of paired modalities, multiplied by the same.
    match
        Weight of the distribution matching (MMD) between modalities within each batch; where a batch has both assays
        they sample one population, so nothing is forced together that differs.
    cross
        Weight of the views that decode everything from a single modality, relative to the joint view.
    prior
        Weight of the guidance graph's own likelihood, a sum over edges.
    """

    likelihood: float = 1.0
    kl: float = 1.0
    align: float = 1.0
    contrast: float = 20.0
    agreement: float = 5.0
    match: float = 50.0
    cross: float = 1.0
    prior: float = 0.1

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not is_number(value):
                raise TypeError(f"Weights.{name} must be a number >= 0, not {value!r}.")
            if not (np.isfinite(value) and value >= 0):
                raise ValueError(f"Weights.{name} must be a finite number >= 0, not {value!r}.")
        if self.likelihood == 0 and self.align == 0:
            raise ValueError("Weights: likelihood and align are both 0, so there is nothing to learn.")

    def of(self, term: str) -> float:
        """Weight of a term of `TERMS` in the total."""
        if term in ("contrast", "agreement", "match"):
            return self.align * getattr(self, term)
        return getattr(self, term)


def likelihood(module: Any, batch: Any, state: Any) -> dict[str, Float[Tensor, ""]]:
    r"""Negative log-likelihood of every modality, nats per cell, averaged over views.

    .. math:: \sum_{s,m} E_q[-\log p(x_{s,m} \mid M_{s,m}(z), c)]
    """
    out = {}
    for name, o in batch.observed.items():
        overlaps = [(view, batch.layout.overlaps.get((view.name, name))) for view in state.views]
        views = [(view, *found) for view, found in overlaps if found is not None]
        z = torch.cat([view.z[at] for view, _, at in views])
        keep = torch.cat([keep for _, keep, _ in views])
        weight = torch.cat([view.weight[at] for view, _, at in views])
        operator = module.operators[name]
        context = batch.context.at(o.rows[keep]).measured(o.depth[keep])
        if operator.sparse:
            value = operator.log_prob(o.x, z, context, o.mask, rows=keep)
        else:
            value = operator.log_prob(o.x[keep], z, context, None if o.mask is None else o.mask[keep])
        value = ((operator.depth_error(z, context) - value) * weight).sum() / len(batch)
        out[name] = module.modality_weight[name] * (value + operator.regulariser() / module.n_train)
    return out


def kl(module: Any, batch: Any, state: Any) -> Float[Tensor, ""]:
    r"""KL( q(z \| x_A) \|\| N(0, I) ), nats per cell, averaged over views."""
    return sum((view.posterior.kl() * view.weight).sum() for view in state.views) / len(batch)


def contrast(module: Any, batch: Any, state: Any) -> Float[Tensor, ""]:
    """InfoNCE between the modalities of paired cells (eq. 1), negatives within batch, summed over modality pairs.

    Pseudo-pairs count by their confidence.
    """
    total = module.log_tau.new_zeros(())
    for _, _, a, b, rows in state.pairs:
        if len(rows) > 1:
            weight = None if batch.confidence is None else batch.confidence[rows]
            share = len(rows) if weight is None else weight.sum()
            value = info_nce(a.mean, b.mean, module.log_tau, batch.context.batch[rows], weight)
            total = total + value * share / len(batch)
    return total * _of_pairs(module)


def agreement(module: Any, batch: Any, state: Any) -> Float[Tensor, ""]:
    r"""Divergence of the posteriors of two modalities of the same cell, nats per cell; as `contrast`.

    Where at most one cell in five is a pair, the symmetric KL. The other cells must be found from either assay, and
    what only one of them tells is in the way. Where two in five or more are pairs, the KL from the surer to the other:

    .. math:: \sum_d \mathrm{KL}\big(\bar q_{s(d)}(z_d) \,\|\, q_{t(d)}(z_d)\big), \qquad v_{s(d)} \le v_{t(d)}

    In each dimension the modality of the smaller variance teaches the other one; no gradient reaches the teacher (the
    bar), so that nothing can be won by forgetting what only one of them knows. In between, both in proportion.
    """
    total = module.log_tau.new_zeros(())
    one_way = min(max((module.paired - FEW_PAIRS) / (MANY_PAIRS - FEW_PAIRS), 0.0), 1.0)
    for _, _, a, b, rows in state.pairs:
        value = a.mean.new_zeros(len(rows))
        if one_way < 1:
            value = value + (1 - one_way) * 0.5 * (a.kl_to(b) + b.kl_to(a))
        if one_way > 0:
            value = value + one_way * _from_surer(a.with_prior(), b.with_prior())
        if batch.confidence is not None:
            value = value * batch.confidence[rows]
        total = total + value.sum() / len(batch)
    return total * _of_pairs(module)


def _from_surer(a: Any, b: Any) -> Float[Tensor, " cells"]:
    """Sum over dimensions of the divergence from the surer of two posteriors, taken as given, to the other."""
    a_teaches, b_teaches = a.detach().kl_by_dimension(b), b.detach().kl_by_dimension(a)
    return torch.where(a.var.detach() <= b.var.detach(), a_teaches, b_teaches).sum(-1)


def _of_pairs(module: Any) -> float:
    """Factor of the terms of pairs: where most cells are pairs, few have to be found in another assay's place."""
    return min(1.0, FEW_PAIRS / max(module.paired, FEW_PAIRS))


def match(module: Any, batch: Any, state: Any) -> Float[Tensor, ""]:
    """MMD between the latents of every two modalities, within batch, where both assays sampled the same population."""
    total = module.log_tau.new_zeros(())
    for (a, b), groups in batch.layout.groups.items():
        for in_a, in_b in groups:
            n = min(len(in_a), len(in_b))
            if n >= MATCH_CELLS:
                total = total + mmd(state.experts[a][1].mean[in_a], state.experts[b][1].mean[in_b]) * n / len(batch)
    return total


def prior(module: Any, batch: Any, state: Any) -> dict[str, Float[Tensor, ""]]:
    """Negative log-likelihood of the guidance graph, in nats, where there is one."""
    return {} if module.prior is None else {"prior": module.prior.loss(state.nodes)}


TERMS: dict[str, Callable] = {
    "likelihood": likelihood,
    "kl": kl,
    "contrast": contrast,
    "agreement": agreement,
    "match": match,
    "prior": prior,
}

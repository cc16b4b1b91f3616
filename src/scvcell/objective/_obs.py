"""Eq. 2: L_obs, likelihood of what was observed, KL to the prior, and alignment; each term on its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch

from scvcell.objective._align import info_nce, mmd
from scvcell.objective._base import TERMS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jaxtyping import Float
    from torch import Tensor

    from scvcell.objective._base import Network, SparseOperator
    from scvcell.state import Batch, Draw, Inference, Meeting, Posterior

FEW_PAIRS, MANY_PAIRS = 0.2, 0.4
"""Shares of measured pairs among the cells: from the first on terms of pairs weigh no more in all, see `_of_pairs`;
between them `agreement` goes from both ways to one way."""
ACROSS_CELLS = ("contrast", "match")
"""Terms that are no sums over cells: where ranks share a mini-batch, they need the posteriors of all of its cells."""
MIN_MATCH_CELLS = 8
"""Cells per batch and modality below which distributions are not matched."""


@TERMS.register("likelihood")
def likelihood(network: Network, batch: Batch, state: Inference) -> dict[str, Float[Tensor, ""]]:
    r"""Negative log-likelihood of every modality, nats per cell, averaged over views.

    .. math:: \sum_{s,m} E_q[-\log p(x_{s,m} \mid M_{s,m}(z), c)]
    """
    out = {}
    for name, o in batch.observed.items():
        views = [(view, view.sight.meets[name]) for view in state.views if name in view.sight.meets]
        z = torch.cat([view.z[met.at] for view, met in views])
        keep = torch.cat([met.rows for _, met in views])
        weight = torch.cat([_weight(view, met) for view, met in views])
        operator = network.operators[name]
        context = batch.context.at(o.rows[keep]).measured(o.depth[keep])
        with torch.autocast(z.device.type, enabled=False):  # sums over thousands of features need single precision
            if operator.sparse:
                value = cast("SparseOperator", operator).log_prob(o.x, z, context, o.mask, rows=keep)
            else:
                value = operator.log_prob(o.x[keep], z, context, None if o.mask is None else o.mask[keep])
            value = ((operator.depth_error(z, context) - value) * weight).sum() / len(batch)
            out[name] = network.modality_weight[name] * (value + operator.regulariser() / network.n_train)
    elsewhere = dict.fromkeys(m for share in batch.ranks for m, rows in share.rows.items() if len(rows))
    for name in [name for name in elsewhere if name not in out]:
        out[name] = network.modality_weight[name] * network.operators[name].regulariser() / network.n_train
    return out


def _weight(view: Draw, met: Meeting) -> Float[Tensor, " cells"]:
    """What the cells of a view weigh in the likelihood of a modality."""
    weight = view.weight[met.at]
    return weight if met.stands_for is None else weight * met.stands_for


@TERMS.register("kl")
def kl(network: Network, batch: Batch, state: Inference) -> Float[Tensor, ""]:
    r"""KL( q(z \| x_A) \|\| N(0, I) ), nats per cell, averaged over views."""
    return sum((view.posterior.kl() * view.weight).sum() for view in state.views) / len(batch)


@TERMS.register("contrast")
def contrast(network: Network, batch: Batch, state: Inference) -> Float[Tensor, ""]:
    """InfoNCE between the modalities of paired cells (eq. 1), negatives within batch, summed over modality pairs.

    Pseudo-pairs count by their confidence.
    """
    total = network.log_tau.new_zeros(())
    for a, b, code, weight in _pairs(batch, state):
        if len(a) > 1:
            share = len(a) if weight is None else weight.sum()
            total = total + info_nce(a, b, network.log_tau, code, weight) * share / batch.n_global
    return total * _of_pairs(network)


def _pairs(batch: Batch, state: Inference) -> Iterable[tuple[Tensor, Tensor, Tensor, Tensor | None]]:
    """Of every two assays that share cells, on all ranks: both means, batch and confidence of these cells."""
    if state.everywhere is not None:
        return state.everywhere.pairs()
    sure = batch.confidence
    return [
        (a.mean, b.mean, batch.context.batch[rows], None if sure is None else sure[rows])
        for _, _, a, b, rows in state.pairs
    ]


@TERMS.register("agreement")
def agreement(network: Network, batch: Batch, state: Inference) -> Float[Tensor, ""]:
    r"""Divergence of the posteriors of two modalities of the same cell, nats per cell; as `contrast`.

    Where at most one cell in five is a pair, the symmetric KL. The other cells must be found from either assay, and
    what only one of them tells is in the way. Where two in five or more are pairs, the KL from the surer to the other:

    .. math:: \sum_d \mathrm{KL}\big(\bar q_{s(d)}(z_d) \,\|\, q_{t(d)}(z_d)\big), \qquad v_{s(d)} \le v_{t(d)}

    In each dimension the modality of the smaller variance teaches the other one; no gradient reaches the teacher (the
    bar), so that nothing can be won by forgetting what only one of them knows. In between, both in proportion.
    """
    total = network.log_tau.new_zeros(())
    one_way = min(max((network.paired - FEW_PAIRS) / (MANY_PAIRS - FEW_PAIRS), 0.0), 1.0)
    for _, _, a, b, rows in state.pairs:
        value = a.mean.new_zeros(len(rows))
        if one_way < 1:
            value = value + (1 - one_way) * 0.5 * (a.kl_to(b) + b.kl_to(a))
        if one_way > 0:
            value = value + one_way * _from_surer(a.with_prior(), b.with_prior())
        if batch.confidence is not None:
            value = value * batch.confidence[rows]
        total = total + value.sum() / len(batch)
    return total * _of_pairs(network)


def _from_surer(a: Posterior, b: Posterior) -> Float[Tensor, " cells"]:
    """Sum over dimensions of the divergence from the surer of two posteriors, taken as given, to the other."""
    a_teaches, b_teaches = a.detach().kl_by_dimension(b), b.detach().kl_by_dimension(a)
    return torch.where(a.var.detach() <= b.var.detach(), a_teaches, b_teaches).sum(-1)


def _of_pairs(network: Network) -> float:
    """Factor of the terms of pairs: where most cells are pairs, few have to be found in another assay's place."""
    return min(1.0, FEW_PAIRS / max(network.paired, FEW_PAIRS))


@TERMS.register("match")
def match(network: Network, batch: Batch, state: Inference) -> Float[Tensor, ""]:
    """MMD between the latents of every two modalities, within batch, where both assays sampled the same population."""
    total = network.log_tau.new_zeros(())
    whole = state.everywhere
    means = {name: part.mean for name, (_, part) in state.experts.items()} if whole is None else whole.means
    for (a, b), groups in (batch if whole is None else whole).layout.groups.items():
        for in_a, in_b in groups:
            n = min(len(in_a), len(in_b))
            if n >= MIN_MATCH_CELLS:
                total = total + mmd(means[a][in_a], means[b][in_b]) * n / batch.n_global
    return total


@TERMS.register("prior")
def prior(network: Network, batch: Batch, state: Inference) -> dict[str, Float[Tensor, ""]]:
    """Negative log-likelihood of the guidance graph, in nats, where there is one."""
    return {} if network.prior is None else {"prior": network.prior.loss(state.nodes)}

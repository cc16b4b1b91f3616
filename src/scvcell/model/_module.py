"""The network: encoders, fusion, operators, and the loss as a sum of terms (eq. 2)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from scvi.module.base import BaseModuleClass, auto_move_data
from torch import Tensor, nn

from scvcell.objective import ACROSS_CELLS, TERMS, Weights
from scvcell.state import Draw, Encoder, Inference, Posterior, fuse, gather

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from scvcell.measure import Measurement
    from scvcell.prior import GuidancePrior
    from scvcell.state import Batch, FrontEnd

MAX_EXACT_FEATURES = 500
"""Features up to which a training step decodes a modality from every single assay of a cell. Larger ones, where this is
most of the work, are decoded from one of them, drawn at random, which stands for all: the same in expectation."""


class ByModality(nn.ModuleDict):
    """Modules by modality name; takes the names that torch refuses (with a dot, or those of its own methods)."""

    @staticmethod
    def _key(name: str) -> str:
        return "m:" + name.replace(".", "\u2024")

    @staticmethod
    def _name(key: str) -> str:
        return key[2:].replace("\u2024", ".")

    def __getitem__(self, key: str) -> Any:
        return self._modules[self._key(key)]

    def __setitem__(self, key: str, module: nn.Module) -> None:
        self.add_module(self._key(key), module)

    def __contains__(self, key: str) -> bool:
        return self._key(key) in self._modules

    def __iter__(self) -> Iterator[str]:
        return iter([self._name(key) for key in self._modules])

    def keys(self) -> Any:
        """Names of the modalities."""
        return list(self)

    def items(self) -> Any:
        """Pairs of name and module."""
        return [(self._name(key), module) for key, module in self._modules.items()]


class CSLModule(BaseModuleClass):
    """Encoders and operators of all modalities around one state.

    Parameters
    ----------
    operators
        One measurement operator per modality.
    front_ends
        One front-end per modality that tells of the state; endpoints have none.
    n_latent
        Dimension of the state.
    weights
        Weights of the loss terms.
    n_networks
        Networks of each encoder.
    prior
        Guidance graph, whose feature vectors the decoders share.
    """

    def __init__(
        self,
        operators: dict[str, Measurement],
        front_ends: dict[str, FrontEnd],
        n_latent: int,
        weights: Weights,
        n_networks: int = 1,
        prior: GuidancePrior | None = None,
    ) -> None:
        super().__init__()
        self.n_latent = n_latent
        self.weights = weights
        self.operators = ByModality(operators)
        self.front_ends = ByModality(front_ends)
        self.encoders = ByModality({m: Encoder(f.width, n_latent, n_networks) for m, f in front_ends.items()})
        self.prior = prior
        if prior is not None:
            for name in prior.joined():
                operators[name].link()
        self.log_tau = nn.Parameter(torch.tensor(0.1).log())
        largest = max(op.n_features for op in operators.values())
        self.modality_weight = {m: (largest / op.n_features) ** 0.5 for m, op in operators.items()}
        self.large = [m for m, op in operators.items() if op.n_features > MAX_EXACT_FEATURES]
        self.n_train = 1
        self.paired = 0.0

    @property
    def names(self) -> list[str]:
        """Modalities in the user's order."""
        return list(self.operators)

    def _get_inference_input(self, tensors: Batch) -> dict:
        return {"batch": tensors}

    def _get_generative_input(self, tensors: Batch, inference_outputs: Inference) -> dict:
        return {"batch": tensors, "state": inference_outputs}

    def experts(self, batch: Batch, names: Iterable[str] | None = None) -> dict[str, tuple[Tensor, Posterior]]:
        """Unimodal posteriors of a mini-batch."""
        wanted = set(self.names if names is None else names)
        found = {}
        for name, o in batch.observed.items():
            if name in wanted and name in self.front_ends:
                h = self.front_ends[name](o.scores, batch.context.batch[o.rows])
                mean, var = self.encoders[name](h)
                found[name] = (o.rows, Posterior(mean.float(), var.float()))  # whatever precision they were found in
        return found

    def posterior(self, batch: Batch, names: Iterable[str] | None = None) -> Posterior:
        """Fused posterior of all cells from the given modalities; cells without any get the prior."""
        return fuse(len(batch), self.experts(batch, names).values(), batch.context.design, self.n_latent)

    def inference(self, batch: Batch) -> Inference:
        """Posteriors and draws of a mini-batch."""
        experts = self.experts(batch)
        joint = fuse(len(batch), experts.values(), batch.context.design, self.n_latent)
        layout, cross = batch.layout, self.weights.cross
        share = torch.where(layout.counts > 1, 1 / (1 + cross * layout.counts.to(joint.mean.dtype)), 1.0)
        views = [Draw(layout.whole, joint, joint.sample(), share)]
        if cross > 0:
            for sight in batch.single_views(self.large if self.training else ()):
                part = experts[sight.name][1].at(sight.keep)
                # the prior is an expert of every posterior, also of a single modality's
                every = torch.arange(len(sight.cells), device=sight.cells.device)
                part = fuse(len(sight.cells), [(every, part)], part.mean, self.n_latent)
                views.append(Draw(sight, part, part.sample(), cross * share[sight.cells]))
        pairs = [(a, b, experts[a][1].at(i), experts[b][1].at(j), both) for a, b, i, j, both in layout.pairs]
        return Inference(experts, joint, views, pairs)

    def generative(self, batch: Batch, state: Inference) -> dict[str, Tensor]:
        """Point prediction of every modality from the joint posterior."""
        return {m: op.predict(state.joint.mean, batch.context) for m, op in self.operators.items()}

    def train(self, mode: bool = True) -> CSLModule:
        """As torch's; outside training the decoders keep the feature vectors as they are now."""
        super().train(mode)
        if not mode:
            # not tensors of inference mode, which no gradient may ever pass
            with torch.inference_mode(False), torch.no_grad():
                self._hand_vectors()
        return self

    def _hand_vectors(self, nodes: Tensor | None = None) -> None:
        if self.prior is not None:
            vectors = self.prior.vectors(nodes)
            for name in self.prior.joined():
                self.operators[name].decoder.vectors = vectors[name]

    def terms(self, batch: Batch) -> dict[str, Tensor]:
        """Every weighted term of the loss, nats per cell, KL without warm-up."""
        nodes = None if self.prior is None else self.prior.nodes()
        self._hand_vectors(nodes)
        state = replace(self.inference(batch), nodes=nodes)
        shared = bool(batch.ranks) and len(batch.ranks[0].assays) > 1
        if shared and any(self.weights.of(name) for name in ACROSS_CELLS):
            state = replace(state, everywhere=gather(batch, state.experts, self.n_latent))
        out: dict[str, Tensor] = {}
        for name, term in TERMS.in_order():
            weight = self.weights.of(name)
            if weight == 0:
                continue
            value = term(self, batch, state)
            if isinstance(value, dict):
                out.update({k: weight * v for k, v in value.items()})
            else:
                out[name] = weight * value
        return out

    @auto_move_data
    def loss(self, batch: Batch) -> Tensor:
        """Sum of all terms."""
        return torch.stack(list(self.terms(batch).values())).sum()

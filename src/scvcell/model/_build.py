"""A network from what a model knows of its data: operators, front-ends, prior; and the statistics they start from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scvcell.measure import Summary
from scvcell.model._module import CSLModule
from scvcell.model._summary import summarise
from scvcell.prior import GuidancePrior
from scvcell.state import FrontEnd

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scvcell._containers import View
    from scvcell._types import Rows
    from scvcell.model._fitted import Fitted


def build(model: Fitted, known: Mapping[str, Summary]) -> CSLModule:
    """The network of a model, its operators initialised with what is `known` of each modality."""
    operators, front_ends = {}, {}
    for name, spec in model.schema.modalities.items():
        cls = model.operator(name)
        operators[name] = cls(model.n_latent, known[name], **spec.options)
        if cls.encoded:
            front_ends[name] = FrontEnd(cls, len(spec.features), len(model.schema.batches), model.n_components)
    prior = None if model.edges is None else GuidancePrior(model.nodes, model.edges, model.n_latent)
    return CSLModule(operators, front_ends, model.n_latent, model.weights, model.n_networks, prior)


def summaries(model: Fitted, data: View, batch: Rows, train: Rows) -> dict[str, Summary]:
    """Statistics of every modality over the training cells."""
    out = {}
    for name in model.schema.modalities:
        rows = data.rows[name][train]
        here = rows >= 0
        out[name] = summarise(
            model.matrix(data, name, check=False),
            rows[here],
            batch[train][here],
            len(model.schema.batches),
            model.schema.n_context,
            model.operator(name),
            data.panel(name, model.schema.batches),
        )
    return out


def empty_summaries(model: Fitted) -> dict[str, Summary]:
    """Summaries of the right shape, for a network whose parameters are overwritten by saved ones."""
    b, c = len(model.schema.batches), model.schema.n_context
    out = {}
    for name, spec in model.schema.modalities.items():
        n = len(spec.features)
        zero, one, per_batch = (np.full(shape, v, np.float32) for shape, v in (((b, n), 0), ((b, n), 1), (b, 1)))
        rest = None if spec.size_factor is None else 1.0
        out[name] = Summary(n, c, b, zero, one, per_batch, one[0], np.ones(b, np.int64), rest=rest)
    return out

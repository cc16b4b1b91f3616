"""Extend a fitted model to new batches or donors, training only what belongs to them (architecture surgery)."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from scvcell._compat import Manager
from scvcell._random import seeded
from scvcell.errors import Terminated
from scvcell.measure import Columns, widen
from scvcell.model import _absent
from scvcell.model._build import build, empty_summaries
from scvcell.model._check import check_all_values
from scvcell.model._config import TrainConfig
from scvcell.model._processes import begin
from scvcell.model._train import run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor, nn

    from scvcell._containers import Container, View
    from scvcell._types import Rows
    from scvcell.measure import Grown
    from scvcell.model._fitted import Fitted
    from scvcell.model._module import CSLModule

logger = logging.getLogger("scvcell")


def load_query_data[T: Fitted](model: T, data: Container, *, train: TrainConfig | None = None, seed: int = 0) -> T:
    """A model that also knows the batches of `data`; the given model does not change.

    Encoders, loadings and the state-dependent weights stay as they are: known cells keep their embedding. New are the
    scales of the front-ends for the new batches, read off `data`, and the context columns of the decoders, which are
    trained on `data`; they start at the mean of the known batches.

    Parameters
    ----------
    model
        Trained model.
    data
        Query data; features of the model that they lack count as not measured.
    train
        Training settings; 20 epochs by default, with progress shown where the fit showed it.
    seed
        Seed.

    Raises
    ------
    ValueError
        If `train` asks for checkpoints.

    References
    ----------
    Lotfollahi et al., Mapping single-cell data to reference atlases by transfer learning, Nat Biotechnol 2022.
    """
    if train is not None and train.checkpoint is not None:
        raise ValueError("load_query_data keeps no checkpoints: few parameters are trained. Leave checkpoint= out.")
    old = model.network
    seen = model.view(data)
    check_all_values(seen, model.schema.modalities)
    new = model.schema.unseen_batches(seen)
    _tell_fractions(new, model.schema.batches)
    schema = model.schema.with_batches(new)
    _, batch = schema.context(seen)
    manager = Manager(
        seen.source,
        model_name=type(model).__name__,
        method=model.registry_["setup_method_name"],
        setup_args=model.registry_["setup_args"],
        schema=schema.as_dict(),
    )
    query = type(model)(
        registry=manager.registry, n_latent=model.n_latent, n_components=model.n_components, weights=model.weights
    )
    query._adata, query._adata_manager = seen.source, manager
    query.progress, query.accelerator = model.progress, model.accelerator
    query.n_networks, query.edges = model.n_networks, model.edges
    with seeded(seed):
        query.module = build(query, empty_summaries(query))
    known = len(model.schema.batches)
    grew = _widened(query.module, old, Columns.of(known, len(new), schema.n_context))
    for name, operator in query.module.operators.items():
        has = seen.present(name) if name in seen.modalities else np.zeros(seen.n_obs, bool)
        operator.seen[known:] = torch.from_numpy(np.bincount(batch[has], minlength=len(schema.batches))[known:] > 0)
    query.interrupted = model.interrupted
    query.split_, query.history_, query.is_trained_ = model.split_, model.history_, True
    query.alignment, query.matched, query.gain = model.alignment, model.matched, dict(model.gain)
    layers = {m: s.layer for m, s in schema.modalities.items() if model.operator(m).count_data}
    absent = _absent.in_new(seen, batch, len(model.schema.batches), layers, schema.batches)
    _absent.say(absent, schema.batch_key)
    query.absent = {m: [*model.absent.get(m, []), *absent.get(m, [])] for m in {**model.absent, **absent}}
    query.parts = {name: part.extend() for name, part in model.parts.items()}
    if new:
        _adapt(query, seen, batch, known)
        hooks = _freeze(query.module, grew)
        source = query.source(seen, check=False)
        usual = TrainConfig(max_epochs=20, progress=model.progress, accelerator=model.accelerator)
        train = train or usual
        begin(train)
        query.progress, query.accelerator = train.progress, train.accelerator
        config = replace(train, validation=0.0, weight_decay=0.0)
        query.module.n_train = seen.n_obs
        query.module.paired = source.paired(np.arange(seen.n_obs))
        with seeded(seed):
            done = run(query.network, source, np.flatnonzero(batch >= known), np.array([], np.int64), config, seed)
        query.history_, query.interrupted = done.history, model.interrupted or done.interrupted
        if done.terminated:
            raise Terminated
        for hook in hooks:
            hook.remove()
        query.module.requires_grad_(True)
    query.module.eval()
    return query


def _tell_fractions(new: Sequence[str], known: Sequence[str]) -> None:
    """Say so where a new batch and a known one are the same whole number, one of them text with a fraction (1.0)."""
    alike = [(a, b) for a in new for b in known if a.removesuffix(".0") == b.removesuffix(".0")]
    if alike:
        logger.warning(
            "%d batches are new to the model, but look like known ones that were read in another way: %s. If they are "
            "the same, name them as the model does.",
            len(alike),
            ", ".join(f"{a!r} and {b!r}" for a, b in alike[:3]),
        )


def _widened(network: CSLModule, old: CSLModule, columns: Columns) -> Grown:
    """The model's parameters in a network for more batches; what grew.

    Raises
    ------
    ValueError
        If an operator cannot take new batches.
    """
    for name, operator in old.operators.items():
        try:
            widen(network.operators[name], operator, columns)
        except ValueError as error:
            raise ValueError(f"The operator of {name!r} cannot be extended to new batches. {error}") from error
    return widen(network, old, columns)


def _adapt(query: Fitted, seen: View, batch: Rows, known: int) -> None:
    """Scales of the front-ends and typical depths of the new batches, from the query data."""
    module = query.network
    for name in seen.modalities:
        rows = seen.rows[name]
        here = (rows >= 0) & (batch >= known)
        if not here.any():
            continue
        matrix = query.matrix(seen, name)
        panel = seen.panel(name, query.schema.batches)
        if name in module.front_ends:
            module.front_ends[name].adapt(matrix, rows[here], batch[here], known, panel)
        module.operators[name].panel[known:] = True if panel is None else torch.as_tensor(panel[known:])
        totals = matrix.all_depths(rows[here], module.operators[name].size)
        for b in np.unique(batch[here]):
            module.operators[name].typical_depth[b] = float(max(np.median(totals[batch[here] == b]), 1.0))


def _freeze(module: nn.Module, grew: Grown) -> list[Any]:
    """Let gradients reach only what grew with the context; the hooks that do so are returned."""
    hooks = []
    for name, parameter in module.named_parameters():
        if name not in grew:
            parameter.requires_grad_(False)
            continue
        axis, added = grew[name]
        mask = torch.zeros_like(parameter).index_fill_(axis, added, 1)
        hooks.append(parameter.register_hook(_masked(mask)))
    return hooks


def _masked(mask: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda grad: grad * mask.to(grad.device)

"""How a model is trained: cells that are held out, one fit, and rounds with mutual matches between assays as pairs."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from scvcell._random import seeded
from scvcell.errors import Terminated
from scvcell.model import _absent
from scvcell.model._build import build, summaries
from scvcell.model._checkpoint import Checkpoint, describe
from scvcell.model._gain import gained, warn
from scvcell.model._loader import Loader
from scvcell.model._pairs import NO_MATCHES, LowRank, Matches, graph_matches, mutual_matches
from scvcell.model._plan import alignment
from scvcell.model._processes import begin, nearest
from scvcell.model._train import Run, run

if TYPE_CHECKING:
    from typing import Any

    from pandas import Index

    from scvcell._containers import View
    from scvcell._types import Rows
    from scvcell.model._config import TrainConfig
    from scvcell.model._fitted import Fitted
    from scvcell.model._source import Source
    from scvcell.prior import Edges

logger = logging.getLogger("scvcell")


def fit(model: Fitted, data: View, config: TrainConfig, held_out: Index, seed: int) -> None:
    """Train `model` on `data`; one that is trained already goes on from where it is.

    A training that fails leaves the model as it was; one that is interrupted, or terminated, the last usable
    parameters.

    Parameters
    ----------
    model
        The model.
    data
        All of its data, as `scvcell._containers.view` gives them.
    config
        Settings.
    held_out
        Names of cells that no step may see.
    seed
        Drives everything random.

    Raises
    ------
    Diverged
        If a loss is not finite.
    Terminated
        If the process was asked to end.
    """
    begin(config)
    model.progress, model.accelerator = config.progress, config.accelerator
    kept = dict(model.__dict__)
    _, batch = model.schema.context(data)
    train, validation = split_cells(model, data, batch, config, held_out, seed)
    linked = None if model.edges is None else model.edges.linked(model.nodes)
    model.alignment = alignment(data.only(model.assays), train, linked)
    again, model.interrupted = model.interrupted and not model.matched, False
    kept_by = None
    if config.checkpoint is not None:
        about = describe(model, data, batch, train, validation, config, seed)
        kept_by = Checkpoint(config.checkpoint, about, config.minutes)
        kept_by.check()
    with seeded(seed):
        fresh = model.module is None
        try:
            if fresh:
                _set_up(model, data, batch, train, config, seed, kept_by)
            elif kept_by is not None:
                kept_by.keep_set_up(model.network)
            source = model.source(data, check=False)
            model.split_ = {
                "train": data.names_with(train, model.split_.get("train", [])),
                "validation": list(data.names(validation)),
            }
            model.split_digest = ""
            model.train_indices_, model.validation_indices_ = train, validation
            unmatched = model.alignment in ("partly paired", "unpaired, guidance graph")
            rounds = config.rematch if (fresh or again) and model.weights.align and unmatched else 0
            _rounds(model, data, source, (train, validation), config, seed, rounds, kept_by)
        except BaseException as stop:
            _stopped(model, stop, kept)
        model.outdate()
        model.gain = gained(model.network, *(source.held(validation) if len(validation) else (source, train)))
        warn(model.gain)


def _set_up(
    model: Fitted, data: View, batch: Rows, train: Rows, config: TrainConfig, seed: int, checkpoint: Checkpoint | None
) -> None:
    """A network for the training cells, its front-ends fitted to them, or as a checkpoint keeps them."""
    rng = np.random.default_rng(seed)
    found = summaries(model, data, batch, train)
    model.absent = _absent.in_summaries(found, {m: model.operator(m) for m in found}, model.schema.batches)
    _absent.say(model.absent, model.schema.batch_key)
    model.n_networks = config.networks(len(train))
    module = build(model, found)
    kept = None if checkpoint is None else checkpoint.set_up()
    if kept is not None:
        # another machine may round in another way, and components have no sign of their own
        module.load_state_dict(kept, strict=False)
        model.module = module
        return
    for name, front in module.front_ends.items():
        rows = data.rows[name][train]
        panel = data.panel(name, model.schema.batches)
        front.to(nearest(config))  # which takes the products
        front.fit(model.matrix(data, name, check=False), rows[rows >= 0], batch[train][rows >= 0], rng, panel)
        front.cpu()
    model.module = module
    if checkpoint is not None:
        checkpoint.keep_set_up(module)


def _stopped(model: Fitted, stop: BaseException, kept: dict[str, Any]) -> None:
    """What a training that ended early leaves: the last usable parameters, or all as it was, `kept`."""
    if not model.is_trained_ or not isinstance(stop, KeyboardInterrupt | Terminated):
        moved = kept["is_trained_"] and model.history_ is not kept["history_"]
        model.__dict__.clear()
        model.__dict__.update(kept)
        if moved:
            model.outdate()
        raise stop
    model.interrupted = True
    if isinstance(stop, Terminated):
        stop.model = model
        model.outdate()
        raise stop
    logger.warning("Training was interrupted; the model is usable as it is.")


def _rounds(
    model: Fitted,
    data: View,
    source: Source,
    cells: tuple[Rows, Rows],
    config: TrainConfig,
    seed: int,
    rounds: int,
    checkpoint: Checkpoint | None,
) -> None:
    """Train, then take mutual matches between assays for pairs and fit anew, `rounds` times.

    Where nothing but a guidance graph joins the assays, the first fit has pairs too: those that the graph suggests.
    """
    train, validation = cells
    rng, paired = np.random.default_rng(seed), source.paired(train)

    def fit_with(found: Matches, number: int) -> bool:
        """Train on the cells, the `found` ones merged, in as many steps as without them."""
        pairs = Matches(train[found.one], train[found.other], found.confidence)
        rest = np.setdiff1d(train, pairs.other) if len(pairs.other) else train
        merged, settings = source, config
        model.network.n_train, model.network.paired = len(rest), paired
        if len(pairs.one):
            merged = source.matched(pairs)
            full, fewer = (len(Loader(source, c, config.cells_per_step(len(c)), shuffle=True)) for c in (train, rest))
            settings = replace(config, max_epochs=math.ceil(config.epochs(len(train)) * full / fewer))
        model.interrupted = False
        kept = None if checkpoint is None else checkpoint.at(number)
        done: Run = run(model.network, merged, rest, validation, settings, seed, kept)
        model.history_, model.interrupted, model.is_trained_ = done.history, done.interrupted, True
        if done.terminated:
            raise Terminated
        model.matched = model.matched if done.interrupted else len(pairs.one)
        return not done.interrupted

    found = NO_MATCHES
    if rounds and model.edges is not None and model.alignment == "unpaired, guidance graph":
        found = _graph_matches(model, model.edges, source, train, rng)
    finished = fit_with(found, 0)
    has = np.stack([source.rows[m][train] >= 0 for m in model.assays], 1)
    for number in range(rounds if finished else 0):
        before, history = model.network, model.history_
        found = mutual_matches(model.states(source, train).mean.numpy(), source.batch[train], has, rng)
        if len(found.one) == 0:
            return
        logger.info("Round %d: %d cells have a match in another assay; fitting anew.", number + 1, len(found.one))
        try:
            model.module = build(model, summaries(model, data, source.batch, train))
            model.module.front_ends.load_state_dict(before.front_ends.state_dict())
            finished = fit_with(found, number + 1)
        except BaseException:
            model.module, model.history_ = before, history
            raise
        if not finished:
            logger.warning("The round was interrupted; the model is the one before it.")
            model.module, model.history_ = before, history
            return


def _graph_matches(model: Fitted, edges: Edges, source: Source, cells: Rows, rng: np.random.Generator) -> Matches:
    """Pseudo-pairs before any fit: cells of two assays whose linked features are alike."""
    views = {}
    for name in model.nodes:
        front, mine = model.network.front_ends[name], source.rows[name][cells]
        scores = source.scores[name][mine[mine >= 0], :-1]
        loadings = front.loadings.cpu().numpy() if front.project else np.eye(front.n_features, dtype=np.float32)
        views[name] = LowRank(np.flatnonzero(mine >= 0), scores, loadings)
    found = graph_matches(views, model.nodes, edges, source.batch[cells], rng)
    logger.info("The guidance graph suggests a match in another assay for %d cells.", len(found.one))
    return found


def split_cells(
    model: Fitted, data: View, batch: Rows, config: TrainConfig, held_out: Index, seed: int
) -> tuple[Rows, Rows]:
    """Training and validation cells, the same share of every batch and combination of assays.

    Raises
    ------
    ValueError
        If every cell is held out, or every cell of a modality.
    """
    rng = np.random.default_rng(seed)
    allowed = ~data.obs_names.isin(held_out)
    seen, known = (data.among(model.split_.get(part, [])) for part in ("train", "validation"))
    if (seen & ~allowed).any():
        logger.warning("%d of the cells that are held out were trained on before.", (seen & ~allowed).sum())
    if not allowed.any():
        raise ValueError("Every cell is held out; nothing is left to train on.")
    pattern = batch.astype(np.int64)
    for name in data.modalities:
        present = data.present(name)
        if not (present & allowed).any():
            raise ValueError(f"Modality {name!r} is present in no training cell. Drop it or change the split.")
        pattern = pattern * 2 + present
    share = config.held_out(int(allowed.sum()))
    chosen, fresh = [np.flatnonzero(known & allowed)], allowed & ~seen & ~known  # others can calibrate nothing
    for value in np.unique(pattern[fresh]):
        cells = np.flatnonzero((pattern == value) & fresh)
        chosen.append(rng.permutation(cells)[: round(share * len(cells))])
    validation = np.sort(np.concatenate(chosen))
    allowed[validation] = False
    train = np.flatnonzero(allowed)
    return train, validation

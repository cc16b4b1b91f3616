"""Training of the state: AdamW, one-cycle, held-out stopping; through Lightning."""

from __future__ import annotations

import logging
import math
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities.exceptions import SIGTERMException

from scvcell._calm import Bar, calm
from scvcell._ranks import rank
from scvcell.errors import Diverged
from scvcell.model._keeper import Keeper
from scvcell.model._loader import Loader
from scvcell.model._optimise import TrainingPlan
from scvcell.model._processes import lost, noise
from scvcell.model._processes import trainer as made

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from scvcell._types import Rows
    from scvcell.model._checkpoint import Checkpoint
    from scvcell.model._config import TrainConfig
    from scvcell.model._module import CSLModule
    from scvcell.model._source import Source

logger = logging.getLogger("scvcell")


class Epochs(pl.Callback):
    """One step of a progress bar per epoch, with the last values of the objective; and what stopped the training."""

    def __init__(self, bar: Bar) -> None:
        self.bar = bar
        self.keeper: Keeper | None = None
        self.stopped: BaseException | None = None
        self._on_sigterm = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Lightning has put itself before a handler of SIGTERM that is the user's; it is theirs alone."""
        if self.keeper is not None:
            self.keeper.begin()
        elif callable(self._on_sigterm) and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._on_sigterm)

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """What stopped the training: of Ctrl-C Lightning makes exit(1)."""
        self.stopped = exception

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """The epoch before is over, its values are known."""
        self._tell(pl_module.records)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """The last epoch is over."""
        self._tell(pl_module.records)

    def _tell(self, records: list[dict[str, float]]) -> None:
        while len(records) > self.bar.done:
            names = {"loss": "loss_train", "held_out": "loss_validation"}
            self.bar.step(**{short: records[-1][name] for short, name in names.items() if name in records[-1]})


class Run(NamedTuple):
    """What a training left: the parameters are those of the network.

    Attributes
    ----------
    history
        One frame per term, indexed by epoch.
    interrupted
        Whether it was stopped by Ctrl-C or by a signal; the network is usable as it is.
    terminated
        Whether the process was asked to end.
    """

    history: dict[str, pd.DataFrame]
    interrupted: bool
    terminated: bool


def run(
    network: CSLModule,
    source: Source,
    train: Rows,
    validation: Rows,
    config: TrainConfig,
    seed: int,
    checkpoint: Checkpoint | None = None,
) -> Run:
    """Train `network` on cells `train`; an interrupt leaves the parameters as they are, an error as they were.

    Raises
    ------
    Diverged
        If a loss is not finite; the message names the modality.
    """
    config = config.placed()
    # of very many cells, what is an epoch in all that follows is a part of a pass
    looks = config.looks(len(train))
    epochs = config.epochs(len(train)) * looks
    bar = Bar(epochs, "Training, epochs", shown=config.progress and rank() == 0, delay=0)
    watch = Epochs(bar)
    with calm():
        trainer = made(config, epochs, watch)
    here, n_ranks, device = trainer.global_rank, trainer.world_size, trainer.strategy.root_device
    size = config.cells_per_step(len(train))
    loader = Loader(source, train, size, shuffle=True, seed=seed, rank=here, world=n_ranks, device=device)
    loader.steps = math.ceil(len(loader) / looks)
    held = None
    if len(validation):
        held = Loader(*source.held(validation), 1024, rank=here, world=n_ranks, device=device)
    plan = TrainingPlan(network, config, epochs * len(loader), n_ranks)
    keeper = None
    if checkpoint is not None or n_ranks > 1:
        watch.keeper = keeper = Keeper(plan, loader, checkpoint, seed, device)
    last = {k: v.detach().clone() for k, v in network.state_dict().items()}
    interrupted = terminated = False
    if keeper is None or not keeper.over(epochs):
        if keeper is not None:
            keeper.aim(trainer)
        try:
            with _handlers(bar, keeper), calm():
                trainer.fit(plan, loader, held)
        except BaseException as error:
            stop = watch.stopped or error
            terminated = isinstance(stop, SIGTERMException)
            interrupted = terminated or isinstance(stop, KeyboardInterrupt)
            if not interrupted:
                network.load_state_dict(last)
                network.eval()
                _tell_lost(error, checkpoint)
                raise
    if n_ranks > 1:
        torch.manual_seed(noise(seed, -1))  # what follows draws the same numbers on all of them
    # Lightning's objects refer to each other and outlive this call; the data must not
    for walk in (loader, held):
        if walk is not None:
            walk.release()
    if not all(bool(torch.isfinite(value).all()) for value in plan.module.parameters()):
        network.load_state_dict(last)
        network.eval()
        raise Diverged(
            "Training diverged: parameters are not finite after the last step. Try train=TrainConfig(lr=1e-3). "
            "The model was not changed."
        )
    if interrupted:
        again = "" if checkpoint is None else f" The same fit again goes on from {checkpoint.folder}."
        logger.warning(
            "Training was interrupted after %d epochs; the model is usable as it is.%s", len(plan.records), again
        )
    elif keeper is not None:
        keeper.end()
    network.to(trainer.strategy.root_device)
    network.eval()
    return Run(plan.history(), interrupted, terminated)


def _tell_lost(error: BaseException, checkpoint: Checkpoint | None) -> None:
    """Where another process does not answer any more, say how the fit goes on."""
    if lost(error):
        again = (
            "Give TrainConfig(checkpoint=folder) so that a fit can go on."
            if checkpoint is None
            else f"The same fit again goes on from {checkpoint.folder}."
        )
        logger.error("Another process of this training ended, or cannot be reached. %s", again)


@contextmanager
def _handlers(bar: Bar, keeper: Keeper | None) -> Iterator[None]:
    """Afterwards the bar is closed and handlers of signals are as they were."""
    on_main = threading.current_thread() is threading.main_thread()
    on_interrupt = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        bar.close()
        if keeper is not None:
            keeper.stops.give_back()
        if on_main and signal.getsignal(signal.SIGINT) is not on_interrupt:
            # None where a program around Python handles it; Lightning ignores it after a Ctrl-C
            signal.signal(signal.SIGINT, signal.default_int_handler if on_interrupt is None else on_interrupt)

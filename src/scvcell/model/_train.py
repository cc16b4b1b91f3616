"""Training of the state: AdamW, one-cycle, held-out stopping; through Lightning."""

from __future__ import annotations

import logging
import math
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import lightning.pytorch as pl
import pandas as pd
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.utilities.exceptions import SIGTERMException

from scvcell._calm import Bar, calm
from scvcell.errors import Diverged
from scvcell.model._checkpoint import DONE, EPOCH, STEP, Progress
from scvcell.model._source import Loader
from scvcell.model._stops import NOTHING, Stops

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scvcell._types import Rows
    from scvcell.model._checkpoint import Checkpoint
    from scvcell.model._config import TrainConfig
    from scvcell.model._module import CSLModule
    from scvcell.model._source import Source
    from scvcell.state import Batch

logger = logging.getLogger("scvcell")

MIN_RELATIVE_GAIN = 1e-4
"""Relative gain of the held-out objective that counts."""


class TrainingPlan(pl.LightningModule):
    """Optimise the sum of terms; log each term per epoch, on training and held-out cells.

    Attributes
    ----------
    pause
        Called after each step but the last of an epoch (with `STEP`), and at the end of each epoch (with `EPOCH`), when
        all that is known of the training is whole.
    """

    def __init__(self, module: CSLModule, config: TrainConfig, total_steps: int) -> None:
        super().__init__()
        self.pause: Callable[[str], None] = lambda kind: None
        self.module = module
        self.config = config
        self.total_steps = max(total_steps, 2)
        self.wind_down: tuple[int, int] | None = None
        self._best, self._waited = math.inf, 0
        self.records: list[dict[str, float]] = []
        self._sums: dict[str, dict[str, float]] = {"train": {}, "validation": {}}

    def transfer_batch_to_device(self, batch: Batch, device: Any, dataloader_idx: int) -> Batch:
        """Move a mini-batch to the training device."""
        return batch.to(device)

    def _step(self, batch: Batch, split: str, kl_weight: float) -> torch.Tensor:
        terms = self.module.terms(batch)
        if "kl" in terms:
            terms["kl"] = terms["kl"] * kl_weight
        total = torch.stack(list(terms.values())).sum()
        values = torch.stack([t.detach() for t in terms.values()] + [total.detach()]).tolist()
        named = dict(zip([*terms, "loss"], values, strict=True))
        if not math.isfinite(named["loss"]):
            self._complain(named)
        sums = self._sums[split]
        for name, value in named.items():
            sums[name] = sums.get(name, 0.0) + value * len(batch)
        sums["n"] = sums.get("n", 0.0) + len(batch)
        return total

    @staticmethod
    def _complain(named: dict[str, float]) -> None:
        bad = [name for name, value in named.items() if not math.isfinite(value) and name != "loss"]
        raise Diverged(
            f"Training diverged: the loss of {', '.join(map(repr, bad)) or 'all terms'} is not finite. "
            "Try train=TrainConfig(lr=1e-3); if it names one modality, check its counts for extreme values "
            "or leave it out to see whether the rest trains. The model was not changed."
        )

    def training_step(self, batch: Batch, index: int) -> torch.Tensor:
        """One optimiser step."""
        warm = self.config.kl_warmup * self.total_steps
        return self._step(batch, "train", min(1.0, (self.global_step + 1) / warm) if warm > 0 else 1.0)

    def validation_step(self, batch: Batch, index: int) -> None:
        """Held-out terms of a mini-batch."""
        self._step(batch, "validation", 1.0)

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Stop for a moment where the epoch goes on."""
        if not self.trainer.is_last_batch:
            self.pause(STEP)

    def on_train_epoch_end(self) -> None:
        """Turn sums into means per cell."""
        record = {"epoch": float(self.current_epoch)}
        for split, sums in self._sums.items():
            n = sums.pop("n", 0.0)
            if n:
                record.update({f"{name}_{split}": value / n for name, value in sums.items()})
            sums.clear()
        self.records.append(record)
        if "loss_validation" in record:
            self.log("held_out", record["loss_validation"], prog_bar=True, logger=False, batch_size=1)
            self._watch(record["loss_validation"])
        self.pause(EPOCH)

    def known(self) -> Progress:
        """All that the rest of the training depends on, but for the position of the loader."""
        plain = {
            "records": self.records,
            "sums": self._sums,
            "watched": [self._best, self._waited, self.wind_down],
            "loops": self.trainer.fit_loop.state_dict(),
            "stop": self.trainer.should_stop,
            "schedule": {**self.lr_schedulers().state_dict(), "lr_lambdas": [None]},
        }
        tensors = {
            "parameters": parameters_of(self.module),
            "optimizer": self.optimizers(use_pl_optimizer=False).state_dict(),
        }
        return Progress(plain, tensors)

    def adopt(self, known: Progress) -> None:
        """Go on from `known`; called when the optimiser is there."""
        plain, tensors = known
        self.records, self._sums = plain["records"], plain["sums"]
        self._best, self._waited, self.wind_down = plain["watched"]
        self.lr_schedulers().load_state_dict(plain["schedule"])
        adopt_parameters(self.module, tensors["parameters"])
        self.optimizers(use_pl_optimizer=False).load_state_dict(tensors["optimizer"])

    def history(self) -> dict[str, pd.DataFrame]:
        """scvi-tools' form: one frame per term, indexed by epoch."""
        if not self.records:
            return {}
        frame = pd.DataFrame(self.records).set_index("epoch")
        frame.index = frame.index.astype(int)
        return {str(name): frame[[name]].dropna() for name in frame}

    def factor(self, step: int) -> float:
        """Learning rate over its peak: up over 15 % of the steps, a cosine down, cut short by `wind_down`."""
        up = 0.15 * self.total_steps
        usual = step / up if step < up else 0.5 * (1 + math.cos(math.pi * (step - up) / max(self.total_steps - up, 1)))
        if self.wind_down is not None:
            first, last = self.wind_down
            usual *= max(0.0, 1 - (step - first) / (last - first))
        return max(usual, 1e-4)

    def _watch(self, value: float) -> None:
        """Wind down over a tenth of the steps once the held-out objective is flat, then stop."""
        if self.wind_down is not None:
            self.trainer.should_stop = self.global_step >= self.wind_down[1]
        elif self.config.patience and self.global_step > self.config.kl_warmup * self.total_steps:
            if value < self._best - MIN_RELATIVE_GAIN * abs(value):
                self._best, self._waited = value, 0
                return
            self._waited += 1
            if self._waited >= self.config.patience:
                logger.info("Held-out objective is flat after epoch %d; training winds down.", self.current_epoch)
                self.wind_down = (self.global_step, self.global_step + max(self.total_steps // 10, 1))

    def configure_optimizers(self) -> dict:
        """AdamW with a one-cycle schedule per step."""
        params = [p for p in self.module.parameters() if p.requires_grad]
        fused = self.config.precision == "32"  # Lightning clips no gradients of a fused one in mixed precision
        optimizer = torch.optim.AdamW(
            params, lr=self.config.lr, betas=(0.9, 0.99), weight_decay=self.config.weight_decay, fused=fused
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self.factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def parameters_of(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Parameters of a network by name, on the CPU."""
    return {name: parameter.detach().cpu() for name, parameter in network.named_parameters()}


@torch.no_grad()
def adopt_parameters(network: torch.nn.Module, values: dict[str, torch.Tensor]) -> None:
    """Give a network parameters as `parameters_of` returned them."""
    for name, parameter in network.named_parameters():
        parameter.copy_(values[name])


class Epochs(pl.Callback):
    """One step of a progress bar per epoch, with the last values of the objective; and what stopped the training."""

    def __init__(self, bar: Bar, keeper: Keeper | None) -> None:
        self.bar, self.keeper = bar, keeper
        self.stopped: BaseException | None = None
        self.device = torch.device("cpu")  # that of the training, where Lightning does not leave the network
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
        self.device = pl_module.device
        self._tell(pl_module.records)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """The last epoch is over."""
        self._tell(pl_module.records)

    def _tell(self, records: list[dict[str, float]]) -> None:
        while len(records) > self.bar.done:
            names = {"loss": "loss_train", "held_out": "loss_validation"}
            self.bar.step(**{short: records[-1][name] for short, name in names.items() if name in records[-1]})


class Keeper:
    """Keeps how far a training has come, lets signals wait for it, and goes on from what was kept.

    Parameters
    ----------
    plan, loader
        The training, and what walks through its cells.
    checkpoint
        Files of the round.
    """

    def __init__(self, plan: TrainingPlan, loader: Loader, checkpoint: Checkpoint) -> None:
        self.plan, self.loader, self.checkpoint = plan, loader, checkpoint
        self.stops = Stops()
        self.kept = checkpoint.load()
        plan.pause = self.pause

    def over(self, epochs: int) -> bool:
        """Whether nothing is left to do; the network is what was kept then."""
        if self.kept is None:
            return False
        plain, tensors = self.kept
        if not plain.get("over") and not plain["stop"] and len(plain["records"]) < epochs:
            return False
        self.plan.records = plain["records"]
        adopt_parameters(self.plan.module, tensors["parameters"])
        set_random(tensors["random"][0], self.plan.device)
        return True

    def aim(self, trainer: pl.Trainer) -> None:
        """Tell Lightning and the loader where to go on."""
        if self.kept is not None:
            trainer.fit_loop.load_state_dict(self.kept.plain["loops"])
            self.loader.load_state_dict(self.kept.plain["loader"])

    def begin(self) -> None:
        """Go on from what was kept; the first step follows."""
        if self.kept is not None:
            self.plan.adopt(self.kept)
            set_random(self.kept.tensors["random"][0], self.plan.device)
            logger.info(
                "The fit goes on from %s, after %d steps in %d epochs.",
                self.checkpoint.folder,
                self.plan.global_step,
                len(self.plan.records),
            )
            self.kept = None
        self.stops.take()

    def pause(self, kind: str) -> None:
        """Keep what is known where that falls due or a signal asks for it, and then do what the signal does."""
        asked = self.stops.asked
        if asked != NOTHING or self.checkpoint.due() or (kind == EPOCH and self.checkpoint.cheap()):
            plain, tensors = self.plan.known()
            plain |= {"loader": self.loader.state_dict(), "world": 1}
            tensors |= {"random": [random_state(self.plan.device)]}
            self.checkpoint.save(Progress(plain, tensors), kind)
        self.stops.act(asked)

    def end(self) -> None:
        """The round is over: its result is all that is kept of it."""
        tensors = {"parameters": parameters_of(self.plan.module), "random": [random_state(self.plan.device)]}
        self.checkpoint.save(Progress({"records": self.plan.records, "over": True}, tensors), DONE)


def random_state(device: torch.device) -> list[torch.Tensor]:
    """States of torch's generators, of the CPU and of a GPU that is trained on."""
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])]


def set_random(states: list[torch.Tensor], device: torch.device) -> None:
    """Go on with states as `random_state` returned them, as far as there are such generators."""
    torch.set_rng_state(states[0])
    if device.type == "cuda" and len(states) > 1:
        torch.cuda.set_rng_state(states[1], device)


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
    epochs = config.epochs(len(train))
    loader = Loader(source, train, config.cells_per_step(len(train)), shuffle=True, seed=seed)
    held = Loader(source, validation, 1024) if len(validation) else None
    plan = TrainingPlan(network, config, epochs * len(loader))
    keeper = None if checkpoint is None else Keeper(plan, loader, checkpoint)
    bar = Bar(epochs, "Training, epochs", shown=config.progress, delay=0)
    watch = Epochs(bar, keeper)
    last = {k: v.detach().clone() for k, v in network.state_dict().items()}
    interrupted = terminated = False
    if keeper is None or not keeper.over(epochs):
        with calm():
            trainer = _trainer(config, epochs, watch)
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
                raise
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
    network.to(watch.device)
    network.eval()
    return Run(plan.history(), interrupted, terminated)


def _trainer(config: TrainConfig, epochs: int, watch: Epochs) -> pl.Trainer:
    return pl.Trainer(
        max_epochs=epochs,
        accelerator=config.accelerator,
        devices=1,
        precision=config.precision,
        plugins=LightningEnvironment(),  # so that Lightning does not requeue the user's job
        gradient_clip_val=100.0,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        callbacks=[watch],
        logger=False,
    )


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

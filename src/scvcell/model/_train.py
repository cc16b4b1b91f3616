"""Training of the state: AdamW, one-cycle, held-out stopping; through Lightning."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import lightning.pytorch as pl
import numpy as np
import pandas as pd
import torch
from scvi.train import Trainer

from scvcell.model._data import Loader

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scvcell.model._data import Batch, Source
    from scvcell.model._module import CSLModule

logger = logging.getLogger("scvcell")


@dataclass(frozen=True)
class TrainConfig:
    """How the state is fitted; the defaults suit data from a thousand to a million cells.

    Parameters
    ----------
    max_epochs
        Passes over the data; None chooses about 1,500 to 2,500 steps.
    batch_size
        Cells per step.
    lr
        Peak learning rate of the one-cycle schedule.
    weight_decay
        AdamW's.
    kl_warmup
        Share of the steps over which the KL weight rises to its value.
    validation
        Share of training cells held out to see when the objective is flat (at most 2,000 cells).
    patience
        Checks of the held-out objective without gain before training stops; 0 never stops early.
    n_latent
        Dimension of the state; None: 10 below 2,000 cells, else 20.
    n_components
        Components of the linear front-ends; None: 30 below 2,000 cells, else 50.
    accelerator
        Lightning's: ``"auto"``, ``"cpu"``, ``"gpu"``.
    progress
        Whether a progress bar is shown.
    """

    max_epochs: int | None = None
    batch_size: int = 128
    lr: float = 3e-3
    weight_decay: float = 1e-4
    kl_warmup: float = 0.3
    validation: float = 0.1
    patience: int = 0
    n_latent: int | None = None
    n_components: int | None = None
    accelerator: str = "auto"
    progress: bool = True

    def __post_init__(self) -> None:
        positive = {"max_epochs", "batch_size", "lr", "n_latent", "n_components"}
        for name in positive:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"TrainConfig.{name} must be > 0, not {value!r}.")
        if not 0 <= self.validation < 0.5:
            raise ValueError(f"TrainConfig.validation must be in [0, 0.5), not {self.validation!r}.")

    def epochs(self, n_cells: int) -> int:
        """Number of epochs for a training set of `n_cells`."""
        if self.max_epochs is not None:
            return self.max_epochs
        steps = 1000 if n_cells < 4000 else 1600
        return max(2, min(60, math.ceil(steps * self.batch_size / max(n_cells, 1))))


class Diverged(RuntimeError):
    """Training met a loss that is not finite."""


class TrainingPlan(pl.LightningModule):
    """Optimise the sum of terms; log each term per epoch, on training and held-out cells."""

    def __init__(self, module: CSLModule, config: TrainConfig, total_steps: int) -> None:
        super().__init__()
        self.module = module
        self.config = config
        self.total_steps = max(total_steps, 2)
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
            "or leave it out to see whether the rest trains. The model keeps its last finite parameters."
        )

    def training_step(self, batch: Batch, index: int) -> torch.Tensor:
        """One optimiser step."""
        warm = self.config.kl_warmup * self.total_steps
        return self._step(batch, "train", min(1.0, (self.global_step + 1) / warm) if warm > 0 else 1.0)

    def validation_step(self, batch: Batch, index: int) -> None:
        """Held-out terms of a mini-batch."""
        self._step(batch, "validation", 1.0)

    def on_train_epoch_end(self) -> None:
        """Turn sums into means per cell."""
        record = {"epoch": float(self.current_epoch)}
        for split, sums in self._sums.items():
            n = sums.pop("n", 0.0)
            if n:
                record.update({f"{name}_{split}": value / n for name, value in sums.items()})
            sums.clear()
        self.records.append(record)
        loss = record.get("loss_validation", record.get("loss_train", math.nan))
        self.log("held_out", loss, prog_bar=True, logger=False, batch_size=1)

    def history(self) -> dict[str, pd.DataFrame]:
        """scvi-tools' form: one frame per term, indexed by epoch."""
        if not self.records:
            return {}
        frame = pd.DataFrame(self.records).set_index("epoch")
        frame.index = frame.index.astype(int)
        return {name: frame[[name]].dropna() for name in frame}

    def configure_optimizers(self) -> dict:
        """AdamW with a one-cycle schedule per step."""
        params = [p for p in self.module.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(
            params, lr=self.config.lr, betas=(0.9, 0.99), weight_decay=self.config.weight_decay, foreach=True
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=self.config.lr, total_steps=self.total_steps, pct_start=0.15
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class StopWhenFlat(pl.Callback):
    """Stop once the held-out objective has not improved for `patience` epochs by more than `tolerance` of its range."""

    def __init__(self, patience: int, tolerance: float = 1e-3) -> None:
        self.patience = patience
        self.tolerance = tolerance
        self.best = math.inf
        self.waited = 0

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at the newest held-out objective."""
        value = pl_module.records[-1].get("loss_validation", math.nan)  # type: ignore[union-attr,index]
        if not np.isfinite(value):
            return
        if value < self.best - self.tolerance * max(abs(self.best), 1.0) or not math.isfinite(self.best):
            self.best, self.waited = value, 0
            return
        self.waited += 1
        if self.waited >= self.patience:
            logger.info("Held-out objective is flat after epoch %d; training stops.", trainer.current_epoch)
            trainer.should_stop = True


def run(
    model: Any,
    source: Source,
    train: NDArray[np.int64],
    validation: NDArray[np.int64],
    config: TrainConfig,
    seed: int,
) -> None:
    """Train `model.module` on cells `train`; an interrupt or a divergence leaves the last usable parameters.

    Raises
    ------
    Diverged
        If a loss is not finite; the message names the modality.
    """
    epochs = config.epochs(len(train))
    loader = Loader(source, train, config.batch_size, shuffle=True, seed=seed)
    held = Loader(source, validation, 1024) if len(validation) else None
    plan = TrainingPlan(model.module, config, epochs * len(loader))
    callbacks = [StopWhenFlat(config.patience)] if config.patience and held is not None else []
    trainer = Trainer(
        max_epochs=epochs,
        accelerator=config.accelerator,
        devices=1,
        gradient_clip_val=100.0,
        check_val_every_n_epoch=1,
        enable_progress_bar=config.progress,
        progress_bar_refresh_rate=1,
        callbacks=callbacks,
        logger=False,
        inference_mode=True,
    )
    last = {k: v.detach().clone() for k, v in model.module.state_dict().items()}
    try:
        trainer.fit(plan, loader, held)
    except Diverged:
        model.module.load_state_dict(last)
        model.module.eval()
        raise
    except (KeyboardInterrupt, SystemExit):
        model.interrupted = True
    model.interrupted = model.interrupted or trainer.interrupted
    if model.interrupted:
        logger.warning("Training was interrupted after %d epochs; the model is usable as it is.", len(plan.records))
    model.history_ = plan.history()
    model.module.to("cpu" if config.accelerator == "cpu" else plan.device)
    model.module.eval()
    model.is_trained_ = True

"""One training: AdamW on the sum of terms, a one-cycle schedule, and stopping by held-out cells."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any, Protocol

import lightning.pytorch as pl
import pandas as pd
import torch

from scvcell.errors import Diverged
from scvcell.model._checkpoint import EPOCH, STEP, Progress
from scvcell.model._processes import Told, add_gradients, gathered

if TYPE_CHECKING:
    from scvcell.model._config import TrainConfig
    from scvcell.model._module import CSLModule
    from scvcell.state import Batch

logger = logging.getLogger("scvcell")

STEPS_UNREAD = {"cpu": 1}
"""Steps whose terms are read together, by type of device, else `MAX_UNREAD`: to read from a GPU is to wait for it."""
MAX_UNREAD = 50
MIN_RELATIVE_GAIN = 1e-4
"""Relative gain of the held-out objective that counts."""


class Keeps(Protocol):
    """What keeps a training, see `Keeper`."""

    def asked(self) -> tuple[int, bool]:
        """What a signal to this process asks for, and whether a checkpoint falls due."""

    def pause(self, kind: str) -> None:
        """What is known of the training is whole."""


class TrainingPlan(pl.LightningModule):
    """Optimise the sum of terms; log each term per epoch, on training and held-out cells.

    Where several processes train together, each has a share of every mini-batch. Gradients are added up in each step,
    sums of terms at the end of an epoch, so that all decide alike.

    Attributes
    ----------
    keeper
        Told after each step but the last of an epoch (with `STEP`), and at the end of each epoch (with `EPOCH`), when
        all that is known of the training is whole.
    told
        What ranks agreed on in the last step.
    """

    def __init__(self, module: CSLModule, config: TrainConfig, total_steps: int, n_ranks: int = 1) -> None:
        super().__init__()
        self.n_ranks = n_ranks
        self.keeper: Keeps | None = None
        self.told = Told(diverged=False, asked=0, due=False)
        self._last: dict[str, float] = {}
        self.module = module
        self.config = config
        self.total_steps = max(total_steps, 2)
        self.wind_down: tuple[int, int] | None = None
        self._best, self._waited = math.inf, 0
        self.records: list[dict[str, float]] = []
        self._sums: dict[str, dict[str, float]] = {"train": {}, "validation": {}}
        self._unread: list[tuple[str, list[str], torch.Tensor, int]] = []

    def transfer_batch_to_device(self, batch: Batch, device: Any, dataloader_idx: int) -> Batch:
        """Move a mini-batch to the training device."""
        return batch.to(device)

    def _step(self, batch: Batch, split: str, kl_weight: float) -> torch.Tensor:
        terms = self.module.terms(batch)
        if "kl" in terms:
            terms["kl"] = terms["kl"] * kl_weight
        total = torch.stack(list(terms.values())).sum()
        values = torch.stack([t.detach() for t in terms.values()] + [total.detach()])
        self._unread.append((split, [*terms, "loss"], values, len(batch)))
        # ranks tell each other in each step whether a loss is finite
        if self.n_ranks > 1 or len(self._unread) >= STEPS_UNREAD.get(values.device.type, MAX_UNREAD):
            self._read()
        return total * (len(batch) * self.n_ranks / batch.n_global)

    def _read(self) -> None:
        """Add terms of steps to their sums, in the order of the steps; what a loss that is not finite is of is said."""
        unread, self._unread = self._unread, []
        found = torch.cat([values for *_, values, _ in unread]).tolist() if unread else []
        for split, names, _, n in unread:
            named, found = dict(zip(names, found, strict=False)), found[len(names) :]
            if not math.isfinite(named["loss"]) and self.n_ranks == 1:
                self._complain(named)
            self._last, sums = named, self._sums[split]
            for name, value in named.items():
                sums[name] = sums.get(name, 0.0) + value * n
            sums["n"] = sums.get("n", 0.0) + n

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

    def on_after_backward(self) -> None:
        """Gradients of all ranks' cells; all ranks stop where one of them diverged."""
        if self.n_ranks == 1:
            return
        asked, due = (0, False) if self.keeper is None else self.keeper.asked()
        bad = not math.isfinite(self._last["loss"])
        self.told = add_gradients(self.module.parameters(), Told(bad, asked, due), self.n_ranks)
        if self.told.diverged:
            self._complain(self._last)

    def validation_step(self, batch: Batch, index: int) -> None:
        """Held-out terms of a mini-batch."""
        self._step(batch, "validation", 1.0)

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Stop for a moment where the epoch goes on."""
        if self.keeper is not None and not self.trainer.is_last_batch:
            self.keeper.pause(STEP)

    def on_train_epoch_end(self) -> None:
        """Turn sums into means per cell."""
        self._read()
        record = {"epoch": float(self.current_epoch)}
        for split, sums in _added(gathered(self._sums, self.n_ranks)).items():
            n = sums.pop("n", 0.0)
            if n:
                record.update({f"{name}_{split}": value / n for name, value in sums.items()})
        self._sums = {split: {} for split in self._sums}
        self.records.append(record)
        if "loss_validation" in record:
            if not math.isfinite(record["loss_validation"]):
                self._complain({name.removesuffix("_validation"): value for name, value in record.items()})
            self.log("held_out", record["loss_validation"], prog_bar=True, logger=False, batch_size=1)
            self._watch(record["loss_validation"])
        if self.keeper is not None:
            self.keeper.pause(EPOCH)

    def known(self) -> Progress:
        """All that the rest of the training depends on, but for the position of the loader."""
        self._read()
        plain = {
            "records": self.records,
            "sums": gathered(self._sums, self.n_ranks),
            "watched": [self._best, self._waited, self.wind_down],
            "loops": self.trainer.fit_loop.state_dict(),
            "stop": self.trainer.should_stop,
            "schedule": {**self._schedule.state_dict(), "lr_lambdas": [None]},
        }
        tensors = {
            "parameters": parameters_of(self.module),
            "optimizer": self._optimizer.state_dict(),
        }
        return Progress(plain, tensors)

    def adopt(self, known: Progress) -> None:
        """Go on from `known`; called when the optimiser is there."""
        plain, tensors = known
        self.records = plain["records"]
        if len(plain["sums"]) == self.n_ranks:
            self._sums = plain["sums"][self.global_rank]
        self._best, self._waited, self.wind_down = plain["watched"]
        self._schedule.load_state_dict(plain["schedule"])
        adopt_parameters(self.module, tensors["parameters"])
        self._optimizer.load_state_dict(tensors["optimizer"])

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
        self._optimizer = torch.optim.AdamW(
            params, lr=self.config.lr, betas=(0.9, 0.99), weight_decay=self.config.weight_decay, fused=fused
        )
        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._optimizer, self.factor)
        return {"optimizer": self._optimizer, "lr_scheduler": {"scheduler": self._schedule, "interval": "step"}}


def _added(parts: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Sums of all ranks, by split and name."""
    out: dict[str, dict[str, float]] = {}
    for part in parts:
        for split, sums in part.items():
            into = out.setdefault(split, {})
            for name, value in sums.items():
                into[name] = into.get(name, 0.0) + value
    return out


def parameters_of(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Parameters of a network by name, on the CPU."""
    return {name: parameter.detach().cpu() for name, parameter in network.named_parameters()}


@torch.no_grad()
def adopt_parameters(network: torch.nn.Module, values: dict[str, torch.Tensor]) -> None:
    """Give a network parameters as `parameters_of` returned them."""
    for name, parameter in network.named_parameters():
        parameter.copy_(values[name])

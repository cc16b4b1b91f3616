"""How the state is fitted."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace
from numbers import Real
from pathlib import Path

import numpy as np
import torch

from scvcell._checks import expect, whole_number
from scvcell._registry import near_miss

logger = logging.getLogger("scvcell")

ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps", "tpu")
PRECISIONS = ("32", "bf16-mixed", "16-mixed")

SMALL_DATA_CELLS = 4000
"""Training cells below which fewer are held out, steps are larger and encoders have two networks."""
CELLS_PER_LOOK = 500_000
"""Training cells after which held-out cells are looked at, where a pass has twice as many or more."""


@dataclass(frozen=True)
class TrainConfig:
    """How the state is fitted; the defaults suit data from a thousand to a million cells.

    Parameters
    ----------
    max_epochs
        Passes over the data at most; None chooses 50 up to 2,800 cells, then fewer, and 4 from 35,000 cells on.
    batch_size
        Cells per step; None: 256 below 4,000 cells, else 128.
    lr
        Peak learning rate of the one-cycle schedule.
    weight_decay
        AdamW's.
    kl_warmup
        Share of the steps over which the KL weight rises to its value.
    validation
        Share of training cells held out, to see when the objective is flat and to calibrate intervals on (at most 2,000
        cells); None: 5 % below 4,000 cells, else 10 %.
    patience
        Epochs without gain of the held-out objective after which the learning rate is wound down over a tenth of the
        steps and training stops; 0 never stops early. From a million training cells on, held-out cells are looked at
        after each half a million, and an epoch of `patience` and of the history is what lies between two looks.
    rematch
        Rounds of pseudo-pairs after the first fit: cells of one batch that share no assay and are each other's nearest
        are taken for one cell, and the model is fitted anew. Where nothing but a guidance graph joins the assays, the
        first fit has such pairs too, those whose linked features are alike. Nothing happens where there are no such
        cells, or where nothing aligns the assays (neither pairs nor a graph, or ``Weights(align=0)``). 0: no matching.
    n_latent
        Dimension of the state.
    n_components
        Components of the linear front-ends.
    accelerator
        Lightning's: ``"auto"``, ``"cpu"``, ``"gpu"``, ``"cuda"``, ``"mps"``, ``"tpu"``. ``"auto"`` takes no Apple GPU.
    devices
        Processes per machine, each with a device of its own (on a CPU, a process). A mini-batch is shared among all of
        them, so that the number changes how long a fit takes, and next to nothing else. Under ``torchrun`` it is
        torchrun's.
    nodes
        Machines. On each, ``torchrun`` or Slurm's ``srun`` starts the same script.
    precision
        Lightning's: ``"32"``, or ``"bf16-mixed"`` and ``"16-mixed"`` for devices that are faster at it; likelihoods are
        always computed in single precision.
    checkpoint
        Folder that keeps how far a fit has come. The same fit with the same folder goes on from there, after a crash or
        a time limit, and ends as it would have without; another fit is refused. None keeps nothing.
    minutes
        Minutes of training between two checkpoints; 0: one after each step. There also is one at the end of an epoch,
        where that costs little, and when the process is told to end (SIGTERM, Ctrl-C) or to save (SIGUSR1).
    progress
        Whether progress is shown. ``scvi.settings.verbosity = "warning"`` and ``scanpy.settings.verbosity = 0`` hide
        it for everything.
    """

    max_epochs: int | None = None
    batch_size: int | None = None
    lr: float = 3e-3
    weight_decay: float = 1e-4
    kl_warmup: float = 0.3
    validation: float | None = None
    patience: int = 5
    rematch: int = 1
    n_latent: int = 32
    n_components: int = 50
    accelerator: str = "auto"
    devices: int = 1
    nodes: int = 1
    precision: str = "32"
    checkpoint: str | Path | None = None
    minutes: float = 10
    progress: bool = True

    def __post_init__(self) -> None:
        for name, least in (
            *(("max_epochs", 1), ("batch_size", 1), ("n_latent", 1), ("n_components", 1)),
            *(("patience", 0), ("rematch", 0), ("devices", 1), ("nodes", 1)),
        ):
            value = getattr(self, name)
            if value is not None or name not in ("max_epochs", "batch_size"):
                object.__setattr__(self, name, whole_number(f"TrainConfig.{name}", value, least))
        for name in ("lr", "weight_decay", "kl_warmup", "validation", "minutes"):
            value = getattr(self, name)
            if not isinstance(value, Real) and not (value is None and name == "validation"):
                raise TypeError(f"TrainConfig.{name} must be a number, not {value!r}.")
        for name, known in (("accelerator", ACCELERATORS), ("precision", PRECISIONS)):
            value = getattr(self, name)
            if value not in known:
                hint = near_miss(str(value), known)
                raise ValueError(f"TrainConfig.{name} must be one of {', '.join(known)}, not {value!r}.{hint}")
        if self.precision == "16-mixed" and self.accelerator == "cpu":
            raise ValueError('TrainConfig.precision "16-mixed" needs a GPU; on a CPU "32" or "bf16-mixed".')
        if self.checkpoint is not None and not isinstance(self.checkpoint, str | Path):
            raise TypeError(f"TrainConfig.checkpoint must be the path of a folder or None, not {self.checkpoint!r}.")
        if not 0 < self.lr < math.inf:
            raise ValueError(f"TrainConfig.lr must be > 0, not {self.lr!r}.")
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError(f"TrainConfig.weight_decay must be >= 0, not {self.weight_decay!r}.")
        if not 0 <= self.kl_warmup <= 1:
            raise ValueError(f"TrainConfig.kl_warmup must be a share in [0, 1], not {self.kl_warmup!r}.")
        if self.validation is not None and not 0 <= self.validation < 0.5:
            raise ValueError(f"TrainConfig.validation must be in [0, 0.5), not {self.validation!r}.")
        if not 0 <= self.minutes < math.inf:
            raise ValueError(f"TrainConfig.minutes must be >= 0, not {self.minutes!r}.")

    @classmethod
    def of(cls, train: TrainConfig | None, max_epochs: int | None = None) -> TrainConfig:
        """`train`, the defaults if that is None, with `max_epochs` where it is given, as scvi-tools' models take it.

        Raises
        ------
        TypeError
            If `train` is no TrainConfig.
        ValueError
            If both say how many epochs, and differ.
        """
        config = cls() if train is None else train
        expect("train", config, TrainConfig, "For example train=scvcell.TrainConfig(max_epochs=20).")
        if max_epochs is None:
            return config
        if config.max_epochs not in (None, max_epochs):
            raise ValueError(f"max_epochs={max_epochs!r}, but train= says {config.max_epochs}; give one of them.")
        return replace(config, max_epochs=max_epochs)

    def placed(self) -> TrainConfig:
        """The same, with Apple's GPUs only where they are asked for: no operator was tried on them so far."""
        if self.accelerator != "auto" or torch.cuda.is_available() or not torch.backends.mps.is_available():
            return self
        logger.info(
            "Training uses the CPU: this package was not tried on Apple's GPUs, which lack operations of some assays. "
            "TrainConfig(accelerator='mps') tries it."
        )
        return replace(self, accelerator="cpu")

    def epochs(self, n_cells: int) -> int:
        """Number of epochs for a training set of `n_cells`."""
        return self.max_epochs or int(np.clip(math.ceil(140_000 / max(n_cells, 1)), 4, 50))

    def held_out(self, n_cells: int) -> float:
        """Share of `n_cells` cells that are held out."""
        share = self.validation if self.validation is not None else (0.05 if n_cells < SMALL_DATA_CELLS else 0.1)
        return min(share, 2000 / max(n_cells, 1))

    @staticmethod
    def looks(n_cells: int) -> int:
        """How often held-out cells are looked at in a pass over a training set of `n_cells`."""
        return max(n_cells // CELLS_PER_LOOK, 1)

    def cells_per_step(self, n_cells: int) -> int:
        """Size of a mini-batch for a training set of `n_cells`."""
        return self.batch_size or (256 if n_cells < SMALL_DATA_CELLS else 128)

    @staticmethod
    def networks(n_cells: int) -> int:
        """Number of networks of each encoder for a training set of `n_cells`, see `Encoder`."""
        return 2 if n_cells < SMALL_DATA_CELLS else 1

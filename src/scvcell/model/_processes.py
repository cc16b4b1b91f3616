"""Several processes that train together: how many, how Lightning starts them, and what they tell each other."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.strategies import DDPStrategy
from torch.distributed.rendezvous import rendezvous

from scvcell._calm import first
from scvcell._ranks import expect, rank, world

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scvcell.model._config import TrainConfig

logger = logging.getLogger("scvcell")


class Ranks(DDPStrategy):
    """One process per device; gradients are added up once after the backward pass, by `add_gradients`.

    Torch's own wrapper reduces gradients while others are still computed, in an order that may differ between ranks of
    which one lacks an assay; terms that compare cells of all ranks communicate in the backward pass, too.
    """

    def setup_distributed(self) -> None:
        """As Lightning's; processes that torchrun started anew do not look for those that are gone.

        Gloo finds the addresses of the processes before them in torchrun's store (seen with torch 2.15).
        """
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        if attempt != "0" and TorchElasticEnvironment.detect() and not torch.distributed.is_initialized():
            self.set_world_ranks()
            store, number, size = next(rendezvous("env://", self.global_rank, self.world_size))
            torch.distributed.init_process_group(
                self._get_process_group_backend(),
                store=torch.distributed.PrefixStore(f"scvcell-{attempt}", store),
                rank=number,
                world_size=size,
            )
        super().setup_distributed()

    def configure_ddp(self) -> None:
        """All ranks begin with the parameters and buffers of the first."""
        assert self.model is not None
        for value in [*self.model.parameters(), *self.model.buffers()]:
            if not value.is_sparse and value.dtype != torch.bool:
                torch.distributed.broadcast(value.data, 0)


def trainer(config: TrainConfig, epochs: int, callback: pl.Callback) -> pl.Trainer:
    """Lightning's trainer for a configuration, in as many processes as it and the launcher say."""
    devices, nodes = processes(config)
    under_slurm = nodes * devices > 1 and SLURMEnvironment.detect()
    # none of them lets Lightning requeue the user's job
    environment: Any = SLURMEnvironment(auto_requeue=False) if under_slurm else LightningEnvironment()
    if nodes * devices > 1 and TorchElasticEnvironment.detect():
        environment = TorchElasticEnvironment()
    return pl.Trainer(
        max_epochs=epochs,
        accelerator=config.accelerator,
        devices=devices,
        num_nodes=nodes,
        strategy="auto" if devices * nodes == 1 else Ranks(),
        precision=cast("Any", config.precision),
        plugins=environment,
        gradient_clip_val=100.0,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        callbacks=[callback],
        logger=False,
    )


def processes(config: TrainConfig) -> tuple[int, int]:
    """Processes per machine, and machines: as ``torchrun`` says, else as the configuration does.

    Raises
    ------
    ValueError
        If both say how many, and differ.
    """
    asked = config.devices, config.nodes
    if TorchElasticEnvironment.detect():
        here = int(os.environ["LOCAL_WORLD_SIZE"])
        found = here, int(os.environ["WORLD_SIZE"]) // here
        if asked not in ((1, 1), found):
            raise ValueError(
                f"TrainConfig asks for devices={asked[0]}, nodes={asked[1]}, but torchrun has started {found[0]} "
                f"processes on each of {found[1]} machines. Leave devices and nodes out, or make them the same."
            )
        return found
    if asked != (1, 1) and not hasattr(sys.modules["__main__"], "__file__"):
        if first("devices"):
            logger.warning(
                "devices=%d: a notebook trains on one device. To use all, save the cells as a script and run "
                "torchrun --nproc-per-node %d script.py",
                asked[0] * asked[1],
                asked[0],
            )
        return 1, 1
    return asked


def nearest(config: TrainConfig) -> torch.device:
    """Where arrays are multiplied before training: the GPU of CUDA that will train alone, else the CPU."""
    if processes(config) == (1, 1) and config.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return torch.device("cuda", 0)
    return torch.device("cpu")


def begin(config: TrainConfig) -> None:
    """Refuse devices and processes that cannot be, before any work, and know which one this is: the first writes."""
    devices, nodes = processes(config)
    if devices * nodes > 1:
        names = ("RANK",) if TorchElasticEnvironment.detect() else ("SLURM_PROCID", "LOCAL_RANK")
        expect(next((int(os.environ[name]) for name in names if name in os.environ), 0))
        logger.addFilter(_of_first)
    elif config.accelerator in ("auto", "cpu"):
        return
    try:
        trainer(config, 1, pl.Callback())
    except MisconfigurationException as error:
        raise ValueError(
            f"{error} TrainConfig has accelerator={config.accelerator!r}, devices={config.devices}, "
            f"nodes={config.nodes}; accelerator='auto' takes what is there."
        ) from error


def _of_first(record: logging.LogRecord) -> bool:
    """Whether a message is an error, or the first process says it: all of them would say the same."""
    return rank() == 0 or record.levelno >= logging.ERROR


def noise(seed: int, number: int) -> int:
    """A seed of a rank's own noise; of none in particular, where `number` is -1."""
    return int(np.random.SeedSequence([seed, number + 1]).generate_state(1)[0])


class Told(NamedTuple):
    """What ranks agree on in every step.

    Attributes
    ----------
    diverged
        Whether the loss of any is not finite.
    asked
        What a signal to any of them asks for, see `Stops`.
    due
        Whether a checkpoint falls due.
    """

    diverged: bool
    asked: int
    due: bool


def add_gradients(parameters: Iterable[torch.nn.Parameter], told: Told, n_ranks: int) -> Told:
    """Mean of the gradients over ranks, in place, and what any rank was told; a gradient that none has stays away."""
    wanted = [p for p in parameters if p.requires_grad]
    device = wanted[0].device
    flags = [float(told.diverged), *(float(told.asked == kind) for kind in (1, 2, 3)), float(told.due)]
    has = [float(p.grad is not None) for p in wanted]
    pieces = [(torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in wanted]
    flat = torch.cat([*pieces, torch.tensor([*has, *flags], device=device)])
    torch.distributed.all_reduce(flat)
    sizes = [p.numel() for p in wanted]
    *parts, rest = flat.split([*sizes, len(has) + len(flags)])
    rest_of = rest.tolist()
    for p, part, n in zip(wanted, parts, rest_of[: len(has)], strict=True):
        if n:
            p.grad = (part / n_ranks).view_as(p)
    diverged, *asked, due = rest_of[len(has) :]
    return Told(diverged > 0, max((kind for kind, n in zip((1, 2, 3), asked, strict=True) if n), default=0), due > 0)


def gathered(value: Any, n_ranks: int) -> list[Any]:
    """A plain value of each of the ranks that train together, in their order."""
    if n_ranks == 1:
        return [value]
    out: list[Any] = [None] * n_ranks
    torch.distributed.all_gather_object(out, value)
    return out


def lost(error: BaseException) -> bool:
    """Whether an error is that another process does not answer any more."""
    words = ("connection", "gloo", "nccl", "timed out", "peer", "socket")
    return world() > 1 and isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)

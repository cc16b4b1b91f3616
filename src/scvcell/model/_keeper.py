"""Keeps how far a training has come, while it runs, and goes on from there."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import torch

from scvcell.model._checkpoint import DONE, EPOCH, Progress
from scvcell.model._optimise import adopt_parameters, parameters_of
from scvcell.model._stops import NOTHING, Stops

if TYPE_CHECKING:
    import lightning.pytorch as pl

    from scvcell.model._checkpoint import Checkpoint
    from scvcell.model._optimise import TrainingPlan
    from scvcell.model._source import Loader

logger = logging.getLogger("scvcell")


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

"""Keeps how far a training has come, while it runs, and goes on from there."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import torch

from scvcell._ranks import rank
from scvcell.model._checkpoint import DONE, EPOCH, Progress
from scvcell.model._optimise import adopt_parameters, parameters_of
from scvcell.model._processes import gathered, noise
from scvcell.model._stops import NOTHING, Stops

if TYPE_CHECKING:
    import lightning.pytorch as pl

    from scvcell.model._checkpoint import Checkpoint
    from scvcell.model._loader import Loader
    from scvcell.model._optimise import TrainingPlan

logger = logging.getLogger("scvcell")


class Keeper:
    """Keeps how far a training has come, lets signals wait for it, and goes on from what was kept.

    Parameters
    ----------
    plan, loader
        The training, and what walks through its cells.
    checkpoint
        Files of the round; None keeps nothing.
    seed
        Of each rank's noise, where several train together.
    device
        That is trained on.
    """

    def __init__(
        self, plan: TrainingPlan, loader: Loader, checkpoint: Checkpoint | None, seed: int, device: torch.device
    ) -> None:
        self.plan, self.loader, self.checkpoint, self.seed = plan, loader, checkpoint, seed
        self.n_ranks, self.device = plan.n_ranks, device
        self.stops = Stops()
        self.kept = None if checkpoint is None else checkpoint.load(self.n_ranks)
        plan.keeper = self

    def over(self, epochs: int) -> bool:
        """Whether nothing is left to do; the network is what was kept then."""
        if self.kept is None:
            return False
        plain, tensors = self.kept
        if not plain.get("over") and not plain["stop"] and len(plain["records"]) < epochs:
            return False
        self.plan.records = plain["records"]
        adopt_parameters(self.plan.module, tensors["parameters"])
        set_random(tensors["random"][0], self.device)
        return True

    def aim(self, trainer: pl.Trainer) -> None:
        """Tell Lightning and the loader where to go on."""
        if self.kept is not None:
            trainer.fit_loop.load_state_dict(self.kept.plain["loops"])
            self.loader.load_state_dict(self.kept.plain["loader"])

    def begin(self) -> None:
        """Go on from what was kept; the first step follows.

        Raises
        ------
        RuntimeError
            If ranks would go on from different steps.
        """
        if self.n_ranks > 1:
            at = len(self.kept.plain["records"]) if self.kept is not None else 0
            torch.manual_seed(noise(self.seed + at, rank()))
        if self.kept is not None:
            self.plan.adopt(self.kept)
            states = self.kept.tensors["random"]
            if len(states) == self.n_ranks:
                set_random(states[self.plan.global_rank], self.device)
            self.kept = None
        steps = gathered(self.plan.global_step, self.n_ranks)
        if len(set(steps)) > 1:
            raise RuntimeError(
                f"The processes would go on from different steps, {steps}. "
                "Give checkpoint= a folder that all machines see."
            )
        if steps[0] and self.checkpoint is not None:
            logger.info(
                "The fit goes on from %s, after %d steps in %d epochs.",
                self.checkpoint.folder,
                steps[0],
                len(self.plan.records),
            )
        self.stops.take()

    def asked(self) -> tuple[int, bool]:
        """What a signal to this process asks for, and whether a checkpoint falls due, which the first rank says."""
        return self.stops.asked, self.checkpoint is not None and rank() == 0 and self.checkpoint.due()

    def pause(self, kind: str) -> None:
        """Keep what is known where that falls due or a signal asks for it, and then do what the signal does."""
        if self.n_ranks > 1 and kind != EPOCH:
            asked, due = self.plan.told.asked, self.plan.told.due
        else:
            asked, due = self.asked()
            due |= kind == EPOCH and self.checkpoint is not None and self.checkpoint.cheap()
            told = gathered((asked, due), self.n_ranks)
            asked, due = max(a for a, _ in told), told[0][1]
        if self.checkpoint is not None and (due or asked != NOTHING):
            plain, tensors = self.plan.known()
            plain |= {"loader": self.loader.state_dict(), "world": self.n_ranks}
            tensors |= {"random": gathered(random_state(self.device), self.n_ranks)}
            self.checkpoint.save(Progress(plain, tensors), kind)
        self.stops.act(asked)

    def end(self) -> None:
        """The round is over: its result is all that is kept of it."""
        if self.checkpoint is not None:
            tensors = {"parameters": parameters_of(self.plan.module), "random": [random_state(self.device)]}
            self.checkpoint.save(Progress({"records": self.plan.records, "over": True}, tensors), DONE)


def random_state(device: torch.device) -> list[torch.Tensor]:
    """States of torch's generators, of the CPU and of a GPU that is trained on."""
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])]


def set_random(states: list[torch.Tensor], device: torch.device) -> None:
    """Go on with states as `random_state` returned them, as far as there are such generators."""
    torch.set_rng_state(states[0])
    if device.type == "cuda" and len(states) > 1:
        torch.cuda.set_rng_state(states[1], device)

"""What the scvi-tools peers share: a zero-padded MuData, seeds, predictive draws, a clock that monitoring stops."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import anndata
import mudata
import numpy as np
import scvi
import torch
from lightning.pytorch.callbacks import Callback
from scipy import sparse

from benchmarks.clock import Stopwatch
from benchmarks.task import SCALES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import pandas as pd
    from scvi.distributions import NegativeBinomialMixture

    from benchmarks.task import Output, Task

NO_TARGET = " (no target)"


def prepare(seed: int) -> None:
    """Seed everything and pin torch's threads."""
    scvi.settings.seed = seed
    scvi.settings.verbosity = 30
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))


def padded(task: Task, cells: pd.Index, *, mark_missing: bool) -> mudata.MuData:
    """All `cells` in both modalities, zeros where one was not measured (these models know no other way).

    Parameters
    ----------
    mark_missing
        Give cells without target a batch of their own, in which every target feature is zero: TOTALVI then takes
        these features as missing.
    """
    mods, batch = {}, np.full(len(cells), "", dtype=object)
    for name in (task.source, task.target):
        a = task.mdata.mod[name]
        position = cells.get_indexer(a.obs_names)
        inside = position >= 0
        shape = (len(cells), a.n_obs)
        place = sparse.csr_matrix((np.ones(inside.sum()), (position[inside], np.flatnonzero(inside))), shape=shape)
        x = (place @ sparse.csr_matrix(a.X)).astype(np.float32)
        mods[name] = anndata.AnnData(x, var=a.var[[]].copy())
        mods[name].obs_names = cells
        batch[position[inside]] = task.batch(name)[inside]
    if mark_missing:
        missing = ~cells.isin(task.names(task.target))
        batch[missing] = [f"{b}{NO_TARGET}" for b in batch[missing]]
    if task.target != "atac":
        mods[task.target].X = mods[task.target].X.toarray()  # sparse proteins crash TOTALVI
    for a in mods.values():
        a.obs["batch"] = batch.astype(str)
    return mudata.MuData(mods)


def batch_code(model, name: str | None) -> int:
    """Number of a batch in a model's registry."""
    return int(np.flatnonzero(model.adata_manager.get_state_registry("batch").categorical_mapping == name)[0])


@torch.inference_mode()
def predictive(
    task: Task, loader: Iterable, likelihood: Callable[[dict], NegativeBinomialMixture], draws: int
) -> dict[str, np.ndarray]:
    """Predict proteins from draws of a model's own likelihood, minibatch by minibatch.

    Parameters
    ----------
    likelihood
        Distribution of the counts of a minibatch for one draw of the state.

    Returns
    -------
    ``point``: mean over draws on the scored scale (the best a model can do there); ``mean``: mean counts;
    ``lower`` and ``upper``: quantiles of counts.
    """
    found: dict[str, list[np.ndarray]] = {"point": [], "mean": [], "lower": [], "upper": []}
    for tensors in loader:
        rates = [likelihood(tensors) for _ in range(draws)]
        counts = np.stack([r.sample().numpy() for r in rates])
        found["point"].append(np.mean([SCALES[task.scale](c) for c in counts], axis=0))
        found["mean"].append(np.mean([r.mean.numpy() for r in rates], axis=0))
        for name, level in (("lower", (1 - task.level) / 2), ("upper", (1 + task.level) / 2)):
            found[name].append(np.quantile(counts, level, axis=0))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def fill(task: Task, out: Output, found: dict[str, np.ndarray], denoised: np.ndarray) -> None:
    """Write predictions into an output."""
    out.prediction = task.frame(found["point"])
    out.alternatives = {"mean": task.from_counts(found["mean"]), "denoised": task.from_counts(denoised)}
    out.lower, out.upper = task.frame(found["lower"]), task.frame(found["upper"])


class Clock(Callback):
    """Seconds of training without the time spent in `evaluate`, which is called every `every` epochs.

    The state of the random generators is put back afterwards, so that a monitored run and an unmonitored one are the
    same run.
    """

    def __init__(self, evaluate: Callable[[dict[str, float]], None] | None = None, every: int = 10) -> None:
        self.evaluate, self.every = evaluate, every
        self.watch = Stopwatch()

    def on_train_epoch_end(self, trainer, pl_module) -> None:
        """Stop the clock, evaluate, go on."""
        epoch = trainer.current_epoch + 1
        if self.evaluate is None or epoch % self.every:
            return
        spent = {"seconds": self.watch.wall, "cpu_seconds": self.watch.cpu, "epoch": epoch}
        with self.watch.pause():
            states = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002
            training = pl_module.module.training
            pl_module.module.eval()
            self.evaluate(spent)
            pl_module.module.train(training)
            torch.set_rng_state(states[0])
            np.random.set_state(states[1])  # noqa: NPY002

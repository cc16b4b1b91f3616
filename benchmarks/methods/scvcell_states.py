"""This package's states without the front-end's scores: of the cell alone, with means of neighbours, with pools."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import scvcell
from benchmarks.clock import Stopwatch
from benchmarks.methods._niche import classified, means, scaled
from benchmarks.task import Output

if TYPE_CHECKING:
    from benchmarks.task import Task

TABLES = ("niche",)


def run(task: Task, seed: int) -> Output:
    """Labels by states of cells and the mean states of what surrounds them; others as alternatives."""
    watch = Stopwatch()
    rna = task.mdata["rna"]
    train = scvcell.TrainConfig(max_epochs=task.epochs, accelerator="cpu", progress=False)
    model = scvcell.tl.fit(rna, batch_key=None if task.target == "donors" else "batch", train=train, seed=seed)
    own = np.asarray(rna.obsm["X_csl"], dtype=float)
    out = watch.stamp(Output(labels=classified(task, scaled(task, [own, *(mean @ own for mean in means(task))]), seed)))
    out.alternatives["own"] = classified(task, scaled(task, [own]), seed)
    if task.target != "donors":
        scvcell.tl.niche(rna, model, section_key="batch")
        where = rna.uns["csl_niche"]["columns"]
        pools = [slice(*at) for name, at in where.items() if not name.startswith("scores")]
        x = np.asarray(rna.obsm["X_niche"], dtype=float)
        out.alternatives["pools"] = classified(task, np.concatenate([x[:, at] for at in pools], 1), seed)
    return out

"""scvcell by its public verbs: fit on the reference, lift the spots, ask `tl.cycle_scores`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import scvcell
from benchmarks.clock import Stopwatch
from benchmarks.methods.scvcell import epochs_of, notes_of
from benchmarks.task import Output

if TYPE_CHECKING:
    from benchmarks.task import Task

TABLES = ("cycle",)


def run(task: Task, seed: int) -> Output:
    """Scores of the cycle as notes."""
    reference, spots = task.mdata["rna"].copy(), task.mdata["spots"].copy()
    watch = Stopwatch()
    train = scvcell.TrainConfig(max_epochs=task.epochs, accelerator="cpu", progress=False)
    model = scvcell.tl.fit(reference, batch_key=task.batch_key, train=train, seed=seed)
    out = watch.stamp(Output(epochs=epochs_of(model), notes=notes_of(model)))
    spots.obs[task.batch_key] = model.schema.batches[0]
    lifted = scvcell.tl.lift(spots, model, labels_key="kind", seed=seed)
    out.notes["smooth"] = float(lifted.uns["csl_lift"]["smooth"])
    out.notes["scores"] = scvcell.tl.cycle_scores(spots, model, lifted=lifted, seed=seed).to_dict("records")
    return out

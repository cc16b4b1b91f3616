"""scvcell by its public verbs: fit on the reference, lift the spots, ask `tl.cycle_scores`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import scvcell
from benchmarks.methods.scvcell import of_spots

if TYPE_CHECKING:
    from benchmarks.task import Output, Task

TABLES = ("cycle",)


def run(task: Task, seed: int) -> Output:
    """Scores of the cycle as notes."""
    model, spots, out = of_spots(task, seed)
    lifted = scvcell.tl.lift(spots, model, labels_key="kind", seed=seed)
    out.notes["smooth"] = float(lifted.uns["csl_lift"]["smooth"])
    out.notes["scores"] = scvcell.tl.cycle_scores(spots, model, lifted=lifted, seed=seed).to_dict("records")
    return out

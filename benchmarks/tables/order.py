"""Table *order*: how often the order test rejects, and how often intervals of EC50 hold the truth, in simulations.

Every seed is one experiment (`scvcell.datasets.simulate_actions`, two targets). Cases ``additive`` and ``ordered``:
1,600 cells; the two targets shift the state of every cell by the same, so that order cannot matter, or have parts that
depend on the state, so that it does (``bracket``: norm of the commutator of the true generators over the norm of their
shifts). ``rejected``: share of experiments in which `scvcell.tl.order_effect` with 19 draws has p <= .05, which is the
size of the test where order does not matter and its power where it does. Cases ``measured_additive`` and
``measured_ordered``: the same with cells that had one target after the other, in both orders. Cases
``pooled_additive`` and ``pooled_ordered``: as the first two; whether it matters if cells are pooled, or measured,
before or after the action of one target. Cases ``four_doses`` and ``three_doses``: 2,000 cells, doses of .05, .2, .6
and 1, or .01, .1 and 1, types of cells as contexts; the true dose of half the effect is .2. ``ec50``: what
`scvcell.tl.potency` says, over both targets; ``covered``: share of its 90 % intervals that hold the truth.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from mudata import MuData

import scvcell
from benchmarks.task import Output, Question, Task

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SIMULATIONS: dict[str, dict[str, Any]] = {
    "additive": {"n_cells": 1600, "state_dependence": 0.0},
    "ordered": {"n_cells": 1600, "state_dependence": 0.6},
    "measured_additive": {"n_cells": 1600, "state_dependence": 0.0, "orders": True},
    "measured_ordered": {"n_cells": 1600, "state_dependence": 0.6, "orders": True},
    "pooled_additive": {"n_cells": 1600, "state_dependence": 0.0},
    "pooled_ordered": {"n_cells": 1600, "state_dependence": 0.6},
    "four_doses": {"n_cells": 2000, "doses": (0.05, 0.2, 0.6, 1.0)},
    "three_doses": {"n_cells": 2000, "doses": (0.01, 0.1, 1.0)},
}
CASES = tuple(SIMULATIONS)
FILES: dict[str, str] = {}
SEEDS = tuple(range(20))
METHODS = ("scvcell",)
REFERENCE = "scvcell"
COLUMNS = {
    "bracket": "bracket",
    "kappa": "kappa",
    "null": "kappa if additive",
    "rejected": "rejected",
    "kappa_measure": "kappa (measured)",
    "null_measure": "kappa if additive (measured)",
    "rejected_measure": "rejected (measured)",
    "ec50": "EC50",
    "covered": "covered",
}
ORDER, POTENCY = "order", "potency"
POOLED = ("aggregate", "measure")
ORDERS = (ORDER, *POOLED)
"""Questions to `scvcell.tl.order_effect`; those of one target are named by what it is tested against."""
TRUE_EC50 = 0.2


def task(data: Path, case: str, epochs: int | None) -> tuple[Task, dict[str, Any]]:
    """An empty task: every seed has its own cells."""
    dose = "dose" if "doses" in SIMULATIONS[case] else None
    schedule = "schedule" if "orders" in SIMULATIONS[case] else None
    context = "cell_type" if dose else ()
    keys = scvcell.PerturbationKeys("action", control="control", dose=dose, schedule=schedule, context=context)
    return Task(mdata=MuData({}), source="rna", target="rna", perturbation=keys, epochs=epochs), {"case": case}


def evaluate(run: Callable[[Task, int], Output], task: Task, truth: dict[str, Any], seed: int) -> tuple[Output, dict]:
    """Simulate, ask, compare with what is true."""
    settings = SIMULATIONS[truth["case"]]
    asked = (POTENCY,) if "doses" in settings else POOLED if truth["case"].startswith("pooled") else (ORDER,)
    world = seed + 100 * (POTENCY in asked)  # the first hundred were seen while it was made
    mdata = scvcell.datasets.simulate_actions(n_targets=2, pairs=False, seed=world, **settings)
    seen = mdata["rna"].copy()
    seen.layers.clear()
    question = Question(
        scvcell.Action("T1" if asked == POOLED else "T1+T2"), seen.obs_names[seen.obs["action"] == "control"]
    )
    out = run(replace(task, mdata=MuData({"rna": seen}), questions=dict.fromkeys(asked, question)), seed)
    if POTENCY in asked:
        found = out.notes[POTENCY]
        inside = [row["ec50_lower"] <= TRUE_EC50 <= row["ec50_upper"] for row in found]
        return out, {"ec50": float(np.median([row["ec50"] for row in found])), "covered": float(np.mean(inside))}
    a, b = mdata.uns["simulation"]["generators"]
    size = np.linalg.norm(a[:-1, -1]) + np.linalg.norm(b[:-1, -1])
    scores = {"bracket": float(np.linalg.norm(a @ b - b @ a) / size)}
    for name, suffix in zip(asked, ("", "_measure"), strict=False):
        (row,) = out.notes[name]
        found = {"kappa": row["kappa"], "null": row["null"], "rejected": float(row["p"] <= 0.05)}
        scores |= {f"{key}{suffix}": value for key, value in found.items()}
    return out, scores

"""Table *matching*: what an action did to each treated cell, where it was not random who was treated.

Simulated cells (`scvcell.datasets.simulate_actions`) under one of two targets; case: log odds of treatment per standard
deviation of the state before along a random direction, which changes both the shares of types and states within them.
A type is nothing a method is told. The seed draws world and cells. The truth of each cell is its effect on log1p of
expected counts per 10,000, treated minus untreated; scores are means over both targets. Root mean squared error, total
error over total effect (NMAE) and Pearson are over cells x genes; ``mean effect`` is the root mean squared error of the
mean over cells; coverage is of 90 % intervals.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from mudata import MuData

import scvcell
from benchmarks.task import Output, Question, Task
from scvcell.score import inside, log_cp10k, nmae, pearson, rmse

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CASES = ("odds0", "odds1", "odds2")
FILES: dict[str, str] = {}
SEEDS = (0, 1, 2)
METHODS = ("effect_matching", "cinemaot", "scvcell")
REFERENCE = "scvcell"
COLUMNS = {
    "rmse": "RMSE",
    "nmae": "NMAE",
    "pearson": "Pearson",
    "mean_rmse": "RMSE of the mean effect",
    "coverage": "coverage",
    "coverage_mean": "coverage (mean effect)",
}
TARGETS = ("T1", "T2")


def task(data: Path, case: str, epochs: int | None) -> tuple[Task, dict[str, Any]]:
    """An empty task: every seed has its own cells."""
    keys = scvcell.PerturbationKeys("action", control="control")
    empty = MuData({})
    task = Task(mdata=empty, source="rna", target="rna", perturbation=keys, epochs=epochs)
    return task, {"odds": float(case.removeprefix("odds"))}


def evaluate(run: Callable[[Task, int], Output], task: Task, truth: dict[str, Any], seed: int) -> tuple[Output, dict]:
    """Simulate, ask for the effect on every cell of each target, score."""
    cells = scvcell.datasets.simulate_actions(n_targets=2, pairs=False, confounding=truth["odds"], seed=seed)["rna"]
    seen = cells.copy()
    del seen.layers["before"], seen.layers["rate"]
    seen.obs = seen.obs[["action"]]
    label = cells.obs["action"].astype(str).to_numpy()
    questions = {name: Question(scvcell.Action(name), cells.obs_names[label == name]) for name in TARGETS}
    out = run(replace(task, mdata=MuData({"rna": seen}), questions=questions), seed)
    rows: dict[str, list[dict[str, float]]] = {}
    for name in TARGETS:
        here = cells[label == name]
        after, before = here.layers["rate"], here.layers["before"]
        true = log_cp10k(after) - log_cp10k(before)
        for kind, frames in {"": out.counterfactual, **out.alternatives}.items():
            rows.setdefault(kind, []).append(score(frames[name].loc[here.obs_names].to_numpy(), true))
        if name in out.effects:
            rows[""][-1] |= coverage(out, name, after, before)
    scores = {kind: {key: float(np.mean([row[key] for row in each])) for key in each[0]} for kind, each in rows.items()}
    return out, scores.pop("") | {"alternatives": scores}


def coverage(out: Output, name: str, after: np.ndarray, before: np.ndarray) -> dict[str, float]:
    """Share of true effects in their intervals, on the scale of `scvcell.tl.effects`: of cells, and of their mean."""
    frame, cells = out.effects[name], out.counterfactual[name].index
    true = (log_cp10k(after) - log_cp10k(before)) / np.log(2)
    lower, upper = out.lower.loc[cells].to_numpy(), out.upper.loc[cells].to_numpy()
    mean = true.mean(0)
    return {
        "coverage": float(inside(true, lower, upper).mean()),
        "coverage_mean": float(inside(mean, frame["lower"], frame["upper"]).mean()),
    }


def score(found: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Scores of the effects on cells, ``(cells, genes)``."""
    return {
        "rmse": rmse(found, true),
        "nmae": nmae(found, true),
        "pearson": pearson(found, true),
        "mean_rmse": rmse(found.mean(0), true.mean(0)),
    }

"""One file per table: what is hidden, what a method sees (`task`), how it is scored (`score`)."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from benchmarks.task import Output, Task

NAMES = (
    "mosaic",
    "protein",
    "chromatin",
    "paired",
    "weak",
    "trimodal",
    "morphology",
    "prior",
    "perturbation",
    "conditions",
    "leaderboard",
    "response",
    "matching",
    "order",
    "velocity",
    "deconvolution",
    "tissue_response",
    "project",
    "cycle",
    "imputation",
    "mapping",
    "niche",
    "scale",
    "speed",
)


def load(name: str) -> ModuleType:
    """Import one table."""
    return importlib.import_module(f"{__name__}.{name}")


def evaluate(
    table: ModuleType, run: Callable[[Task, int], Output], task: Task, truth: dict[str, Any], seed: int
) -> tuple[Output, dict[str, Any]]:
    """Run a method and score it: as the table says, or once, by its `score`."""
    if hasattr(table, "evaluate"):
        return table.evaluate(run, task, truth, seed)
    out = run(task, seed)
    return out, table.score(task, truth, out)

"""Textbook CCA on the pairs: 30 components of either modality, 10 directions, no shrinkage, no weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.methods._cca import run_cca

if TYPE_CHECKING:
    from benchmarks.task import Output, Task

TABLES = ("mosaic",)
GRID = {"n": (10,), "shrinkage": (0.0,), "weighted": (False,), "scaled": (True,), "target_scaled": (True,)}


def run(task: Task, seed: int) -> Output:
    """Fit one fixed CCA."""
    return run_cca(task, seed, GRID)

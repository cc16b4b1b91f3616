"""scvcell without a guidance graph, where nothing else says which cells are alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.methods import load

if TYPE_CHECKING:
    from benchmarks.task import Output, Task

TABLES = ("chromatin",)


def run(task: Task, seed: int) -> Output:
    """As `scvcell`."""
    return load("scvcell").run(task, seed, graph=None)

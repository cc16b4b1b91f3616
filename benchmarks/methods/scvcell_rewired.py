"""scvcell with a guidance graph whose edges are permuted (every feature keeps its degree): what structure is worth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import scvcell
from benchmarks.methods import load

if TYPE_CHECKING:
    from benchmarks.task import Output, Task

TABLES = ("chromatin",)


def run(task: Task, seed: int) -> Output:
    """As `scvcell`."""
    return load("scvcell").run(
        task, seed, graph=lambda mdata, **how: scvcell.pp.link_features(mdata, **how).rewired(seed=seed)
    )

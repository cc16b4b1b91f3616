"""One file per table: what is hidden, what a method sees (`task`), how it is scored (`score`)."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

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
    "speed",
)


def load(name: str) -> ModuleType:
    """Import one table."""
    return importlib.import_module(f"{__name__}.{name}")

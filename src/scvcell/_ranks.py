"""Which of several processes this one is, where they train together; each runs the user's script, the first writes."""

from __future__ import annotations

import sys
from typing import Any

EXPECTED = [0]
"""Number that the process will have when the group is there, see `expect`."""


def expect(number: int) -> None:
    """Say what number the process will have among those that train together, as its launcher has it."""
    EXPECTED[0] = number


def _group() -> Any:
    """Torch's module of process groups, where one is at work; None else, also before torch is imported."""
    torch = sys.modules.get("torch")
    distributed = None if torch is None else torch.distributed
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return None
    return distributed


def world() -> int:
    """Number of processes that train together, 1 where this one is alone."""
    group = _group()
    return 1 if group is None else int(group.get_world_size())


def rank() -> int:
    """Number of this process among them, from 0 on."""
    group = _group()
    return EXPECTED[0] if group is None else int(group.get_rank())

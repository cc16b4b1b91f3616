"""Tasks one after the other."""

from __future__ import annotations

from typing import Any

import numpy as np


def run_tasks(tasks: Any, *, cache: Any = None, executor: Any = None, progress: bool = True) -> list[dict[str, Any]]:
    """Work on tasks in turn."""
    return [dict(task(np.random.default_rng(0))) for task in tasks]

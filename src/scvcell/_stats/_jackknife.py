"""The jackknife: how far an estimate varies, by those without each group of the data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scvcell._types import Array


def jackknife_variance(replicates: Array) -> Array:
    """Sampling variance of an estimate (row 0), by those without each group of the cells (rows 1 on)."""
    return (len(replicates) - 2) * np.asarray(replicates[1:].var(0))

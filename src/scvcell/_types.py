"""Names of the arrays that functions take and give; imported for type checkers only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

type Array = NDArray[np.floating]
"""Real numbers."""
type Mask = NDArray[np.bool_]
"""Which of some things, one truth value each."""
type Rows = NDArray[np.int64]
"""Positions."""

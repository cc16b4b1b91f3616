"""Spots that no mixture of the reference's kinds explains, as those of a kind that it lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from scvcell.objective import cycle
from scvcell.scale import SPOTS_PER_BLOCK

if TYPE_CHECKING:
    import scipy.sparse as sp

    from scvcell._types import Array, Mask
    from scvcell.tissue._composition import Composition

MAX_DEVIATIONS = 6.0
"""Robust standard deviations above the median spot from which a spot is not explained."""
NORMAL = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""


def misfit(x: sp.csr_matrix, found: Composition) -> Array:
    """Mean deviance of each spot's counts from what it was lifted to, ``(spots,)``.

    Parameters
    ----------
    x
        Counts of spots, ``(spots, features)``.
    found
        Their composition.
    """
    rates, theta = (
        torch.from_numpy(np.asarray(each, dtype=float)) for each in (found.rates * found.factor, found.theta)
    )
    out = np.empty(x.shape[0])
    for start in range(0, x.shape[0], SPOTS_PER_BLOCK):
        at = slice(start, start + SPOTS_PER_BLOCK)
        counts = torch.from_numpy(np.asarray(x[at].toarray(), dtype=float))
        out[at] = cycle(counts, torch.from_numpy(found.cells[at]), rates, theta).mean(1).numpy()
    return out


def unexplained(deviance: Array) -> Mask:
    """Spots whose deviance is far above that of most; none where all are alike."""
    middle = np.median(deviance)
    spread = NORMAL * float(np.median(np.abs(deviance - middle)))
    return np.asarray(deviance > middle + MAX_DEVIATIONS * max(spread, 1e-12))

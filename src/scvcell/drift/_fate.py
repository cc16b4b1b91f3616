"""Where a random walk along the drift ends."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scvcell._types import Array, Mask

logger = logging.getLogger("scvcell")

MIN_DIRECTED_SHARE = 0.05
"""Share of the steps between two groups, beyond those of a walk without direction, that tells a direction."""
CELLS_AT_END = 10
"""Trusted cells next to a terminal group at least."""
MIN_FATE_SPREAD = 0.05
"""Standard deviation of fates over cells below which they are all the same."""


def terminal_groups(
    steps: sp.csr_array, label: NDArray[np.str_], groups: list[str], trusted: Mask
) -> tuple[list[str], set[str]]:
    """Groups that trusted cells enter, net, and do not leave for another; and groups that they leave for one."""
    near = sp.csr_array((np.ones(steps.nnz), steps.indices, steps.indptr), steps.shape)
    plain = near.multiply(1 / np.maximum(near.sum(1), 1)[:, None])
    member = np.equal.outer(label, groups).astype(float)
    sure = member * trusted[:, None]
    beyond, flux = sure.T @ ((steps - plain) @ member), sure.T @ (steps @ member)
    bordering = sure.T @ (near @ member > 0)
    net, within = beyond - beyond.T, flux.diagonal().copy()
    for matrix in (flux, bordering):
        np.fill_diagonal(matrix, 0)
    between = (flux + flux.T).sum(1)
    goes_on = (
        (net > MIN_DIRECTED_SHARE * (within + between)[:, None]) & (bordering + bordering.T >= CELLS_AT_END)
    ).any(1)
    entered = (net.sum(1) < -MIN_DIRECTED_SHARE * between) & (bordering.sum(0) >= CELLS_AT_END)
    ends = [g for g, into, on in zip(groups, entered, goes_on, strict=True) if into and not on]
    return ends, {g for g, on in zip(groups, goes_on, strict=True) if on}


def fates_differ(fates: Array, label: NDArray[np.str_], ends: list[str]) -> bool:
    """Whether fates of (trusted) cells on the way differ; says so where they do not."""
    on = fates[~np.isin(label, ends) & ~np.isnan(fates).any(1)]
    if not len(on) or on.std(0).max() >= MIN_FATE_SPREAD:
        return True
    logger.warning(
        "Fates hardly differ between the %d trusted cells on the way (ends: %s): they tell nothing of single cells.",
        len(on),
        ", ".join(ends),
    )
    return False


def absorbed(steps: sp.csr_array, label: NDArray[np.str_], ends: list[str]) -> Array:
    """Probability of each cell to be absorbed in each end, ``(cells, ends)``; NaN where none can be reached."""
    out = np.equal.outer(label, ends).astype(float)
    final = out.any(1)
    _, part = sp.csgraph.connected_components(steps, directed=False)
    on = np.flatnonzero(~final & np.isin(part, part[final]))
    out[~final & ~np.isin(part, part[final])] = np.nan
    if len(on):
        left = sp.eye_array(len(on), format="csc") - steps[on][:, on].tocsc()
        out[on] = sp.linalg.splu(left).solve(steps[on][:, final] @ out[final])
    return out

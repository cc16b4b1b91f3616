"""Where cells of one time went by the next: by their clones, else by optimal transport."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from scvcell._labels import group, numbers

if TYPE_CHECKING:
    from scvcell._containers import View
    from scvcell._types import Array, Rows

MAX_PAIRS, PLACES_PER_PAIR = 500, 4
"""Cells of either time that are paired at most for a member, and places on the way between them."""


def times_of(data: View, key: str) -> Array:
    """Time of each cell, NaN where it has none."""
    column = data.column(key)
    time = numbers(column)
    odd = np.isnan(time) & column.notna().to_numpy()
    if odd.any():
        raise ValueError(f"obs[{key!r}] must hold numbers, the time of each cell, not {column[odd].iloc[0]!r}.")
    if len(np.unique(time[np.isfinite(time)])) < 2:
        raise ValueError(f"obs[{key!r}] needs at least two times; cells of one time do not tell where they are going.")
    return time


def clones_of(data: View, key: str | None, time: Array) -> Rows:
    """Number of the clone of each cell, -1 where it has none."""
    if key is None:
        return np.full(data.n_obs, -1)
    clone = group([data.column(key)]).code
    steps = pairwise(np.unique(time))
    if not any(set(clone[(time == a) & (clone >= 0)]) & set(clone[time == b]) for a, b in steps):
        raise ValueError(
            f"No clone of obs[{key!r}] has cells at two consecutive times, so that clones do not tell where cells are "
            "going. Leave clone_key out to learn from times alone."
        )
    return clone  # type: ignore[no-any-return]


def between(z: Array, time: Array, clone: Rows, rng: np.random.Generator) -> tuple[Array, Array]:
    r"""States on the straight ways between cells of consecutive times, and the velocities there.

    Cells whose clone was seen at the next time are each paired with one cell of it at random. Where there are none,
    samples of both times are paired by optimal transport (flow matching).

    References
    ----------
    Tong et al., Improving and generalizing flow-based generative models with minibatch optimal transport, TMLR 2024;
    Weinreb et al., Lineage tracing on transcriptional landscapes links state to fate during differentiation,
    Science 2020.
    """
    places, velocities = [], []
    for first, second in pairwise(np.unique(time)):
        before, after = (np.flatnonzero(time == t) for t in (first, second))
        told = before[(clone[before] >= 0) & np.isin(clone[before], clone[after])]
        n = min(MAX_PAIRS, len(told) or len(before), len(after))
        rows = rng.choice(told if len(told) else before, n)
        if len(told):
            end = z[[rng.choice(after[clone[after] == clone[row]]) for row in rows]]
        else:
            end = z[rng.choice(after, n)]
            end = end[linear_sum_assignment(cdist(z[rows], end, "sqeuclidean"))[1]]
        start = z[rows]
        for _ in range(PLACES_PER_PAIR):
            places.append(start + rng.random((n, 1)) * (end - start))
            velocities.append((end - start) / (second - first))
    return np.concatenate(places), np.concatenate(velocities)

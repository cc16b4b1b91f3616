"""Features of groups of cells (donors, slides): their pooled state, and how their cells are spread over niches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scvcell.tissue._niche import cluster, niche_states, standardised

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scvcell._containers import Membership, View
    from scvcell._types import Array, Mask, Rows
    from scvcell.model import Fitted

UNIT = "unit"
N_NICHES = 12
"""Niches over which the cells of units are counted."""
N_TAILS = 10
"""Directions of which the upper tail of each unit is read."""
TAIL = 0.9
"""Quantile of the upper tail."""


def unit_features(
    model: Fitted, view: View, units: Membership, niches: Mapping[str, Membership], order: Rows, seed: int
) -> tuple[Array, list[str]]:
    """What is said of each unit: state of its pool, mean scores, share of its cells in each niche, and upper tails.

    A mean cannot tell how cells lie to each other. Shares of niches can, as what surrounds a cell is part of its niche.

    Parameters
    ----------
    model, view
        Trained model, and the cells as it views them.
    units
        Cells of each unit.
    niches
        What surrounds each cell, by name; none where cells have no place, and niches are kinds of cells then.
    order
        Cells in an order that does not depend on how the data are sorted.
    seed
        Drives k-means.

    Returns
    -------
    Features ``(units, features)``, each block of them with the same weight; and their names.
    """
    blocks = niche_states(model, view, {**niches, UNIT: units})
    pool = {name: blocks.pop(f"{name} {UNIT}") for name in ("scores", "pool")}
    cells, _ = standardised(blocks, np.zeros(view.n_obs, np.int64))
    known = np.isfinite(cells).all(1)
    code = cluster(cells, order, min(N_NICHES, int(known.sum())), seed)
    shares = units.matrix[:, known] @ np.eye(code.max() + 1)[code[known]]
    shares = np.sqrt(shares / np.maximum(shares.sum(1, keepdims=True), 1e-12))
    tails = _tails(cells, units, known)
    parts = {"state": pool["pool"], "score": pool["scores"], "niche": shares, "tail": tails}
    names = [f"{name} {i + 1}" for name, part in parts.items() for i in range(part.shape[1])]
    return np.concatenate([_weighted(part) for part in parts.values()], 1), names


def _tails(cells: Array, units: Membership, known: Mask) -> Array:
    """Upper quantile of the cells of each unit in the leading directions, ``(units, directions)``."""
    x = np.where(known[:, None], cells, 0).astype(float)
    _, vectors = np.linalg.eigh(x.T @ x)
    lead = x @ vectors[:, ::-1][:, :N_TAILS]
    lead *= np.where(np.abs(lead).max(0) == lead.max(0), 1, -1)  # the sign of a direction is that of its largest value
    out = np.zeros((len(units.coarse), lead.shape[1]))
    for unit in range(len(out)):
        own = units.matrix.indices[units.matrix.indptr[unit] : units.matrix.indptr[unit + 1]]
        own = own[known[own]]
        if len(own):
            out[unit] = np.quantile(lead[own], TAIL, axis=0)
    return out


def _weighted(part: Array) -> Array:
    """Columns standardised over units, and the block of total variance 1; what is not known is at the mean."""
    part = np.asarray(part, dtype=float)
    known = np.isfinite(part)
    n = np.maximum(known.sum(0), 1)
    centred = np.where(known, part - np.where(known, part, 0).sum(0) / n, 0)
    sd = np.sqrt((centred**2).sum(0) / n)
    return centred / np.where(sd > 1e-9, sd, np.inf) / np.sqrt(max(part.shape[1], 1))

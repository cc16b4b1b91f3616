"""Features of groups of cells (donors, slides): their pooled state, and how their cells are spread over niches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scvcell.tissue._niche import cluster, niche_states, standardised

if TYPE_CHECKING:
    from scvcell._containers import Membership, View
    from scvcell._types import Array, Rows
    from scvcell.model import Fitted

UNIT, NEAR = "unit", "near"
N_NICHES = 24
"""Niches over which the cells of units are counted."""


def unit_features(
    model: Fitted, view: View, units: Membership, niche: Membership | None, order: Rows, seed: int
) -> tuple[Array, list[str]]:
    """What is said of each unit: state of its pool, mean scores, and the share of its cells in each niche.

    A mean cannot tell how cells lie to each other. Shares of niches can, as what surrounds a cell is part of its niche.

    Parameters
    ----------
    model, view
        Trained model, and the cells as it views them.
    units
        Cells of each unit.
    niche
        What surrounds each cell; None where cells have no place, and niches are kinds of cells then.
    order
        Cells in an order that does not depend on how the data are sorted.
    seed
        Drives k-means.

    Returns
    -------
    Features ``(units, features)``, each block of them with the same weight; and their names.
    """
    around = {UNIT: units} | ({} if niche is None else {NEAR: niche})
    blocks = niche_states(model, view, around)
    pool = {name: blocks.pop(f"{name} {UNIT}") for name in ("scores", "pool")}
    if niche is not None:
        blocks.pop("own")
    cells, _ = standardised(blocks, np.zeros(view.n_obs, np.int64))
    known = np.isfinite(cells).all(1)
    code = cluster(cells, order, min(N_NICHES, int(known.sum())), seed)
    shares = units.matrix[:, known] @ np.eye(code.max() + 1)[code[known]]
    shares = np.sqrt(shares / np.maximum(shares.sum(1, keepdims=True), 1e-12))
    parts = {"state": pool["pool"], "score": pool["scores"], "niche": shares}
    names = [f"{name} {i + 1}" for name, part in parts.items() for i in range(part.shape[1])]
    return np.concatenate([_weighted(part) for part in parts.values()], 1), names


def _weighted(part: Array) -> Array:
    """Columns standardised over units, and the block of total variance 1; what is not known is at the mean."""
    part = np.asarray(part, dtype=float)
    known = np.isfinite(part)
    n = np.maximum(known.sum(0), 1)
    centred = np.where(known, part - np.where(known, part, 0).sum(0) / n, 0)
    sd = np.sqrt((centred**2).sum(0) / n)
    return centred / np.where(sd > 1e-9, sd, np.inf) / np.sqrt(max(part.shape[1], 1))

"""Whole cells into spots: as many as each spot holds, where they are most likely."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linear_sum_assignment

if TYPE_CHECKING:
    from scvcell._types import Array, Rows

MAX_BLOCK = 400
"""Cells up to which an assignment is solved exactly; more are divided first."""
LEAST = 1e-12
"""Probability below which places do not differ."""


def whole_numbers(amount: Array, total: int) -> Rows:
    """Whole numbers in proportion to amounts, with an exact sum: the largest remainders are rounded up.

    Parameters
    ----------
    amount
        At least 0, not all 0, ``(spots,)``.
    total
        Sum of the numbers.
    """
    exact = np.asarray(amount, dtype=float) * (total / float(np.sum(amount)))
    out = np.floor(exact + 1e-9).astype(np.int64)
    rest = np.argsort(-(exact - out), kind="stable")[: total - int(out.sum())]
    out[rest] += 1
    return out


def assign(kinds: Array, spots: Array, places: Array, numbers: Rows) -> Rows:
    r"""Spot of each cell, such that each spot has its number of cells and places are as likely as can be.

    .. math:: \max_\pi \sum_c \log \sum_k p_{ck} V_{k \pi(c)}

    Cells and slots are halved along the longest axis until an exact assignment is small: to one half go the cells that
    are more likely there, as many as it has slots.

    Parameters
    ----------
    kinds
        Probabilities of the kinds of each cell, ``(cells, kinds)``.
    spots
        Share of each kind's cells in each spot, ``(kinds, spots)``.
    places
        Coordinates of spots, ``(spots, 2 or 3)``.
    numbers
        Cells of each spot; they sum to the number of cells, ``(spots,)``.

    Returns
    -------
    ``(cells,)``

    References
    ----------
    Vahid et al., High-resolution alignment of single-cell and spatial transcriptomes with CytoSPACE, Nat Biotechnol
    2023 (assignment of whole cells).
    """
    if int(numbers.sum()) != len(kinds):
        raise ValueError(f"{numbers.sum()} slots cannot be filled by {len(kinds)} cells, each once.")
    out = np.empty(len(kinds), np.int64)
    slots = np.repeat(np.arange(len(numbers)), numbers)
    todo = [(np.arange(len(kinds)), slots)]
    while todo:
        cells, mine = todo.pop()
        if len(cells) <= MAX_BLOCK or (mine == mine[0]).all():
            out[cells] = mine[_exactly(kinds[cells], spots[:, mine])]
            continue
        axis = int(np.ptp(places[mine], 0).argmax())
        mine = mine[np.argsort(places[mine, axis], kind="stable")]
        half = len(mine) // 2
        first, second = (kinds[cells] @ spots[:, part].sum(1) for part in (mine[:half], mine[half:]))
        order = np.argsort(np.log(second + LEAST) - np.log(first + LEAST), kind="stable")
        todo += [(cells[order[:half]], mine[:half]), (cells[order[half:]], mine[half:])]
    return out


def _exactly(kinds: Array, slots: Array) -> Rows:
    """The slot of each cell, ``(cells,)``."""
    if (slots == slots[:, :1]).all():
        return np.arange(len(kinds))
    return np.asarray(linear_sum_assignment(-np.log(kinds @ slots + LEAST))[1], np.int64)

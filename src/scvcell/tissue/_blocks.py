"""Blocks of neighbouring units: what is left out together, and what is drawn together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scvcell._containers import Space
    from scvcell._types import Array, Rows

N_LEFT_OUT = 8
"""Blocks of each section that are left out in turn where there are no sections to leave out."""


def blocks(space: Space, n: int) -> Rows:
    """Cut every section into `n` blocks of alike many units, halving along its longer side, ``(units,)``.

    The order of units does not matter, and nothing is random.

    Parameters
    ----------
    space
        Where units are.
    n
        Number of blocks; sections with fewer units have fewer.

    Returns
    -------
    Number of the block, from 0 in each section; -1 of units without a place.
    """
    out = np.full(len(space.xy), -1, np.int64)
    placed = space.placed
    for section in np.unique(space.section[placed]):
        here = np.flatnonzero(placed & (space.section == section))
        _cut(space.xy, here, min(n, len(here)), 0, out)
    return out


def apart(space: Space, n: int = N_LEFT_OUT) -> Rows:
    """As `blocks`, each with a number of its own across sections, ``(units,)``."""
    found = blocks(space, n)
    return np.where(found >= 0, space.section * n + found, -1)


def _cut(xy: Array, here: Rows, n: int, first: int, out: Rows) -> None:
    if n == 1:
        out[here] = first
        return
    longer = int(np.ptp(xy[here], axis=0).argmax())
    order = here[np.lexsort([*np.delete(xy[here], longer, 1).T, xy[here, longer]])]
    at = len(here) * (n // 2) // n
    _cut(xy, order[:at], n // 2, first, out)
    _cut(xy, order[at:], n - n // 2, first + n // 2, out)


def resampled(tile: Rows, n: int, rng: np.random.Generator) -> Array:
    """How often each tile is in each of `n` draws of as many tiles with replacement, ``(draws, tiles)``."""
    tiles = int(tile.max()) + 1
    return rng.multinomial(tiles, np.full(tiles, 1 / tiles), size=n).astype(float)

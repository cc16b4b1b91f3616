"""Blocks of tissue that are left out together, because neighbours are alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scvcell._types import Array, Rows

N_HALVINGS = 3
"""How often a section is cut in two: three times gives eight blocks."""


def blocks(xy: Array, section: Rows) -> Rows:
    """Block of each unit, about as many units in each: every section is halved again and again across its longer side.

    Parameters
    ----------
    xy
        Coordinates, NaN where they are not known, ``(units, dimensions)``.
    section
        Section of each unit, ``(units,)``.

    Returns
    -------
    Code of the block, -1 of units without coordinates, ``(units,)``.
    """
    code = np.where(np.isfinite(xy).all(1), section, -1)
    for _ in range(N_HALVINGS):
        finer = np.full(len(code), -1, np.int64)
        for block in np.unique(code[code >= 0]):
            here = np.flatnonzero(code == block)
            wide = xy[here, int(np.ptp(xy[here], axis=0).argmax())]
            finer[here] = 2 * block + (wide > np.median(wide))
        code = finer
    return code.astype(np.int64)

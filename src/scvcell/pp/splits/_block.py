"""Blocks of space, with a gap around what is asked about."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import KDTree

from scvcell._checks import is_number
from scvcell._containers import Space
from scvcell.pp.splits._splitter import SPLITTERS, Items, Left, Splitter
from scvcell.tissue import blocks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scvcell._types import Mask
    from scvcell.pp.splits._splitter import Asked

N_BLOCKS = 8
"""Blocks of each section, where there are no more folds."""
N_NEAREST = 20
"""Neighbour as far as which the gap is wide, where none is given."""


@SPLITTERS.register("block", aliases=("blocks", "space"))
class Block(Splitter):
    """Blocks of alike many neighbouring units; units within the gap around those asked about are in no part."""

    new = "a part of a section"
    exchangeable = "the block"
    cannot = "another section, another donor"
    takes = ("gap", "section_key")

    def __init__(self, asked: Asked) -> None:
        self.space = Space.of(asked.seen, asked.section_key)
        self.gap = reach(self.space) if asked.gap is None else asked.gap
        if not is_number(self.gap) or not 0 <= float(self.gap) < np.inf:
            raise ValueError(f"gap must be a distance from 0 on, in the unit of the coordinates, not {asked.gap!r}.")
        n = max(N_BLOCKS, asked.n_folds or 0)
        here = blocks(self.space, n)
        several, width = len(self.space.sections) > 1, len(str(n - 1))
        names = [
            f"{section} block {i:0{width}d}" if several else f"block {i:0{width}d}"
            for section in self.space.sections
            for i in range(n)
        ]
        code = np.where(here < 0, -1, self.space.section * n + here)
        there = np.unique(code[code >= 0])
        self.code = np.where(code < 0, -1, np.searchsorted(there, code))
        names = [names[i] for i in there]
        self.strata = [Items.of(self.code, names)]
        self.unit = np.array([*names, None], dtype=object)[self.code]
        self.unknown = {"no place is known": code < 0}
        self.reason = "another block of space"
        self.told = {"gap": float(self.gap), "blocks_per_section": n}

    def leave_out(self, items: Sequence[str], among: Mask) -> Left:
        """The blocks, and around them the gap."""
        names = self.strata[0].names
        test = np.isin(self.code, [names.index(name) for name in items])
        near = np.zeros_like(test)
        for section in np.unique(self.space.section[test]) if self.gap else ():
            mine = self.space.section == section
            others = np.flatnonzero(mine & ~test & (self.code >= 0))
            if len(others):
                apart = KDTree(self.space.xy[mine & test]).query(self.space.xy[others])[0]
                near[others[apart < self.gap]] = True
        return Left(test, {f"within {self.gap:.4g} of what is asked about": near})


def reach(space: Space, n: int = N_NEAREST) -> float:
    """Median distance to the n-th nearest unit; 0 where no unit has a neighbour."""
    near = space.nearest(n, itself=False).matrix.tocoo()
    apart = np.sqrt(((space.xy[near.row] - space.xy[near.col]) ** 2).sum(1))
    farthest = np.full(len(space.xy), -1.0)
    np.maximum.at(farthest, near.row, apart)
    return float(np.median(farthest[farthest >= 0])) if len(apart) else 0.0

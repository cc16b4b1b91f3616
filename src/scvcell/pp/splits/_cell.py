"""Cells, each for itself: nothing about them is new."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scvcell.pp.splits._splitter import SPLITTERS, Items, Left, Splitter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scvcell._types import Mask
    from scvcell.pp.splits._splitter import Asked


@SPLITTERS.register("cell", aliases=("random",))
class Cell(Splitter):
    """Cells by chance."""

    new = "nothing: cells like those seen"
    exchangeable = "the cell"
    cannot = "anything about new donors, actions or places"

    def __init__(self, asked: Asked) -> None:
        names = asked.seen.obs_names
        self.reason = "other cells"
        self.unit = names.to_numpy(dtype=object)
        self.strata = [Items(sorted(self.unit), np.ones(len(names), np.int64))]
        self.unknown = {}

    def leave_out(self, items: Sequence[str], among: Mask) -> Left:
        """The cells."""
        known = set(items)
        return Left(np.array([name in known for name in self.unit], bool))

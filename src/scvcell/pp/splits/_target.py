"""Targets that were never perturbed, alone or with others; and targets of a class: mechanism, pathway, scaffold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scvcell.pp.splits._actions import ActionSplitter
from scvcell.pp.splits._splitter import SPLITTERS, Left

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scvcell._types import Mask
    from scvcell.pp.splits._splitter import Asked


@SPLITTERS.register("target", aliases=("new target",))
class Target(ActionSplitter):
    """Every action that has one of some targets is asked about, so that these are never seen."""

    new = "a target: gene, drug, ligand"
    cannot = "other classes of targets, unless like ones stay together (`similarity`)"

    def __init__(self, asked: Asked) -> None:
        super().__init__(asked)
        self.reason = "new target"
        self.strata = [self.counted(self.having)]

    def leave_out(self, items: Sequence[str], among: Mask) -> Left:
        """Actions with any of the targets, combinations too."""
        return Left(self.any_of(items))

"""Donors, sites, platforms, sections: groups of cells that are left out whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scvcell._labels import group, labels
from scvcell.pp.splits._splitter import SPLITTERS, Items, Left, Splitter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scvcell._types import Mask
    from scvcell.pp.splits._splitter import Asked


@SPLITTERS.register("group")
class Group(Splitter):
    """All cells of some groups of an obs column are asked about."""

    new = "a donor, site, platform, section: any column"
    exchangeable = "the group"
    cannot = "what differs together with the group; an effect of a group that has one action only"

    def __init__(self, asked: Asked) -> None:
        column = asked.seen.column(asked.by)
        found = group([column])
        lost = found.code < 0
        if lost.all():
            raise ValueError(f"No cell has a label in obs[{asked.by!r}], so that there are no groups to leave out.")
        names = [key[0] for key in found.keys]
        self.code = {name: i for i, name in enumerate(names)}
        self.group = found.code
        self.held = f"obs[{asked.by!r}]"
        self.reason = f"another {asked.by}"
        self.strata = [Items.of(found.code, names)]
        self.unit = labels(column).to_numpy()
        self.unknown = {f"no label in obs[{asked.by!r}]": lost}

    def leave_out(self, items: Sequence[str], among: Mask) -> Left:
        """All cells of the groups are asked about."""
        return Left(np.isin(self.group, [self.code[name] for name in items]))

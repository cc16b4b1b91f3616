"""Doses and times at the edge of what was measured, or between."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from scvcell.pp.splits._actions import ActionSplitter, conditions, set_of
from scvcell.pp.splits._splitter import SPLITTERS, Items, Left
from scvcell.response import hidden

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scvcell._types import Mask, Rows
    from scvcell.pp.splits._splitter import Asked

SAME = 1e-3
"""Difference of logs up to which doses or times are the same."""


class Edge(ActionSplitter):
    """One dose (or time) of each set of targets is asked about, the others are seen.

    Where the same targets are given with others, at that dose or beyond it, such cells are in no part.
    """

    novelty: ClassVar[str]
    side: ClassVar[int]
    """1: above what is seen, -1: below, 0: between."""
    usual = 1.0
    cannot = "targets, contexts, and doses or times further out"

    def __init__(self, asked: Asked) -> None:
        super().__init__(asked)
        self.reason = self.novelty
        self.conditions, self.members = conditions(self.design)
        self.groups: dict[str, Rows] = {}
        for group in hidden(self.conditions, self.novelty):
            first = self.design.actions[self.design.code[self.members[group[0]][0]]]
            self.groups[set_of(first)] = group
        if not self.groups:
            raise ValueError(f"No condition of these data can be left out so that it is new by {self.novelty!r}.")
        names = sorted(self.groups)
        size = [sum(len(self.members[row]) for row in self.groups[name]) for name in names]
        self.strata = [Items(names, np.array(size, np.int64))]

    def leave_out(self, items: Sequence[str], among: Mask) -> Left:
        """The doses (or times) of some sets of targets."""
        asked = np.concatenate([self.groups[name] for name in items]) if items else np.array([], np.int64)
        beyond = [self._beyond(self.groups[name]) for name in items]
        test = self._of(asked)
        away = self._of(np.concatenate(beyond)) if beyond else np.zeros_like(test)
        return Left(test, {"its targets are there with others, at what is asked about": away & ~test})

    def _of(self, rows: Rows) -> Mask:
        """Cells of some conditions."""
        mask = np.zeros(len(self.design.code), bool)
        for row in rows:
            mask[self.members[row]] = True
        return mask

    def _beyond(self, group: Rows) -> Rows:
        """Conditions with these targets and others, as far out as the group or further."""
        given = self.conditions.exposure > 0
        mine = given[group[0]]
        more = given[:, mine].all(1) & (given.sum(1) > mine.sum())
        if "dose" in self.novelty:
            far = self.conditions.level[:, mine] - self.conditions.level[group][:, mine].mean(0)
        else:
            far = (self.conditions.time - self.conditions.time[group].mean())[:, None]
        out = far * self.side >= -SAME if self.side else np.abs(far) <= SAME
        return np.flatnonzero(more & out.any(1))


@SPLITTERS.register("higher dose")
class HigherDose(Edge):
    """The highest dose of each set of targets."""

    novelty, side, new = "higher dose", 1, "a dose above all seen"


@SPLITTERS.register("lower dose")
class LowerDose(Edge):
    """The lowest dose of each set of targets."""

    novelty, side, new = "lower dose", -1, "a dose below all seen"


@SPLITTERS.register("dose between")
class DoseBetween(Edge):
    """A dose of each set of targets that has higher and lower ones."""

    novelty, side, new = "dose between", 0, "a dose between those seen"


@SPLITTERS.register("later")
class Later(Edge):
    """The last time of each set of targets."""

    novelty, side, new = "later", 1, "a time after all seen"


@SPLITTERS.register("earlier")
class Earlier(Edge):
    """The first time of each set of targets."""

    novelty, side, new = "earlier", -1, "a time before all seen"


@SPLITTERS.register("time between")
class TimeBetween(Edge):
    """A time of each set of targets that has later and earlier ones."""

    novelty, side, new = "time between", 0, "a time between those seen"

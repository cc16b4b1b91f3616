"""Combinations of which all parts, some, or none are seen elsewhere; and whole actions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scvcell.perturb import as_action
from scvcell.pp.splits._actions import ActionSplitter, set_of
from scvcell.pp.splits._splitter import SPLITTERS, Left

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scvcell._types import Mask
    from scvcell.perturb import PerturbationKeys
    from scvcell.pp.splits._splitter import Asked


class Combination(ActionSplitter):
    """What splits of combinations share: their names, and which targets are seen."""

    def __init__(self, asked: Asked) -> None:
        super().__init__(asked)
        self.keys: PerturbationKeys | None = asked.perturbation
        self.parts: dict[str, set[str]] = {}
        self.actions: dict[str, list[int]] = {}
        for i, (name, action) in enumerate(zip(self.sets, self.design.actions, strict=True)):
            if len(action.targets) > 1:
                self.parts[name] = set(action.targets)
                self.actions.setdefault(name, []).append(i)
        if not self.parts:
            raise ValueError("No cell has a combination of targets, so that there is none to leave out.")
        self.strata = [self.counted(self.actions)]

    def named(self, names: Sequence[str]) -> list[str]:
        """``"B+A"`` is ``"A+B"``."""
        return super().named([set_of(as_action(name, self.keys)) for name in names])

    def _of(self, names: Iterable[str]) -> Mask:
        """Cells of some combinations."""
        return self.cells(i for name in names for i in self.actions[name])

    def seen(self, among: Mask) -> set[str]:
        """Targets of the actions of some cells."""
        return {t for i in np.unique(self.design.code[among & self.treated]) for t in self.design.actions[i].targets}


@SPLITTERS.register("combo seen 2", aliases=("new combination",))
class AllSeen(Combination):
    """Combinations whose every part is seen, alone or in other combinations."""

    new = "a combination; every part is seen"
    cannot = "new targets"

    def __init__(self, asked: Asked) -> None:
        super().__init__(asked)
        self.reason = "new combination"
        there = {target: {self.sets[i] for i in actions if self.number[i]} for target, actions in self.having.items()}
        able = {n: self.actions[n] for n, parts in self.parts.items() if all(there[part] - {n} for part in parts)}
        if not able:
            raise ValueError("Every combination has a part that is seen nowhere else, so that none can be left out.")
        self.strata = [self.counted(able)]

    def leave_out(self, items: Sequence[str], among: Mask) -> Left:
        """The combinations; those with a part that is then seen nowhere are in no part."""
        asked = self._of(items)
        known = self.seen(among & ~asked)
        whole = self._of(name for name in items if self.parts[name] <= known)
        return Left(whole, {"a part of the combination is seen nowhere else": asked & ~whole})


@SPLITTERS.register("combo seen 1")
class SomeSeen(Combination):
    """Combinations of a target that is never seen with one that is."""

    new = "a combination; one part is seen, the other never"
    cannot = "combinations of known targets, which are easier"

    def __init__(self, asked: Asked) -> None:
        super().__init__(asked)
        self.reason = "new combination, one part seen"
        self.strata = [self.counted({target: self.having[target] for target in set.union(*self.parts.values())})]

    def named(self, names: Sequence[str]) -> list[str]:
        """Targets."""
        return ActionSplitter.named(self, names)

    def leave_out(self, items: Sequence[str], among: Mask) -> Left:
        """Combinations of the targets with others; all else that has the targets is in no part."""
        gone = self.any_of(items)
        known = self.seen(among & ~gone)
        asked = self._of(n for n, parts in self.parts.items() if parts & set(items) and parts & known)
        test = asked & self._of(n for n, parts in self.parts.items() if parts - set(items) <= known)
        return Left(test, {"it has a target that must not be seen": gone & ~test})


@SPLITTERS.register("combo seen 0")
class NoneSeen(Combination):
    """Combinations none of whose parts is seen."""

    new = "a combination; no part is seen"
    cannot = "combinations of known targets, which are easier; much is in no part"

    def __init__(self, asked: Asked) -> None:
        super().__init__(asked)
        self.reason = "new combination, no part seen"

    def leave_out(self, items: Sequence[str], among: Mask) -> Left:
        """The combinations; all else that has one of their targets is in no part."""
        gone = self.any_of(set.union(*(self.parts[name] for name in items)) if items else ())
        test = self._of(items)
        return Left(test, {"it has a target that must not be seen": gone & ~test})


@SPLITTERS.register("action")
class WholeAction(ActionSplitter):
    """Actions as they are, with dose and time, in all contexts."""

    new = "targets, dose and time together; each may be seen otherwise"
    cannot = "new targets: another dose of them may be seen"

    def __init__(self, asked: Asked) -> None:
        super().__init__(asked)
        self.reason = "another action"
        self.code = {str(action): i for i, action in enumerate(self.design.actions)}
        self.strata = [self.counted({name: [i] for name, i in self.code.items()})]

    def leave_out(self, items: Sequence[str], among: Mask) -> Left:
        """The actions."""
        return Left(self.cells(self.code[name] for name in items))

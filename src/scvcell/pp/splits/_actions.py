"""What splitters of actions share: the design of the data, units that are actions in contexts, conditions."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from scvcell._checks import expect
from scvcell.perturb import PerturbationKeys, read_design
from scvcell.pp.splits._splitter import Items, Splitter
from scvcell.response import of_actions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from scvcell._types import Mask, Rows
    from scvcell.perturb import Action, Design
    from scvcell.pp.splits._splitter import Asked
    from scvcell.response import Conditions


class ActionSplitter(Splitter):
    """Splits of treated cells. Controls are always seen; units are actions in contexts.

    Attributes
    ----------
    design
        What was done to which cell.
    sets
        Targets of every action, joined by ``"+"``: actions at other doses and times are one set.
    having
        Numbers of the actions that have a target, by its name.
    number
        Treated cells of every action, ``(actions,)``.
    """

    exchangeable = "action x context"
    takes: ClassVar[tuple[str, ...]] = ("perturbation",)
    needs: ClassVar[tuple[str, ...]] = ("perturbation",)

    def __init__(self, asked: Asked) -> None:
        keys = asked.perturbation
        expect("perturbation", keys, PerturbationKeys, "For example PerturbationKeys('drug', control='DMSO').")
        assert keys is not None
        self.design: Design = read_design(keys, asked.seen.column)
        self.sets = [set_of(action) for action in self.design.actions]
        self.having: dict[str, list[int]] = {target: [] for target in self.design.targets}
        for i, action in enumerate(self.design.actions):
            for target in action.targets:
                self.having[target].append(i)
        self.number = np.bincount(self.design.code[self.treated], minlength=len(self.sets))
        lost, placeless = self.design.code == -2, self.design.context < 0
        self.unknown = {f"no label in obs[{keys.target!r}]": lost}
        if keys.contexts:
            where = " or ".join(f"obs[{name!r}]" for name in keys.contexts)
            self.unknown[f"no label in {where}"] = placeless & ~lost
        self.unit = units(self.design)
        self.unit[lost | placeless] = None

    @property
    def treated(self) -> Mask:
        """Treated cells whose context is known, ``(cells,)``."""
        return self.design.treated & (self.design.context >= 0)

    def cells(self, actions: Iterable[int]) -> Mask:
        """Cells of some actions, ``(cells,)``."""
        return self.treated & np.isin(self.design.code, list(actions))

    def any_of(self, targets: Iterable[str]) -> Mask:
        """Cells whose action has any of some targets, ``(cells,)``."""
        return self.cells({i for target in targets for i in self.having.get(target, ())})

    def counted(self, actions: Mapping[str, Iterable[int]]) -> Items:
        """Items with the number of their cells, each made of some actions, by its name."""
        names = sorted(actions)
        return Items(names, np.array([self.number[list(actions[name])].sum() for name in names], np.int64))


def set_of(action: Action) -> str:
    """The targets of an action as one name."""
    return "+".join(sorted(action.targets))


def units(design: Design) -> np.ndarray:
    """Name of every cell's action in its context, ``(cells,)``."""
    names = [*map(str, design.actions), "unknown", "control"]
    several = len(design.contexts) > 1
    joined = np.array(
        [[f"{name} in {place}" if several else name for place in map(str, design.contexts)] for name in names], object
    )
    return joined[design.code, design.context]  # type: ignore[no-any-return]


def conditions(design: Design) -> tuple[Conditions, list[Rows]]:
    """Every action in every context, and the cells of each."""
    cells, actions = [], []
    for k in range(len(design.contexts)):
        here = design.context == k
        for code in np.unique(design.code[here & design.treated]):
            cells.append(np.flatnonzero(here & (design.code == code)))
            actions.append(design.actions[code])
    return of_actions(actions, design.targets), cells

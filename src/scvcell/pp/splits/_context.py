"""Actions in contexts: another context, another pair of both, and targets in contexts of which neither is seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scvcell.pp.splits._actions import ActionSplitter
from scvcell.pp.splits._splitter import SPLITTERS, Items, Left

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scvcell._types import Mask
    from scvcell.pp.splits._splitter import Asked


class Contexts(ActionSplitter):
    """What splits by context share."""

    def __init__(self, asked: Asked) -> None:
        super().__init__(asked)
        self.places = [str(name) for name in self.design.contexts]
        if len(self.places) < 2:
            raise ValueError(
                f"by={asked.by!r} needs at least two contexts, and there is {len(self.places)}. Name their column: "
                "PerturbationKeys(..., context='cell_type')."
            )

    def inside(self, names: Sequence[str]) -> Mask:
        """Cells of some contexts, untreated ones too."""
        return np.isin(self.design.context, [i for i, name in enumerate(self.places) if name in set(names)])


@SPLITTERS.register("context")
class Context(Contexts):
    """All treated cells of some contexts are asked about; their controls are seen."""

    new = "a context of which only untreated cells are seen"
    cannot = "contexts without any cell in training (name the column), new actions"

    def __init__(self, asked: Asked) -> None:
        super().__init__(asked)
        self.reason = "another context"
        self.strata = [Items.of(np.where(self.treated, self.design.context, -1), self.places)]

    def leave_out(self, items: Sequence[str], among: Mask) -> Left:
        """Treated cells of the contexts."""
        return Left(self.inside(items) & self.treated)


@SPLITTERS.register("pair")
class Pair(Contexts):
    """Targets in one context are asked about; elsewhere they are seen, and so are other targets in that context."""

    new = "a pair of targets and context; each is seen with others"
    cannot = "new targets, new contexts"

    def __init__(self, asked: Asked) -> None:
        super().__init__(asked)
        self.reason = "new pair of action and context"
        sets = sorted(set(self.sets))
        number = np.array([sets.index(name) for name in self.sets])
        self.one = np.where(self.treated, number[self.design.code], -1)
        self.pair = np.where(self.treated, self.one * len(self.places) + self.design.context, -1)
        there, size = np.unique(self.pair[self.treated], return_counts=True)
        able = np.bincount(there // len(self.places))[there // len(self.places)] > 1
        if not able.any():
            raise ValueError("No targets are given in more than one context, so that no pair can be left out.")
        pairs = [(int(p), *divmod(int(p), len(self.places))) for p in there[able]]
        self.pairs = {f"{sets[a]} in {self.places[k]}": p for p, a, k in pairs}
        self.strata = [Items(list(self.pairs), size[able])]

    def leave_out(self, items: Sequence[str], among: Mask) -> Left:
        """The pairs; those whose targets are then seen in no other context are in no part."""
        every = np.isin(self.pair, [self.pairs[name] for name in items])
        seen = set(np.unique(self.one[among & ~every]))
        alone = every & ~np.isin(self.one, list(seen))
        return Left(every & ~alone, {"its targets are seen in no other context": alone})


@SPLITTERS.register("double-cold")
class DoubleCold(Contexts):
    """Targets that are never seen, in contexts that are never seen. What has one of both is in no part."""

    new = "a target in a context, neither of them seen"
    cannot = "which of both is the difficulty; much is in no part"

    def __init__(self, asked: Asked) -> None:
        super().__init__(asked)
        self.reason = "new target in another context"
        targets, places = self.counted(self.having), Items.of(self.design.context, self.places)
        both = sorted(set(targets.names) & set(places.names))
        if both:
            raise ValueError(f"{both[0]!r} is a target and a context; rename one, so that test= can name them.")
        self.strata = [targets, places]

    def leave_out(self, items: Sequence[str], among: Mask) -> Left:
        """The targets in the contexts, and untreated cells of these to start from."""
        here, having = self.inside(items), self.any_of(items)
        test = here & having
        return Left(
            test | (here & self.design.control),
            {
                "its target must not be seen": having & ~here,
                "its context must not be seen": here & ~having & ~self.design.control,
            },
        )

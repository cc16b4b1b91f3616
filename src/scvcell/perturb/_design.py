"""What was done to which cell: columns of obs read as actions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scvcell._labels import several
from scvcell.perturb._action import Action

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from scvcell._types import Mask, Rows

_NO_TREATMENT = {
    *("unassigned", "not assigned", "unknown", "undetermined", "ambiguous", "unmapped", "negative", "doublet"),
    *("doublets", "multiplet", "na", "n/a", "nan", "<na>", "none", "null"),
}
"""Labels, in lower case, that seem to tell that nothing is known of a cell."""


@dataclass(frozen=True)
class PerturbationKeys:
    """Where obs says what was done to each cell.

    Parameters
    ----------
    target
        Column with the names of the targets, joined by `separator`. Cells with a missing or blank label are neither
        treated nor untreated; any other label is a target, also ``"unassigned"`` and its like, which the fit names.
    control
        The label, or labels, of untreated cells in that column; numbers and truth values as they are, or as text.
    dose
        Column of doses: a number, a number with its unit (``"0.1 uM"``), or one per target joined by `separator`.
        Units of one target are converted to that of most of its cells.
    time
        Column of the time at which cells were taken, numbers in one unit.
    separator
        What stands between targets and between doses.
    schedule
        Column of schedules, each a list of ``(target, dose, start, stop)``, or the same as JSON text, which files can
        hold; such a cell's `target` and `dose` are not read.
    context
        Columns within which treated cells are compared with controls (cell type, line, donor); none compares all.
    """

    target: str
    control: Any
    dose: str | None = None
    time: str | None = None
    separator: str = "+"
    schedule: str | None = None
    context: str | tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, given in (("control", self.control), ("context", self.context)):
            if not isinstance(given, str):
                plain = tuple(several(given))
                object.__setattr__(self, name, plain[0] if np.ndim(given) == 0 and len(plain) == 1 else plain)

    @property
    def controls(self) -> tuple[str, ...]:
        """Every control label."""
        return tuple(label.strip() for label in several(self.control))

    @property
    def contexts(self) -> tuple[str, ...]:
        """Every context column."""
        return (self.context,) if isinstance(self.context, str) else tuple(self.context)

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that is read."""
        named = (self.target, self.dose, self.time, self.schedule, *self.contexts)
        return tuple(dict.fromkeys(name for name in named if name is not None))


@dataclass(frozen=True)
class Design:
    """What was done to which cell.

    Attributes
    ----------
    actions
        Every distinct action but control.
    code
        Of each cell the number of its action; -1 for control, -2 where it is not known, ``(cells,)``.
    contexts
        Names of the contexts, no two alike; ``"all"`` where there is one.
    context
        Of each cell the number of its context; -1 where it is not known, ``(cells,)``.
    units
        Unit of each target's dose.
    """

    actions: tuple[Action, ...]
    code: Rows
    contexts: tuple[Any, ...]
    context: Rows
    units: Mapping[str, str]

    @property
    def control(self) -> Mask:
        """Untreated cells, ``(cells,)``."""
        return self.code == -1

    @property
    def treated(self) -> Mask:
        """Treated cells, ``(cells,)``."""
        return self.code >= 0

    @property
    def targets(self) -> tuple[str, ...]:
        """Every target, sorted."""
        return tuple(sorted({target for action in self.actions for target in action.targets}))

    @property
    def doubtful(self) -> dict[str, int]:
        """Targets whose name seems to tell that nothing is known of a cell, and the cells of each."""
        number = np.bincount(self.code[self.treated], minlength=len(self.actions))
        return {
            target: int(sum(n for action, n in zip(self.actions, number, strict=True) if target in action.targets))
            for target in self.targets
            if target.lower() in _NO_TREATMENT
        }


def as_action(
    action: str | Iterable[str] | Mapping[str, float | str | None] | Action,
    keys: PerturbationKeys | None = None,
    units: Mapping[str, str] | None = None,
) -> Action:
    """What the verbs accept for an action: an `Action`, or what makes one.

    Parameters
    ----------
    action
        Text is read as a label of the data: it is split at the separator of `keys`, and control labels are no targets.
    keys
        Columns of the fit.
    units
        Unit of each target's dose in the fit; doses come in these.
    """
    if isinstance(action, str) and keys is not None:
        action = [] if action.strip() in keys.controls else action.split(keys.separator)
    made = action if isinstance(action, Action) else Action(action)
    return made.without(keys.controls if keys else ()).in_units(units or {})

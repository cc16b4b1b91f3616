"""Contrasts: the cells of one action in one context, and their controls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scvcell.response._bulk import FEWEST

if TYPE_CHECKING:
    from scvcell._types import Mask, Rows
    from scvcell.perturb import Action, Design


@dataclass(frozen=True)
class Contrast:
    """What was done in one context, and the cells of it.

    Attributes
    ----------
    action, context
        The action, and the number of the context.
    treated, controls
        Positions of its cells and of their controls.
    """

    action: Action
    context: int
    treated: Rows
    controls: Rows

    @property
    def enough(self) -> bool:
        """Whether there are treated cells and controls enough for their means to tell their own variance."""
        return min(len(self.treated), len(self.controls)) >= FEWEST


def contrasts(design: Design, allowed: Mask) -> list[Contrast]:
    """Every action in every context that has allowed treated cells and controls."""
    units = []
    for k in range(len(design.contexts)):
        here = allowed & (design.context == k)
        controls = np.flatnonzero(here & design.control)
        for code in np.unique(design.code[here & design.treated]):
            treated = np.flatnonzero(here & (design.code == code))
            if len(controls):
                units.append(Contrast(design.actions[code], k, treated, controls))
    if not units:
        raise ValueError("No context has both treated and control cells among those that may be trained on.")
    return units


def teaches(unit: Contrast) -> bool:
    """Whether a flow learns a condition; those of few cells, or with a schedule, are left to the anchor."""
    return unit.enough and not unit.action.scheduled

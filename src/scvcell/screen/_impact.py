"""Measured effects of actions on one assay, by sums over groups of cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from scvcell._checks import seed_of
from scvcell._stats import jackknife_variance
from scvcell.response import Bulk, asked_each, compared, design_of, learned, treated

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from scvcell._containers import Container
    from scvcell._types import Array
    from scvcell.model import CSL
    from scvcell.perturb import Action
    from scvcell.response import Contrast

FOLDS = 10
"""Groups of cells that are left out in turn."""


class MeasuredEffect(NamedTuple):
    """Measured effect of a condition, in log2 fold changes or units of the assay.

    Attributes
    ----------
    unit
        What was done, and the cells.
    value
        Effect by all cells and by those without each fold, ``(1 + folds, features)``.
    noise, shared
        Its sampling variance, and the part that is due to the controls, ``(features,)``.
    """

    unit: Contrast
    value: Array
    noise: Array
    shared: Array


def measure_effect(
    data: Container, model: CSL, actions: Iterable[str | Mapping[str, float | str | None] | Action] | None, seed: int
) -> dict[str, dict[tuple[str, Any], MeasuredEffect]]:
    """Effect of each action in each context, by assay."""
    response, view, rng = learned(model), model.view(data), np.random.default_rng(seed_of(seed))
    wanted = asked_each(response, actions)
    design = compared(design_of(view, response), response)
    units = treated(design, design.actions if wanted is None else wanted)
    out: dict[str, dict[tuple[str, Any], MeasuredEffect]] = {}
    for modality in response.anchors:
        bulk = Bulk(model.readout(view, modality))
        controls: dict[int, Array] = {}
        for name, unit in units.items():
            if min(map(bulk.count, (unit.treated, unit.controls))) < FOLDS:
                continue
            if unit.context not in controls:
                controls[unit.context] = bulk.replicates(unit.controls, FOLDS, rng) / bulk.per_log2
            before, after = controls[unit.context], bulk.replicates(unit.treated, FOLDS, rng) / bulk.per_log2
            shared = jackknife_variance(before)
            out.setdefault(modality, {})[name] = MeasuredEffect(
                unit, after - before, jackknife_variance(after) + shared, shared
            )
    if not out:
        raise ValueError(
            f"No condition has {FOLDS} treated and {FOLDS} control cells with {', '.join(response.anchors)}."
        )
    return out

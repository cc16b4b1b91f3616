"""tl.order_effect: whether it matters which of two targets, or of a target and what is done with cells, comes first."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scvcell._calm import progress
from scvcell._checks import check_level, is_number, seed_of, whole_number
from scvcell._containers import units_of
from scvcell._keys import LOWER, UPPER
from scvcell.perturb import Action
from scvcell.response import FEWEST_CELLS, Controls, as_target, compared, contrasts
from scvcell.screen import (
    OPERATORS,
    Arm,
    additive_null,
    against_action,
    both_orders,
    by_cells,
    by_pools,
    joint_size,
    measured_pools,
    pools_of,
    refit,
    resampled,
    singles,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch

    from scvcell._containers import Container, Membership
    from scvcell._types import Array
    from scvcell.model import CSL
    from scvcell.perturb import AffineFlow
    from scvcell.response import Contrast

AGGREGATE = "aggregate"
"""What pooling is called as a second operator."""


def order_effect(
    data: Container,
    model: CSL,
    first: str,
    second: str,
    *,
    cells: Any = None,
    by: str | int | Membership | None = None,
    section_key: str | None = None,
    level: float = 0.9,
    n_null: int = 39,
    seed: int = 0,
) -> pd.DataFrame:
    r"""Test whether it matters which of two targets comes first, or whether cells are pooled or measured first.

    .. math::
        \kappa = \frac{\|O_2 O_1 z - O_1 O_2 z\|}{\|O_1 z - z\| + \|O_2 z - z\|}

    averaged over cells: 0 if the two commute. An estimate is above 0 also where the truth is 0, so it is compared with
    what it would be then. Where the data have both orders (the column ``schedule`` of `PerturbationKeys`; 10 cells of
    one context with either, the two periods exchanged), the mean states of the cells are compared, and the null
    permutes which order they had. Else the operator is asked, whether the effect of one target depends on states that
    the other one changes, and the null is a parametric bootstrap of the additive model: cells made from the controls by
    the measured fold change of every feature, the same in all cells, are drawn, encoded, and given to the same fit.
    Either way each target alone is needed.

    With ``"aggregate"`` as `second`, the bulk of the cells after the action (summed counts, one bulk per batch) is
    compared with what the action does to their bulk: whether bulk samples can stand in for cells. In tissue `by` says
    which cells are pooled: whether :math:`P \Delta z` is :math:`\Delta P z` for spots, niches or donors. Where several
    units have treated cells and controls, as niches of several sections do, their measured pools are compared: kappa is
    how far the effects on units are from their mean over units, as a share of their size. The null makes treated cells
    from the controls of each unit by the same fold changes, so it holds what pooling does to an effect that is the same
    everywhere.

    With ``"measure"``, the mean state that is read from cells measured after the action is compared with the state that
    they were moved to; measuring the untreated cells moves nothing, as their states are what was read. Without measured
    pools both are asked of the operator, and leave out what it does not explain of the effect on an assay.

    Parameters
    ----------
    data, model, cells
        As :func:`scvcell.tl.perturb`; `data` with the cells treated with either target alone.
    first, second
        A target, and another one, ``"aggregate"`` or ``"measure"``.
    by
        With ``"aggregate"``, what cells are pooled to, as in :func:`scvcell.tl.project`: a column of obs, a number of
        nearest neighbours, or a :class:`scvcell.scale.Membership` of whole cells. Batches by default.
    section_key
        Column of the section, for neighbours.
    level
        Coverage of the interval, by bootstrap of treated and untreated cells.
    n_null
        Draws of the null, and of the bootstrap.
    seed
        Drives all draws.

    Returns
    -------
    One row per group: ``group``, ``kappa``, ``null`` (mean of kappa where order does not matter), ``lower``, ``upper``,
    ``level``, ``p`` (share of null draws, the estimate among them, that reach it; at least ``1 / (n_null + 1)``),
    ``n_cells`` (controls, or cells that had both targets), ``compared`` (``"operator"``, ``"cells"`` or ``"pools"``).

    Raises
    ------
    ValueError
        If `level` is not between 0 and 1, `n_null` is below 1, the targets are the same, or one of them alone was given
        to fewer than 10 cells; or if `by` is not given with ``"aggregate"``, or pools no two cells.

    References
    ----------
    Hu and Chen, Insights into Artificial Intelligence Virtual Cells (commutators of operators); Davison and Hinkley,
    Bootstrap Methods and their Application, 1997, ch. 4 (parametric bootstrap tests).
    """
    check_level(level)
    n_null, seed = whole_number("n_null", n_null, 1), seed_of(seed)
    first, second = as_target(first), as_target(second)
    if first == second:
        raise ValueError(f"Give two different targets; both are {first!r}.")
    if by is not None and second != AGGREGATE:
        raise ValueError(f"by= says what cells are pooled to; it goes with {AGGREGATE!r}, not with {second!r}.")
    start = Controls(data, model, cells)
    if is_number(by):
        by = whole_number("by", by, 2)  # a pool of one cell is no pool
    membership = None if by is None else units_of(start.view, by, section_key)[0]
    design = compared(start.design, start.response)
    units = [u for u in contrasts(design, np.ones(start.view.n_obs, bool)) if len(u.treated) >= FEWEST_CELLS]
    operator = None if second in start.response.flow.targets else OPERATORS.get(second)
    alone = singles(units, (first,) if operator else (first, second))
    prepare = operator or partial(against_action, Action([second]))
    latent = model.posterior(start.view).mean
    groups = {name: (group, set(design.context[start.index[group]].tolist())) for name, group in start.groups()}
    ordered = both_orders(units, first, second)
    rng = np.random.default_rng(seed)
    measured_by = {}
    if membership is not None:
        every = {name: [u for u in alone if u.context in contexts] for name, (_, contexts) in groups.items()}
        measured_by = {name: measured_pools(start, each, membership) for name, each in every.items()}
        measured_by = {name: each for name, each in measured_by.items() if any(each)}
    if measured_by:
        parts = {name: by_pools(start, each, latent, n_null, rng) for name, each in measured_by.items()}
        found, null, again = (np.array([part[k] for part in parts.values()]).T for k in range(3))
        n_cells = {name: part[3] for name, part in parts.items()}
    elif ordered:
        sides = {
            name: [(latent[a.treated], latent[b.treated]) for a, b in ordered if a.context in contexts]
            for name, (_, contexts) in groups.items()
        }
        sides = {name: pairs for name, pairs in sides.items() if pairs}
        size = {name: joint_size(alone, latent, groups[name][1]) for name in sides}
        found, null, again = by_cells(sides, size, n_null, rng)
        n_cells = {name: sum(len(a) + len(b) for a, b in pairs) for name, pairs in sides.items()}
    else:
        n_cells = {name: len(group) for name, (group, _) in groups.items()}
        asked = [group for group, _ in groups.values()]
        options = [{} if membership is None else {"pools": pools_of(membership, start, group)} for group in asked]
        each = [
            prepare(start, Action([first]), group, seed, **given) for group, given in zip(asked, options, strict=True)
        ]
        found, null, again = _by_operator(start, alone, latent, each, n_null, seed, rng)
    # The bootstrap adds the noise of the sample once more; the interval turns it around the estimate.
    low, high = np.quantile(again, [0.5 - level / 2, 0.5 + level / 2], axis=0)
    return pd.DataFrame(
        {
            "group": list(n_cells),
            "kappa": found,
            "null": null.mean(0),
            LOWER: np.maximum(2 * found - high, 0),
            UPPER: np.maximum(2 * found - low, 0),
            "level": level,
            "p": (1 + (null >= found).sum(0)) / (1 + n_null),
            "n_cells": list(n_cells.values()),
            "compared": "pools" if measured_by else "cells" if ordered else "operator",
        }
    )


def _by_operator(
    start: Controls,
    alone: list[Contrast],
    latent: torch.Tensor,
    asked: Sequence[Callable[[AffineFlow], float]],
    n: int,
    seed: int,
    rng: np.random.Generator,
) -> tuple[Array, Array, Array]:
    """Kappas of an operator that is fitted anew: to what was measured, to draws of the null, and of the bootstrap."""
    measured = [Arm(u.action, u.context, latent[u.treated], latent[u.controls]) for u in alone]

    def kappas(arms: list[Arm]) -> Array:
        flow = refit(arms, seed)
        return np.array([kappa(flow) for kappa in asked])

    found, shown = kappas(measured), start.model.progress
    draws = progress(additive_null(start, alone, latent, n, rng), "Order, where it does not matter", shown=shown)
    null = np.array([kappas(arms) for arms in draws])
    samples = progress(range(n), "Order, bootstrap", shown=shown)
    again = np.array([kappas([resampled(arm, rng) for arm in measured]) for _ in samples])
    return found, null, again

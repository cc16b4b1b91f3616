"""tl.order_effect: whether it matters which of two targets, or of a target and what is done with cells, comes first."""

from __future__ import annotations

import copy
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from scvcell._calm import progress
from scvcell._checks import seed_of
from scvcell._containers import whole_number
from scvcell._keys import LOWER, UPPER
from scvcell.model import FEWEST, Unit, conditions, evenly, make_flow, train_flow
from scvcell.perturb import Action
from scvcell.tl._calibrate import check_level
from scvcell.tl._controls import Controls, as_target, compared

if TYPE_CHECKING:
    from collections.abc import Callable

    from scvcell._containers import Container
    from scvcell._types import Array, Rows
    from scvcell.model import CSL
    from scvcell.perturb import AffineFlow


STEPS = 100
"""Steps of each refit of the flow."""
SOME = 200
"""Cells of a group that are measured anew, evenly from it."""


class Arm(NamedTuple):
    """States of the cells of one target in one context, and of their controls."""

    action: Action
    context: int
    treated: torch.Tensor
    controls: torch.Tensor


def order_effect(
    data: Container,
    model: CSL,
    first: str,
    second: str,
    *,
    cells: Any = None,
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
    compared with what the action does to their bulk: whether bulk samples can stand in for cells. With ``"measure"``,
    the mean state that is read from cells measured after the action is compared with the state that they were moved to;
    measuring the untreated cells moves nothing, as their states are what was read. Both are asked of the operator, and
    leave out what it does not explain of the effect on an assay.

    Parameters
    ----------
    data, model, cells
        As :func:`scvcell.tl.perturb`; `data` with the cells treated with either target alone.
    first, second
        A target, and another one, ``"aggregate"`` or ``"measure"``.
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
    ``n_cells`` (controls, or cells that had both targets), ``compared`` (``"operator"`` or ``"cells"``).

    Raises
    ------
    ValueError
        If `level` is not between 0 and 1, `n_null` is below 1, the targets are the same, or one of them alone was given
        to fewer than 10 cells.

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
    start = Controls(data, model, cells)
    design = compared(start.design, start.response)
    units = [u for u in conditions(design, np.ones(start.view.n_obs, bool)) if len(u.treated) >= FEWEST]
    operator = None if second in start.response.flow.targets else OPERATORS.get(second)
    alone = _alone(units, (first,) if operator else (first, second))
    prepare = operator or partial(_against_action, Action([second]))
    latent = model.posterior(start.view).mean
    groups = {name: (group, set(design.context[start.index[group]].tolist())) for name, group in start.groups()}
    ordered = _both_orders(units, first, second)
    rng = np.random.default_rng(seed)
    if ordered:
        sides = {
            name: [(latent[a.treated], latent[b.treated]) for a, b in ordered if a.context in contexts]
            for name, (_, contexts) in groups.items()
        }
        sides = {name: pairs for name, pairs in sides.items() if pairs}
        size = {name: _size(alone, latent, groups[name][1]) for name in sides}
        found, null, again = _by_cells(sides, size, n_null, rng)
        n_cells = {name: sum(len(a) + len(b) for a, b in pairs) for name, pairs in sides.items()}
    else:
        n_cells = {name: len(group) for name, (group, _) in groups.items()}
        measured = [Arm(u.action, u.context, latent[u.treated], latent[u.controls]) for u in alone]
        each = [prepare(start, Action([first]), group, seed) for group, _ in groups.values()]

        def kappas(arms: list[Arm]) -> Array:
            flow = _refit(arms, seed)
            return np.array([kappa(flow) for kappa in each])

        found = kappas(measured)
        draws = _additive(start, alone, latent, n_null, rng)
        null = np.array(
            [kappas(arms) for arms in progress(draws, "Order, where it does not matter", shown=model.progress)]
        )
        samples = progress(range(n_null), "Order, bootstrap", shown=model.progress)
        again = np.array([kappas([_resampled(arm, rng) for arm in measured]) for _ in samples])
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
            "compared": "cells" if ordered else "operator",
        }
    )


def _alone(units: list[Unit], targets: tuple[str, ...]) -> list[Unit]:
    """Every context in which one of the targets alone was given."""
    found = [u for u in units if u.action.targets in {(t,) for t in targets} and not u.action.scheduled]
    for target in targets:
        if not any(u.action.targets == (target,) for u in found):
            raise ValueError(
                f"The data have no {FEWEST} cells of one context that got {target!r} alone; the test of an order needs "
                f"each target alone. Give the data of the fit. The second may also be one of {list(OPERATORS)}."
            )
    return found


def _both_orders(units: list[Unit], first: str, second: str) -> list[tuple[Unit, Unit]]:
    """Conditions in which `first` came before `second`, each with that of the same context with exchanged periods."""
    known = {(unit.action, unit.context): unit for unit in units}
    found = []
    for unit in units:
        if len(unit.action.pulses) == 2 and unit.action.targets == (first, second):
            a, b = unit.action.pulses
            if a.start < b.start and a.stop is not None and b.stop is not None:
                periods = [b._replace(start=a.start, stop=a.stop), a._replace(start=b.start, stop=b.stop)]
                other = (Action.schedule(periods, time=unit.action.time), unit.context)
                if other in known:
                    found.append((unit, known[other]))
    return found


def _size(alone: list[Unit], latent: torch.Tensor, contexts: set[int]) -> float:
    """How far the targets alone move the mean state, summed; mean over conditions of the contexts, or of all."""
    moved: dict[tuple[str, ...], list[float]] = {}
    inside = [u for u in alone if u.context in contexts]
    for unit in inside if len({u.action.targets for u in inside}) == 2 else alone:
        step = latent[unit.treated].mean(0) - latent[unit.controls].mean(0)
        moved.setdefault(unit.action.targets, []).append(float(step.norm()))
    return max(sum(float(np.mean(values)) for values in moved.values()), 1e-12)


def _by_cells(
    sides: dict[str, list[tuple[torch.Tensor, torch.Tensor]]], size: dict[str, float], n: int, rng: np.random.Generator
) -> tuple[Array, Array, Array]:
    """Kappa of each group, ``(groups,)``; with permuted orders, and of resampled cells, ``(n, groups)`` each."""

    def kappas(change: Callable[..., Any]) -> Array:
        return np.array([_apart([change(*pair) for pair in pairs]) / size[name] for name, pairs in sides.items()])

    found = kappas(lambda a, b: (a, b))
    null = np.array([kappas(lambda a, b: _exchanged(a, b, rng)) for _ in range(n)])
    return found, null, np.array([kappas(lambda a, b: (_again(a, rng), _again(b, rng))) for _ in range(n)])


def _apart(sides: list[tuple[torch.Tensor, torch.Tensor]]) -> float:
    """Distance between the mean states after either order, mean over conditions weighted by cells."""
    apart = [float((a.mean(0) - b.mean(0)).norm()) for a, b in sides]
    return float(np.average(apart, weights=[len(a) + len(b) for a, b in sides]))


def _exchanged(a: torch.Tensor, b: torch.Tensor, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """The same cells, their orders permuted."""
    both = torch.cat([a, b])[rng.permutation(len(a) + len(b))]
    return both[: len(a)], both[len(a) :]


def _again(cells: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """As many cells, with replacement."""
    return cells[rng.integers(len(cells), size=len(cells))]


def _refit(arms: list[Arm], seed: int) -> AffineFlow:
    """The flow of two targets from the states of their cells and controls."""
    states, units, at = [], [], 0
    for arm in arms:
        sides = []
        for side in (arm.treated, arm.controls):
            sides.append(np.arange(at, at + len(side)))
            states.append(side)
            at += len(side)
        units.append(Unit(arm.action, arm.context, *sides))
    latent = torch.cat(states)
    flow = make_flow(units, latent.shape[1], seed)
    train_flow(flow, units, latent, seed, STEPS)
    return flow


def _against_action(
    second: Action, start: Controls, action: Action, group: Rows, seed: int
) -> Callable[[AffineFlow], float]:
    """Kappa of an action with another one, by a flow; no draw is made."""
    z = start.latent[group]

    @torch.no_grad()
    def kappa(flow: AffineFlow) -> float:
        after_a, after_b = flow(z, action), flow(z, second)
        apart = (flow(after_a, second) - flow(after_b, action)).norm(dim=1)
        size = (after_a - z).norm(dim=1) + (after_b - z).norm(dim=1)
        return float((apart / size.clamp_min(1e-12)).mean())

    return kappa


def _against_pooling(start: Controls, action: Action, group: Rows, seed: int) -> Callable[[AffineFlow], float]:
    """Kappa of an action with pooling cells, by a flow: one bulk per batch, mean weighted by cells."""
    drawn, z = np.random.default_rng(seed), start.latent[group]
    _, batch = start.model.schema.context(start.part.subset(group))
    pools = [np.flatnonzero(batch == code) for code in np.unique(batch)]
    first = start.index[group[[pool[0] for pool in pools]]]

    def bulk(states: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        values = {m: b.pooled(b.moved(group, z, states, rng), pools) for m, b in start.bulks.items()}
        depth = {m: b.pooled(b.after(group), pools) for m, b in start.bulks.items()}
        return start.encode(first, values, depth)

    before = bulk(z, drawn)
    off = torch.stack([(z[pool] - one).norm(dim=1).mean() for pool, one in zip(pools, before, strict=True)])

    @torch.no_grad()
    def kappa(flow: AffineFlow) -> float:
        after = flow(z, action)
        apart = (bulk(after, copy.deepcopy(drawn)) - flow(before, action)).norm(dim=1)
        size = (after - z).norm(dim=1).mean() + off
        return float(np.average(apart / size.clamp_min(1e-12), weights=[len(pool) for pool in pools]))

    return kappa


def _against_measuring(start: Controls, action: Action, group: Rows, seed: int) -> Callable[[AffineFlow], float]:
    """Kappa of an action with measuring cells anew, which moves none that was not treated, by a flow."""
    some = group[evenly(len(group), SOME)]
    z = start.latent[some]

    @torch.no_grad()
    def kappa(flow: AffineFlow) -> float:
        after, rng = flow(z, action), np.random.default_rng(seed)
        read = start.encode(start.index[some], {m: b.moved(some, z, after, rng) for m, b in start.bulks.items()})
        return float((read.mean(0) - after.mean(0)).norm() / (after - z).norm(dim=1).mean().clamp_min(1e-12))

    return kappa


OPERATORS = {"aggregate": _against_pooling, "measure": _against_measuring}
"""What an action can be tested against beside another target."""


def _resampled(arm: Arm, rng: np.random.Generator) -> Arm:
    """As many cells of either side, with replacement."""
    return arm._replace(treated=_again(arm.treated, rng), controls=_again(arm.controls, rng))


def _additive(
    start: Controls, units: list[Unit], latent: torch.Tensor, n: int, rng: np.random.Generator
) -> list[list[Arm]]:
    """Draws of experiments in which a target changes each feature by the same factor in all cells."""
    bulks = start.whole
    draws: list[list[Arm]] = [[] for _ in range(n)]
    for unit in progress(units, "Order, cells that add up", shown=start.model.progress):
        z = latent[unit.controls]
        here = {m: bulk for m, bulk in bulks.items() if bulk.count(unit.controls) and bulk.count(unit.treated)}
        moved = {m: bulk.measured(unit.treated)[0] - bulk.measured(unit.controls)[0] for m, bulk in here.items()}
        for draw in draws:
            values = {m: bulk.counterfactual(unit.controls, z, z, moved[m], rng)[0] for m, bulk in here.items()}
            depth = {m: bulk.after(unit.controls, moved[m]) for m, bulk in here.items()}
            states = start.encode(unit.controls, values, depth)
            treated = states[rng.integers(len(states), size=len(unit.treated))]
            controls = z[rng.integers(len(z), size=len(z))]
            draw.append(Arm(unit.action, unit.context, treated, controls))
    return draws

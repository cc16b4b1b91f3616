"""Whether the order of two actions matters: of cells that had both, or of the operator against an additive null."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import scipy.sparse as sp
import torch

from scvcell._calm import progress
from scvcell.perturb import Action
from scvcell.response import (
    FEWEST_CELLS,
    Contrast,
    Controls,
    counterfactual,
    evenly,
    make_flow,
    moved_values,
    train_flow,
)
from scvcell.screen._pooling import check_whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from scvcell._containers import Membership
    from scvcell._types import Array, Rows
    from scvcell.perturb import AffineFlow

REFIT_STEPS = 100
"""Steps of each refit of the flow."""

MEASURED_CELLS = 200
"""Cells of a group that are measured anew, evenly from it."""


class Arm(NamedTuple):
    """States of the cells of one target in one context, and of their controls."""

    action: Action
    context: int
    treated: torch.Tensor
    controls: torch.Tensor


def singles(units: list[Contrast], targets: tuple[str, ...]) -> list[Contrast]:
    """Every context in which one of the targets alone was given."""
    found = [u for u in units if u.action.targets in {(t,) for t in targets} and not u.action.scheduled]
    for target in targets:
        if not any(u.action.targets == (target,) for u in found):
            raise ValueError(
                f"The data have no {FEWEST_CELLS} cells of one context that got {target!r} alone; the test of an order "
                f"needs each target alone. Give the data of the fit. The second may also be one of {list(OPERATORS)}."
            )
    return found


def both_orders(units: list[Contrast], first: str, second: str) -> list[tuple[Contrast, Contrast]]:
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


def joint_size(alone: list[Contrast], latent: torch.Tensor, contexts: set[int]) -> float:
    """How far the targets alone move the mean state, summed; mean over conditions of the contexts, or of all."""
    moved: dict[tuple[str, ...], list[float]] = {}
    inside = [u for u in alone if u.context in contexts]
    for unit in inside if len({u.action.targets for u in inside}) == 2 else alone:
        step = latent[unit.treated].mean(0) - latent[unit.controls].mean(0)
        moved.setdefault(unit.action.targets, []).append(float(step.norm()))
    return max(sum(float(np.mean(values)) for values in moved.values()), 1e-12)


def by_cells(
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


def refit(arms: list[Arm], seed: int) -> AffineFlow:
    """The flow of two targets from the states of their cells and controls."""
    states, units, at = [], [], 0
    for arm in arms:
        sides = []
        for side in (arm.treated, arm.controls):
            sides.append(np.arange(at, at + len(side)))
            states.append(side)
            at += len(side)
        units.append(Contrast(arm.action, arm.context, *sides))
    latent = torch.cat(states)
    flow = make_flow(units, latent.shape[1], seed)
    train_flow(flow, units, latent, seed, REFIT_STEPS)
    return flow


def against_action(
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


def pools_of(membership: Membership, start: Controls, group: Rows) -> list[Rows]:
    """Positions in a group of the cells of each unit that has two or more of them, for `_against_pooling`.

    Raises
    ------
    ValueError
        If weights are no memberships of whole cells, or no unit has two cells of the group.
    """
    check_whole(membership)
    matrix = sp.csr_array(membership.matrix[:, start.index[group]])
    pools = [part for part in np.split(matrix.indices, matrix.indptr[1:-1]) if len(part) > 1]
    if not pools:
        raise ValueError(
            f"No {membership.unit} of by= has two untreated cells of a group; pooling a single cell changes nothing."
        )
    return pools


def _against_pooling(
    start: Controls, action: Action, group: Rows, seed: int, pools: list[Rows] | None = None
) -> Callable[[AffineFlow], float]:
    """Kappa of an action with pooling cells, by a flow; mean weighted by cells.

    `pools` are positions in the group; by default there is one bulk per batch.
    """
    drawn, z = np.random.default_rng(seed), start.latent[group]
    if pools is None:
        _, batch = start.model.schema.context(start.part.subset(group))
        pools = [np.flatnonzero(batch == code) for code in np.unique(batch)]
    first = start.index[group[[pool[0] for pool in pools]]]

    def bulk(states: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        values = {m: b.pooled(moved_values(b, group, z, states, rng), pools) for m, b in start.bulks.items()}
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
    some = group[evenly(len(group), MEASURED_CELLS)]
    z = start.latent[some]

    @torch.no_grad()
    def kappa(flow: AffineFlow) -> float:
        after, rng = flow(z, action), np.random.default_rng(seed)
        read = start.encode(
            start.index[some], {m: moved_values(b, some, z, after, rng) for m, b in start.bulks.items()}
        )
        return float((read.mean(0) - after.mean(0)).norm() / (after - z).norm(dim=1).mean().clamp_min(1e-12))

    return kappa


OPERATORS = {"aggregate": _against_pooling, "measure": _against_measuring}
"""What an action can be tested against beside another target."""


def resampled(arm: Arm, rng: np.random.Generator) -> Arm:
    """As many cells of either side, with replacement."""
    return arm._replace(treated=_again(arm.treated, rng), controls=_again(arm.controls, rng))


def additive_null(
    start: Controls, units: list[Contrast], latent: torch.Tensor, n: int, rng: np.random.Generator
) -> list[list[Arm]]:
    """Draws of experiments in which a target changes each feature by the same factor in all cells."""
    bulks = start.whole
    draws: list[list[Arm]] = [[] for _ in range(n)]
    for unit in progress(units, "Order, cells that add up", shown=start.model.progress):
        z = latent[unit.controls]
        here = {m: bulk for m, bulk in bulks.items() if bulk.count(unit.controls) and bulk.count(unit.treated)}
        moved = {m: bulk.measured(unit.treated)[0] - bulk.measured(unit.controls)[0] for m, bulk in here.items()}
        for draw in draws:
            values = {m: counterfactual(bulk, unit.controls, z, z, moved[m], rng)[0] for m, bulk in here.items()}
            depth = {m: bulk.after(unit.controls, moved[m]) for m, bulk in here.items()}
            states = start.encode(unit.controls, values, depth)
            treated = states[rng.integers(len(states), size=len(unit.treated))]
            controls = z[rng.integers(len(z), size=len(z))]
            draw.append(Arm(unit.action, unit.context, treated, controls))
    return draws

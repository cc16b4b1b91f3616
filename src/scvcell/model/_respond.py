"""Learn what actions do, on the states of a fitted CSL: the flow, what it leaves, and how far both are off."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from scvcell._calm import progress
from scvcell._random import seeded
from scvcell.measure import Measurement
from scvcell.model._bulk import FEWEST, Bulk
from scvcell.model._response import FEWEST_ROWS, Response, describe, noise_of, unrelated
from scvcell.objective import energy_distance
from scvcell.perturb import SHIFTS, Action, AffineFlow, Anchor, hidden, prior_weights, read_design, stack_weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from scvcell._types import Array, Mask, Rows
    from scvcell.model._csl import CSL
    from scvcell.perturb import Design, PerturbationKeys, Units
    from scvcell.prior import TargetKernel


logger = logging.getLogger("scvcell")

STEPS = 400
SET = 96
"""Cells of each set that the energy distance compares."""
UNITS_PER_STEP = 16
RIDGE = 1e-2
FOLDS = 5
TAUGHT = 0.1
"""Share of conditions that must have cells enough for a flow to be learned at all."""
FEWEST_SETS = 10
"""Sets of targets of which doses or times must be left out for a shift to be learned from."""
ROWS = 50_000


@dataclass(frozen=True)
class Unit:
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


def fit(
    model: CSL, keys: PerturbationKeys, *, kernel: TargetKernel | None = None, seed: int = 0, calibrate: bool = True
) -> Response:
    """Learn what actions do, from the cells on which the model was trained.

    Parameters
    ----------
    model
        Trained model with its data.
    keys
        Columns that say what was done.
    kernel
        Likeness of targets.
    seed
        Seed.
    calibrate
        Whether intervals are calibrated, by fitting the flow anew without each fold of conditions.
    """
    data = model.view()
    design = read_design(keys, data.column)
    allowed = data.obs_names.isin([*model.split_["train"], *model.split_["validation"]])
    latent = model.posterior(data).mean
    units = conditions(design, allowed)
    few = [str(u.action) for u in units if not u.enough]
    if few:
        logger.warning(
            "%d of %d conditions have fewer than %d treated or control cells, e.g. %s; the flow does not learn them.",
            len(few),
            len(units),
            FEWEST,
            few[0],
        )
    flow = make_flow(units, model.n_latent, seed)
    train_flow(flow, units, latent, seed)
    response = Response(keys, flow, tuple(dict.fromkeys(u.action for u in units)), dict(design.units), kernel=kernel)
    uncalibrated: list[str] = []
    for name in model.assays:
        if type(model._trained_module().operators[name]).shifted is not Measurement.shifted:
            bulk = Bulk(model, data, name)
            here = [u for u in units if bulk.count(u.treated) and bulk.count(u.controls)]
            if not here:
                continue
            effects = Effects(bulk, here, latent)
            response.spread[name] = effects.spread
            response.cells[name] = np.array([bulk.count(u.treated) for u in here], float)
            every = np.arange(len(here))
            y = effects.value - effects.by_flow(flow, every)
            anchor = response.anchors[name] = Anchor.fit(effects.describe(flow, every), y, effects.noise)
            if calibrate:
                response.calibration[name], anchor.stack = crossfit(effects, anchor, kernel, seed, shown=model.progress)
                if len(response.calibration[name]) < FEWEST_ROWS:
                    uncalibrated.append(name)
    if uncalibrated:
        _tell_uncalibrated(uncalibrated, response.actions)
    return response


def _tell_uncalibrated(modalities: list[str], actions: Sequence[Action]) -> None:
    names = sorted(map(str, actions))
    logger.warning(
        "Too few conditions could be left out to calibrate effects on %s: hardly a target is in several. Intervals "
        "of the %d measured actions (%s) hold sampling error only; those not measured have none. More contexts "
        "(perturbation key context=), doses or combinations of the same targets would calibrate both.",
        ", ".join(map(repr, modalities)),
        len(names),
        ", ".join(names[:5]) + (", ..." if len(names) > 5 else ""),
    )


def conditions(design: Design, allowed: Mask) -> list[Unit]:
    """Every action in every context that has allowed treated cells and controls."""
    units = []
    for k in range(len(design.contexts)):
        here = allowed & (design.context == k)
        controls = np.flatnonzero(here & design.control)
        for code in np.unique(design.code[here & design.treated]):
            treated = np.flatnonzero(here & (design.code == code))
            if len(controls):
                units.append(Unit(design.actions[code], k, treated, controls))
    if not units:
        raise ValueError("No context has both treated and control cells among those that may be trained on.")
    return units


def make_flow(units: list[Unit], n_latent: int, seed: int) -> AffineFlow:
    """An operator for the targets, doses and times of some conditions."""
    actions = [unit.action for unit in units]
    doses: dict[str, list[float]] = {}
    for pulse in (pulse for action in actions for pulse in action.pulses):
        if pulse.dose is not None:
            doses.setdefault(pulse.target, []).append(pulse.dose)
    targets = tuple(sorted({target for action in actions for target in action.targets}))
    times = [action.time for action in actions if action.time is not None]
    with seeded(seed):
        return AffineFlow(n_latent, targets, {t: max(d) for t, d in doses.items()}, max(times, default=None))


def train_flow(flow: AffineFlow, units: list[Unit], latent: torch.Tensor, seed: int, steps: int = STEPS) -> None:
    """Fit the flow by energy distance between moved controls and treated cells, from the additive solution on.

    It stays as it is where hardly any condition has cells enough, as in bulk data.
    """
    taught = list(filter(teaches, units))
    if not taught or len(taught) < TAUGHT * len(units):
        return
    units = taught
    rng = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)
    flow.center.copy_(torch.cat([latent[u.controls] for u in units]).mean(0))
    moved = torch.stack([latent[u.treated].mean(0) - latent[u.controls].mean(0) for u in units])
    with torch.no_grad():
        exposure = exposures(flow, units)
        gram = exposure.T @ exposure + 1e-2 * torch.eye(len(flow.targets))
        flow.shift.copy_(torch.linalg.solve(gram, exposure.T @ moved))
    fixed = [] if flow.largest else [flow.log_half, flow.log_slope]
    parameters = [p for p in flow.parameters() if not any(p is f for f in fixed)]
    optimiser = torch.optim.Adam(parameters, lr=2e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-2, total_steps=steps)

    def draw(cells: Rows) -> torch.Tensor:
        return latent[cells[torch.randint(len(cells), (SET,), generator=generator).numpy()]]

    for _ in range(steps):
        chosen = [units[i] for i in rng.permutation(len(units))[:UNITS_PER_STEP]]
        before, after = torch.stack([draw(u.controls) for u in chosen]), torch.stack([draw(u.treated) for u in chosen])
        loss = energy_distance(flow.push(before, exposures(flow, chosen)), after).mean()
        loss = loss + RIDGE * (flow.out.square().sum() + flow.into.square().sum()) / len(flow.targets)
        if flow.largest:
            loss = loss + RIDGE * (flow.log_half.square().mean() + flow.log_slope.square().mean())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()


def exposures(flow: AffineFlow, units: list[Unit]) -> torch.Tensor:
    """Strength of every target times the time for which it acts, ``(units, targets)``."""
    rows = []
    for unit in units:
        total = flow.shift.new_zeros(len(flow.targets))
        for piece in flow.pieces(unit.action):
            total = total + piece.duration * flow.exposures(piece.doses)
        rows.append(total)
    return torch.stack(rows)


class Effects:
    """Measured effects of conditions on one assay, and what a flow leaves of them.

    Parameters
    ----------
    bulk
        Pseudobulks of the assay.
    units
        Conditions that have it.
    latent
        States of all cells.

    Attributes
    ----------
    value, noise
        Effect of each condition and its sampling variance, ``(units, features)``, see `noise_of`.
    spread
        Variance of one cell, over all conditions, ``(features,)``; NaN where none has replicates.
    places
        Mean state of the controls, ``(units, latent)``.
    """

    def __init__(self, bulk: Bulk, units: list[Unit], latent: torch.Tensor) -> None:
        self.bulk, self.units, self.latent = bulk, units, latent
        contexts, of_controls = np.unique([u.context for u in units], return_inverse=True)
        controls = [next(u.controls for u in units if u.context == k) for k in contexts]
        groups = [u.treated for u in units] + controls
        value, var = map(np.array, zip(*map(bulk.measured, groups), strict=True))
        count, n = np.array(list(map(bulk.count, groups))), len(units)
        free = np.maximum(count - 1, 0)
        self.spread = free @ var / free.sum() if free.any() else np.full(var.shape[1], np.nan)
        # Where most conditions are few samples all take the pooled variance, and one eigenbasis serves all features.
        var = np.broadcast_to(self.spread, var.shape) if np.median(count) < FEWEST else var
        noise = np.array([noise_of(own, self.spread, k) for own, k in zip(var, count, strict=True)])
        self.value, self.noise = value[:n] - value[n:][of_controls], noise[:n] + noise[n:][of_controls]
        self.expected = np.array([bulk.expected(cells, latent[cells]) for cells in controls])[of_controls]
        self.places = np.array([latent[cells].mean(0).numpy() for cells in controls])[of_controls]

    def by_flow(self, flow: AffineFlow, rows: Rows) -> Array:
        """Effects of some conditions that a flow predicts, ``(rows, features)``."""
        if not flow.moves:
            return np.zeros((len(rows), self.value.shape[1]))
        with torch.no_grad():
            asked = [self.units[row] for row in rows]
            moved = [self.bulk.expected(u.controls, flow(self.latent[u.controls], u.action)) for u in asked]
        return np.array(moved) - self.expected[rows]

    def describe(self, flow: AffineFlow, rows: Rows) -> Units:
        """Some conditions by targets, doses, time and place, as a flow knows them."""
        return describe(flow, [self.units[row].action for row in rows], self.places[rows])


def teaches(unit: Unit) -> bool:
    """Whether a flow learns a condition; those of few cells, or with a schedule, are left to the anchor."""
    return unit.enough and not unit.action.scheduled


def crossfit(
    effects: Effects, fitted: Anchor, kernel: TargetKernel | None, seed: int, *, shown: bool = True
) -> tuple[Array, dict[str, list[float]]]:
    """How far the effects of conditions that were left out lie from their prediction.

    Conditions are left out at random, and so that they are new in one of `SHIFTS`, where enough sets of targets allow
    it. The flow is fitted anew without each fold. A condition whose targets no other condition has can be left out only
    where `kernel` relates them to others.

    Returns
    -------
    Rows of ``(size of the predicted effect, squared error, predicted variance, number of the condition, number of the
    shift)``, one per condition and feature, at most `ROWS` of a shift at random, none where no condition can be left
    out; and the weights of the anchor's members for every shift.
    """
    rng = np.random.default_rng(seed)
    n = len(effects.units)
    described = effects.describe(make_flow(effects.units, effects.latent.shape[1], seed), np.arange(n))
    rows, stack, known = [np.zeros((0, 5))], {}, {}
    for code, shift in enumerate(("", *SHIFTS)):
        groups = list(hidden(described, shift)) if shift else [np.array([i]) for i in range(n)]
        if shift and len(groups) < FEWEST_SETS:
            continue
        same = tuple(map(tuple, groups))
        if same not in known:
            number = rng.permutation(len(groups)) % min(FOLDS, len(groups))
            what = f"Learning actions, left out: {shift or 'at random'}"
            folds = [np.concatenate([g for g, k in zip(groups, number, strict=True) if k == f]) for f in set(number)]
            parts = (_left_out(effects, left, fitted, kernel, seed) for left in progress(folds, what, shown=shown))
            known[same] = [part for part in parts if part is not None]
        found = known[same]
        if not found:
            continue
        out, members, by_flow, y, var = map(np.concatenate, zip(*found, strict=True))
        rest = y - by_flow
        if shift:
            stack[shift] = stack_weights(members, rest, len(groups), shift)
        mean = np.einsum("ukg,k->ug", members, stack.get(shift, prior_weights(shift)))
        predicted = by_flow + mean
        number_of = np.broadcast_to(out[:, None], y.shape)
        columns = (np.abs(predicted), (y - predicted) ** 2, var, number_of, np.full(y.shape, float(code)))
        new = np.stack([column.ravel() for column in columns], 1)
        rows.append(new if len(new) <= ROWS else new[rng.choice(len(new), ROWS, replace=False)])
    return np.concatenate(rows), stack


def _left_out(
    effects: Effects, left: Rows, fitted: Anchor, kernel: TargetKernel | None, seed: int
) -> tuple[NDArray[Any], ...] | None:
    """Predict conditions from the others.

    Returns
    -------
    Numbers of those that can be, ``(left,)``, the members of the anchor for them, ``(left, 4, features)``, the
    effect by the flow, the measured one, and the variance of their difference, ``(left, features)`` each.
    """
    kept = np.setdiff1d(np.arange(len(effects.units)), left)
    if not len(kept):
        return None
    units = [effects.units[k] for k in kept]
    flow = make_flow(units, effects.latent.shape[1], seed)
    left = np.array([k for k in left if unrelated(flow, effects.units[k].action, kernel) is None], dtype=int)
    if not len(left):
        return None
    train_flow(flow, units, effects.latent, seed, STEPS // 2)
    noise = fitted.filled(effects.noise)
    y = effects.value[kept] - effects.by_flow(flow, kept)
    among = replace(fitted, units=effects.describe(flow, kept), y=y, noise=noise[kept])
    members, var = among.members(effects.describe(flow, left))
    return left, members, effects.by_flow(flow, left), effects.value[left], var + noise[left]

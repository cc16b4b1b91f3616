"""Learn what actions do, on the states of a fitted CSL: the flow, what it leaves, and how far both are off."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from scvcell.measure import Measurement
from scvcell.model._bulk import FEWEST, PER, Bulk
from scvcell.model._response import Response, describe, unrelated
from scvcell.objective import energy_distance
from scvcell.perturb import Action, AffineFlow, Anchor, read_design

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scvcell.model._csl import CSL
    from scvcell.perturb import Design, PerturbationKeys
    from scvcell.prior import TargetKernel

    Array = NDArray[np.floating]

logger = logging.getLogger("scvcell")

STEPS = 400
SET = 96
"""Cells of each set that the energy distance compares."""
UNITS_PER_STEP = 16
RIDGE = 1e-2
COUNTS = 30.0
"""Counts of a typical pseudobulk that stand for 1 on the effect scale, so that its noise is bounded."""
FOLDS = 5
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
    treated: NDArray[np.int64]
    controls: NDArray[np.int64]


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
    few = [str(u.action) for u in units if min(len(u.treated), len(u.controls)) < FEWEST]
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
    for name in model.assays:
        if type(model._trained_module().operators[name]).shifted is not Measurement.shifted:
            bulk = Bulk(model, data, name)
            here = [u for u in units if bulk.count(u.treated) and bulk.count(u.controls)]
            if not here:
                continue
            bulk.per = response.per[name] = min(PER, float(np.median([bulk.depth(u.treated) for u in here])) / COUNTS)
            y, noise, places = leftovers(bulk, flow, here, latent)
            response.anchors[name] = Anchor.fit(describe(flow, [u.action for u in here], places), y, noise)
            if calibrate:
                response.calibration[name] = crossfit(bulk, here, latent, response.anchors[name], kernel, seed)
    return response


def conditions(design: Design, allowed: NDArray[np.bool_]) -> list[Unit]:
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
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return AffineFlow(n_latent, targets, {t: max(d) for t, d in doses.items()}, max(times, default=None))


def train_flow(flow: AffineFlow, units: list[Unit], latent: torch.Tensor, seed: int, steps: int = STEPS) -> None:
    """Fit the flow by energy distance between moved controls and treated cells, from the additive solution on.

    Conditions of few cells, and those with a schedule, are left to the anchor.
    """
    units = [u for u in units if min(len(u.treated), len(u.controls)) >= FEWEST and not u.action.scheduled]
    if not units:
        return
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

    def draw(cells: NDArray[np.int64]) -> torch.Tensor:
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


def leftovers(bulk: Bulk, flow: AffineFlow, units: list[Unit], latent: torch.Tensor) -> tuple[Array, Array, Array]:
    """Measured less expected effect of each unit, its sampling variance, and the mean state of the controls.

    The variance of a mean of few samples is that of all conditions together; NaN where none has replicates.
    """
    y, places = [], []
    controls: dict[int, Array] = {}
    spread: list[tuple[Array, int]] = []
    of_controls: dict[int, int] = {}
    of_treated = []
    for unit in units:
        z = latent[unit.controls]
        if unit.context not in controls:
            value, var = bulk.measured(unit.controls)
            controls[unit.context] = value - bulk.expected(unit.controls, z)
            of_controls[unit.context] = len(spread)
            spread.append((var, bulk.count(unit.controls)))
        value, var = bulk.measured(unit.treated)
        of_treated.append(len(spread))
        spread.append((var, bulk.count(unit.treated)))
        with torch.no_grad():
            moved = flow(z, unit.action)
        y.append(value - bulk.expected(unit.controls, moved) - controls[unit.context])
        places.append(z.mean(0).numpy())
    noise = _pooled(np.array([var for var, _ in spread]), np.array([n for _, n in spread]))
    return np.array(y), noise[of_treated] + noise[[of_controls[u.context] for u in units]], np.array(places)


def _pooled(var: Array, n: NDArray[np.integer]) -> Array:
    """Variances of means of `n` samples, ``(means, features)``, those of few from all together."""
    few, free = n < FEWEST, np.maximum(n - 1, 0)
    if not few.any():
        return var
    together = free @ (var * n[:, None]) / free.sum() if free.any() else np.full(var.shape[1], np.nan)
    return np.where(few[:, None], together / n[:, None], var)


def crossfit(
    bulk: Bulk, units: list[Unit], latent: torch.Tensor, fitted: Anchor, kernel: TargetKernel | None, seed: int
) -> Array:
    """How far the effects of conditions that were left out lie from their prediction.

    The flow is fitted anew without each fold. A condition whose targets no other condition has can be left out only
    where `kernel` relates them to others.

    Returns
    -------
    Rows of ``(size of the predicted effect, squared error, predicted variance, number of the condition)``, one per
    condition and feature, at most `ROWS` at random; none where no condition can be left out.
    """
    rng = np.random.default_rng(seed)
    number = rng.permutation(len(units)) % min(FOLDS, len(units))
    rows = [np.zeros((0, 4))]
    for fold in range(number.max() + 1):
        kept = [u for u, n in zip(units, number, strict=True) if n != fold]
        if not kept:
            continue
        flow = make_flow(kept, latent.shape[1], seed)
        out = [k for k in np.flatnonzero(number == fold) if unrelated(flow, units[k].action, kernel) is None]
        if not out:
            continue
        train_flow(flow, kept, latent, seed, STEPS // 2)
        asked = [units[k] for k in out]
        y, noise, places = leftovers(bulk, flow, kept + asked, latent)
        noise = fitted.filled(noise)
        described = describe(flow, [u.action for u in kept + asked], places)
        seen, new = np.arange(len(kept)), np.arange(len(kept), len(y))
        gp = replace(fitted, units=described.take(seen), y=y[seen], noise=noise[seen])
        mean, var = gp.predict(described.take(new))
        for unit, k, i, j in zip(asked, out, new, range(len(out)), strict=True):
            z = latent[unit.controls]
            with torch.no_grad():
                moved = flow(z, unit.action)
            effect = bulk.expected(unit.controls, moved) - bulk.expected(unit.controls, z) + mean[j]
            rows.append(
                np.stack([np.abs(effect), (y[i] - mean[j]) ** 2, var[j] + noise[i], np.full(len(effect), k)], 1)
            )
    found = np.concatenate(rows)
    return found if len(found) <= ROWS else found[rng.choice(len(found), ROWS, replace=False)]

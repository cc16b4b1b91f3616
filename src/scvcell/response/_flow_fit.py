"""Fit a flow to the states of treated cells and of their controls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from scvcell._random import seeded
from scvcell.objective import energy_distance
from scvcell.perturb import AffineFlow
from scvcell.response._contrast import Contrast, teaches

if TYPE_CHECKING:
    from scvcell._types import Rows

STEPS = 400

SET = 96
"""Cells of each set that the energy distance compares."""

UNITS_PER_STEP = 16

RIDGE = 1e-2

TAUGHT = 0.1
"""Share of conditions that must have cells enough for a flow to be learned at all."""


def make_flow(units: list[Contrast], n_latent: int, seed: int) -> AffineFlow:
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


def train_flow(flow: AffineFlow, units: list[Contrast], latent: torch.Tensor, seed: int, steps: int = STEPS) -> None:
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
        flow.offset.copy_(torch.linalg.solve(gram, exposure.T @ moved))
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


def exposures(flow: AffineFlow, units: list[Contrast]) -> torch.Tensor:
    """Strength of every target times the time for which it acts, ``(units, targets)``."""
    rows = []
    for unit in units:
        total = flow.offset.new_zeros(len(flow.targets))
        for piece in flow.pieces(unit.action):
            total = total + piece.duration * flow.exposures(piece.doses)
        rows.append(total)
    return torch.stack(rows)

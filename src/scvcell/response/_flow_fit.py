"""Fit a flow to the states of treated cells and of their controls."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from scvcell._random import seeded
from scvcell.objective import energy_distance
from scvcell.perturb import AffineFlow
from scvcell.response._contrast import Contrast, teaches

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scvcell._types import Rows

FLOW_STEPS = 400

CELLS_PER_SET = 96
"""Cells of each set that the energy distance compares."""

CONTRASTS_PER_STEP = 16

FLOW_RIDGE = 1e-2

MIN_TAUGHT_SHARE = 0.1
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


def train_flow(
    flow: AffineFlow, units: list[Contrast], latent: torch.Tensor, seed: int, steps: int = FLOW_STEPS
) -> None:
    """Fit the flow by energy distance between moved controls and treated cells, from the additive solution on.

    It stays as it is where hardly any condition has cells enough, as in bulk data. It is fitted where `latent` is.
    """
    train_flows([flow], [units], latent, seed, steps)


def train_flows(
    flows: list[AffineFlow], units: list[list[Contrast]], latent: torch.Tensor, seed: int, steps: int
) -> None:
    """As `train_flow`, several flows at once, each by conditions of its own: many small steps cost as much as one."""
    able: list[tuple[AffineFlow, list[Contrast]]] = []
    for flow, own in zip(flows, units, strict=True):
        taught = list(filter(teaches, own))
        if taught and len(taught) >= MIN_TAUGHT_SHARE * len(own):
            _start(flow, taught, latent)
            able.append((flow, taught))
    if not able:
        return
    whole = _joined([flow for flow, _ in able], latent.device)
    _fit(whole, able, latent, seed, steps)
    start = 0
    with torch.no_grad():
        for flow, _ in able:
            stop = start + len(flow.targets)
            for name, own in flow.named_parameters():
                own.copy_(whole.get_parameter(name)[start:stop])
            start = stop


def _fit(
    whole: AffineFlow, parts: list[tuple[AffineFlow, list[Contrast]]], latent: torch.Tensor, seed: int, steps: int
) -> None:
    """Fit a flow of the targets of several, each with conditions of its own, on the device of `latent`."""
    device, sizes = latent.device, [len(flow.targets) for flow, _ in parts]
    share = torch.cat([torch.full((n,), 1 / n) for n in sizes]).to(device)
    curved = torch.cat([torch.full((n,), float(bool(f.largest))) for n, (f, _) in zip(sizes, parts, strict=True)])
    curves = [whole.log_half, whole.log_slope] if curved.any() else []
    curved = curved.to(device)
    given = _given(parts, device)
    every = [unit for _, own in parts for unit in own]
    firsts = np.cumsum([0, *(len(own) for _, own in parts[:-1])]).tolist()
    draws = [_Draws(seed, first, len(own)) for first, (_, own) in zip(firsts, parts, strict=True)]
    optimiser = torch.optim.Adam([whole.offset, whole.out, whole.into, *curves], lr=2e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-2, total_steps=steps)
    for _ in range(steps):
        found = [draw(every) for draw in draws]
        at, weight, controls, treated = (torch.from_numpy(np.concatenate(part)) for part in zip(*found, strict=True))
        moved = whole.push(latent[controls.to(device)], _exposures(whole, given, at.to(device)))
        loss = (energy_distance(moved, latent[treated.to(device)]) * weight.to(device)).sum()
        loss = loss + FLOW_RIDGE * (share * (whole.out.square() + whole.into.square()).sum((1, 2))).sum()
        for curve in curves:
            loss = loss + FLOW_RIDGE * (share * curved * curve.square()).sum()
        optimiser.zero_grad()
        loss.backward()
        for curve in curves:
            if curve.grad is not None:
                curve.grad.mul_(curved)
        optimiser.step()
        schedule.step()


def _start(flow: AffineFlow, units: list[Contrast], latent: torch.Tensor) -> None:
    """The additive solution."""
    flow.center.copy_(torch.cat([latent[u.controls] for u in units]).mean(0))
    moved = torch.stack([latent[u.treated].mean(0) - latent[u.controls].mean(0) for u in units]).cpu()
    with torch.no_grad():
        exposure = exposures(flow, units)
        gram = exposure.T @ exposure + 1e-2 * torch.eye(len(flow.targets))
        flow.offset.copy_(torch.linalg.solve(gram, exposure.T @ moved))


def _joined(flows: list[AffineFlow], device: torch.device) -> AffineFlow:
    """One flow of the targets of all, one after the other, each with the centre of its own."""
    with seeded(0):
        whole = AffineFlow(flows[0].n_latent, tuple(str(i) for i in range(sum(len(flow.targets) for flow in flows))))
    with torch.no_grad():
        for name, parameter in whole.named_parameters():
            parameter.copy_(torch.cat([flow.get_parameter(name) for flow in flows]))
    whole.center = torch.cat([flow.center.expand_as(flow.offset) for flow in flows])
    return whole.to(device)


class _Draws:
    """What a step of one flow compares: its conditions are `n_units` of all from `first` on."""

    def __init__(self, seed: int, first: int, n_units: int) -> None:
        self.rng, self.generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
        self.first, self.n_units = first, n_units

    def __call__(self, units: list[Contrast]) -> tuple[Rows, NDArray[np.float32], Rows, Rows]:
        """Numbers of some conditions, what each weighs, and positions of controls and of treated cells of each."""
        at = self.rng.permutation(self.n_units)[:CONTRASTS_PER_STEP] + self.first
        weight = np.full(len(at), 1 / len(at), np.float32)
        sides = [units[i].controls for i in at], [units[i].treated for i in at]
        controls, treated = (some_cells(side, CELLS_PER_SET, self.generator) for side in sides)
        return at, weight, controls, treated


def some_cells(groups: list[Rows], n: int, generator: torch.Generator) -> Rows:
    """Positions of `n` cells of each group, with replacement, ``(groups, n)``."""
    return np.stack([own[torch.randint(len(own), (n,), generator=generator).numpy()] for own in groups])


class _Given(NamedTuple):
    """What is done in each condition, ``(units, pulses)`` each; an action of fewer pulses has some that last 0.

    Attributes
    ----------
    target
        Number of the target.
    share
        Dose as a share of the largest in training.
    duration
        How long, in spans.
    """

    target: torch.Tensor
    share: torch.Tensor
    duration: torch.Tensor


def _given(parts: list[tuple[AffineFlow, list[Contrast]]], device: torch.device) -> _Given:
    """What is done in the conditions of flows, the targets of which are numbered one after the other."""
    found, start = [], 0
    for flow, own in parts:
        number = {target: start + i for i, target in enumerate(flow.targets)}
        found += [
            [
                (number[target], flow.share(target, dose), piece.duration)
                for piece in flow.pieces(unit.action)
                for target, dose in piece.doses.items()
            ]
            for unit in own
        ]
        start += len(flow.targets)
    most = max(map(len, found), default=0)
    padded = [pulses + [(0, 1.0, 0.0)] * (most - len(pulses)) for pulses in found]
    target, share, duration = np.array(padded, dtype=np.float64).reshape(len(found), most, 3).transpose(2, 0, 1)
    kinds = ((target, torch.long), (share, torch.float32), (duration, torch.float32))
    return _Given(*(torch.from_numpy(values.copy()).to(device, kind) for values, kind in kinds))


def _exposures(flow: AffineFlow, given: _Given, at: torch.Tensor | slice = slice(None)) -> torch.Tensor:
    target, share, duration = (values[at] for values in given)
    strength = flow.exposure(target, share) * duration
    return strength.new_zeros(len(target), len(flow.targets)).scatter_add(1, target, strength)


def exposures(flow: AffineFlow, units: list[Contrast]) -> torch.Tensor:
    """Strength of every target times the time for which it acts, ``(units, targets)``."""
    return _exposures(flow, _given([(flow, units)], flow.offset.device))

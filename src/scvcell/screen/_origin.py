"""Basal states: where treated cells come from, when who was treated depended on the state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from scvcell.objective import energy_distance
from scvcell.response import FLOW_RIDGE, FLOW_STEPS, exposures, make_flow, some_cells

if TYPE_CHECKING:
    from scvcell.perturb import Action, AffineFlow
    from scvcell.response import Contrast

CELLS_PER_SET = 256
"""Cells of each set that the energy distance compares in a step."""
MAX_COMPARED_CELLS = 2000
"""Cells of each set on which two explanations are compared."""
TILT_RIDGE = 1e-2
"""Ridge on the log odds of treatment per standard deviation."""
FIRST_STIFFNESS = 10.0
"""How many times the ridge of the flow is raised at first, so that composition is explained before the effect bends."""


@dataclass
class Origin:
    r"""How treated cells came to be: some controls, more of these than of those, were moved by the action.

    .. math:: p(z \mid a) = (\Delta_a)_\# \, \frac{e^{\langle b, z \rangle} p(z \mid 0)}{E_0\, e^{\langle b, z \rangle}}

    Attributes
    ----------
    action
        The action.
    flow
        What it does to states, :math:`\Delta_a`.
    center, tilt
        Mean of the controls, and log odds of treatment per unit of the state, b; ``(latent,)`` each.
    distance
        Energy distance that is left between both sides.
    """

    action: Action
    flow: AffineFlow
    center: torch.Tensor
    tilt: torch.Tensor
    distance: float = np.inf

    @torch.no_grad()
    def before(self, z: torch.Tensor) -> torch.Tensor:
        """States that cells in states `z` had before the action, ``(cells, latent)``."""
        return self.flow.inverse(z, self.action)

    @torch.no_grad()
    def after(self, z: torch.Tensor) -> torch.Tensor:
        """States of cells in states `z` after the action, ``(cells, latent)``."""
        return self.flow(z, self.action)

    def weight(self, z: torch.Tensor) -> torch.Tensor:
        """Share of each of some controls among the cells that were to be treated, ``(cells,)``."""
        return torch.softmax((z - self.center) @ self.tilt, 0)


def fit_origin(
    units: list[Contrast], latent: torch.Tensor, seed: int, *, tilted: bool, steps: int = FLOW_STEPS
) -> Origin:
    """Fit what an action did and whom it was done to, by energy distance between both sides.

    A shift of one cloud of cells and other odds within it look the same; clouds of several types tell them apart. The
    flow is kept stiff at first, so that types whose shares differ are not explained by stretching.

    Parameters
    ----------
    units
        Contexts of one action.
    latent
        State of every cell, ``(cells, latent)``.
    seed
        Drives the draws.
    tilted
        Whether odds of treatment may depend on the state.
    steps
        Steps of Adam.

    References
    ----------
    Székely and Rizzo, Energy statistics: a class of statistics based on distances, J Stat Plan Inference 2013; Qin,
    Inferences for case-control and semiparametric two-sample density ratio models, Biometrika 1998 (the tilt).
    """
    generator = torch.Generator().manual_seed(seed)
    controls = torch.cat([latent[u.controls] for u in units])
    unit_of_state = controls.std(0).square().mean().sqrt()
    origin = _shifted(units, latent, seed)
    tilt = torch.zeros(latent.shape[1], requires_grad=True)
    flow = origin.flow
    optimiser = torch.optim.Adam([flow.offset, flow.out, flow.into] + ([tilt] if tilted else []), lr=2e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-2, total_steps=steps)
    stiff = FIRST_STIFFNESS if tilted else 0.0

    sides = [u.controls for u in units], [u.treated for u in units]
    strength = exposures(flow, units).detach()
    for step in range(steps):
        before, after = (latent[some_cells(side, CELLS_PER_SET, generator)] for side in sides)
        weight = torch.softmax((before - origin.center) / unit_of_state @ tilt, 1)
        ridge = FLOW_RIDGE * (1 + stiff * max(0.0, 1 - 2 * step / steps)) / len(flow.targets)
        loss = energy_distance(flow.push(before, strength), after, weight).mean() + TILT_RIDGE * tilt.square().sum()
        loss = loss + ridge * (flow.out.square().sum() + flow.into.square().sum())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    origin.flow.eval()
    origin.tilt = (tilt / unit_of_state).detach()
    origin.distance = _distance(origin, units, latent, seed)
    return origin


def _shifted(units: list[Contrast], latent: torch.Tensor, seed: int) -> Origin:
    """Every target takes its part in the difference of the means."""
    flow = make_flow(units, latent.shape[1], seed)
    center = torch.cat([latent[u.controls] for u in units]).mean(0)
    moved = torch.stack([latent[u.treated].mean(0) - latent[u.controls].mean(0) for u in units]).mean(0)
    with torch.no_grad():
        flow.center.copy_(center)
        flow.offset.copy_((moved / len(flow.targets)).expand_as(flow.offset))
    return Origin(units[0].action, flow, center, torch.zeros_like(center))


@torch.no_grad()
def _distance(origin: Origin, units: list[Contrast], latent: torch.Tensor, seed: int) -> float:
    """Energy distance left, mean over contexts by their treated cells."""
    rng = np.random.default_rng(seed)
    total = 0.0
    for unit in units:
        before, after = (latent[rng.permutation(cells)[:MAX_COMPARED_CELLS]] for cells in (unit.controls, unit.treated))
        left = energy_distance(origin.flow(before, origin.action), after, origin.weight(before))
        total += float(left) * len(unit.treated)
    return total / sum(len(u.treated) for u in units)

"""tl.order_effect: whether it matters which of two targets comes first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from mudata import MuData

from scvcell._keys import LOWER, UPPER
from scvcell.model import FEWEST, Bulk, Unit, conditions, make_flow, train_flow
from scvcell.perturb import Action, read_design
from scvcell.tl._calibrate import check_level
from scvcell.tl._controls import Controls

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scvcell._containers import Container
    from scvcell.model import CSL
    from scvcell.perturb import AffineFlow

    Array = NDArray[np.floating]

STEPS = 100
"""Steps of each refit of the flow."""


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
    r"""Test whether it matters which of two targets comes first.

    .. math::
        \kappa = \frac{\|\Delta_B \Delta_A z - \Delta_A \Delta_B z\|}
                      {\|\Delta_A z - z\| + \|\Delta_B z - z\|}

    averaged over cells: 0 if the two commute. An estimate is above 0 also where the truth is 0, so it is compared with
    a parametric bootstrap of the additive model: cells made from the controls by the measured fold change of every
    feature, the same in all cells, are drawn, encoded, and given to the same fit. The test asks whether the effect of
    one target depends on states that the other one changes; it needs each target alone, not the two one after the
    other.

    Parameters
    ----------
    data, model, cells
        As :func:`scvcell.tl.perturb`; `data` with the cells treated with either target alone.
    first, second
        The two targets.
    level
        Coverage of the interval, by bootstrap of treated and untreated cells.
    n_null
        Draws of the additive model, and of the bootstrap.
    seed
        Drives all draws.

    Returns
    -------
    One row per group: ``group``, ``kappa``, ``null`` (mean of kappa where the truth is additive), ``lower``, ``upper``,
    ``level``, ``p`` (share of null draws, the estimate among them, that reach it; at least ``1 / (n_null + 1)``),
    ``n_cells``.

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
    if not isinstance(n_null, int) or n_null < 1:
        raise ValueError(f"n_null must be a whole number from 1 on, not {n_null!r}.")
    if first == second:
        raise ValueError(f"Give two different targets; both are {first!r}.")
    start = Controls(data, model, cells)
    units = _units(start, (first, second))
    latent = model.posterior(start.view).mean
    groups = list(start.groups(None))
    rng = np.random.default_rng(seed)

    def kappas(arms: list[Arm]) -> Array:
        flow = _refit(arms, seed)
        return np.array([_kappa(flow, first, second, start.latent[group]) for _, group in groups])

    measured = [Arm(u.action, u.context, latent[u.treated], latent[u.controls]) for u in units]
    found = kappas(measured)
    null = np.array([kappas(arms) for arms in _additive(start, units, latent, n_null, rng)])
    again = np.array([kappas([_resampled(arm, rng) for arm in measured]) for _ in range(n_null)])
    # The bootstrap adds the noise of the sample once more; the interval turns it around the estimate.
    low, high = np.quantile(again, [0.5 - level / 2, 0.5 + level / 2], axis=0)
    return pd.DataFrame(
        {
            "group": [name for name, _ in groups],
            "kappa": found,
            "null": null.mean(0),
            LOWER: np.maximum(2 * found - high, 0),
            UPPER: np.maximum(2 * found - low, 0),
            "level": level,
            "p": (1 + (null >= found).sum(0)) / (1 + n_null),
            "n_cells": [len(group) for _, group in groups],
        }
    )


def _units(start: Controls, targets: tuple[str, str]) -> list[Unit]:
    """Every context in which one of the targets alone was given."""
    design = read_design(start.response.keys, start.view.column)
    wanted = [u for u in conditions(design, np.ones(start.view.n_obs, bool)) if not u.action.scheduled]
    units = [u for u in wanted if u.action.targets in {(t,) for t in targets} and len(u.treated) >= FEWEST]
    for target in targets:
        n = sum(len(u.treated) for u in units if u.action.targets == (target,))
        if n < FEWEST:
            raise ValueError(
                f"The data have no {FEWEST} cells of one context that got {target!r} alone; the test of an order needs "
                "each target alone. Give the data of the fit."
            )
    return units


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


@torch.no_grad()
def _kappa(flow: AffineFlow, first: str, second: str, z: torch.Tensor) -> float:
    a, b = Action(first), Action(second)
    after_a, after_b = flow(z, a), flow(z, b)
    apart = (flow(after_a, b) - flow(after_b, a)).norm(dim=1)
    size = (after_a - z).norm(dim=1) + (after_b - z).norm(dim=1)
    return float((apart / size.clamp_min(1e-12)).mean())


def _resampled(arm: Arm, rng: np.random.Generator) -> Arm:
    """As many cells of either side, with replacement."""
    treated, controls = (side[rng.integers(len(side), size=len(side))] for side in (arm.treated, arm.controls))
    return arm._replace(treated=treated, controls=controls)


def _additive(
    start: Controls, units: list[Unit], latent: torch.Tensor, n: int, rng: np.random.Generator
) -> list[list[Arm]]:
    """Draws of experiments in which a target changes each feature by the same factor in all cells."""
    bulks = {m: Bulk(start.model, start.view, m) for m in start.response.anchors}
    draws: list[list[Arm]] = [[] for _ in range(n)]
    for unit in units:
        z = latent[unit.controls]
        here = {m: bulk for m, bulk in bulks.items() if bulk.count(unit.controls) and bulk.count(unit.treated)}
        moved = {m: bulk.measured(unit.treated)[0] - bulk.measured(unit.controls)[0] for m, bulk in here.items()}
        for draw in draws:
            values = {m: bulk.counterfactual(unit.controls, z, z, moved[m], rng)[0] for m, bulk in here.items()}
            states = _encoded(start, unit.controls, values)
            treated = states[rng.integers(len(states), size=len(unit.treated))]
            controls = z[rng.integers(len(z), size=len(z))]
            draw.append(Arm(unit.action, unit.context, treated, controls))
    return draws


def _encoded(start: Controls, cells: NDArray[np.int64], values: dict[str, Array]) -> torch.Tensor:
    """States of cells whose measurements are `values`."""
    obs, tables = start.view.obs(cells), {}
    for m, table in values.items():
        schema = start.model.schema.modalities[m]
        layers = {} if schema.layer is None else {schema.layer: table}
        tables[m] = AnnData(table, obs=obs.copy(), var=pd.DataFrame(index=schema.features), layers=layers)
    return start.model.posterior(start.model.view(MuData(tables))).mean

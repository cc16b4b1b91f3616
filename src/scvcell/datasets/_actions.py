"""A simulated perturbation experiment: a known Delta on the states of a known world."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import combinations, permutations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData
from scipy.linalg import expm

from scvcell.datasets._simulate import STEMS, _category, _names
from scvcell.datasets._world import World, WorldParameters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from scvcell._types import Array

UNIT = "uM"
HALF = 0.2
"""Dose of half the effect at saturation, as a share of the largest dose."""


def simulate_actions(
    n_cells: int = 2000,
    *,
    n_targets: int = 3,
    pairs: bool = True,
    orders: bool = False,
    doses: Sequence[float] = (1.0,),
    effect: float = 1.0,
    state_dependence: float = 0.3,
    escape: float = 0.0,
    spread: float = 0.0,
    confounding: float = 0.0,
    n_genes: int = 300,
    n_proteins: int = 20,
    n_types: int = 4,
    latent_dim: int = 5,
    seed: int = 0,
) -> MuData:
    r"""Simulate cells under single targets and their pairs, at doses, whose every effect is known.

    .. math::
        z' = e^{s G} z, \qquad G = \sum_p h(\mathrm{dose}_p)\, G_p, \qquad h(d) = \frac{(1 + k) d}{d + k d_{max}}

    with a random affine generator :math:`G_p` per target, :math:`k = 0.2`, and a strength s of each cell. All cells
    have RNA and proteins and are of one batch.

    Parameters
    ----------
    n_cells
        Number of cells; a quarter are controls.
    n_targets
        Number of targets, ``"T1"``, ``"T2"``, ...
    pairs
        Whether pairs of targets are among the actions.
    orders
        Whether each pair is also given one after the other, in both orders, for 1 unit of time each.
    doses
        Doses of a target, in uM; both targets of a pair have the largest.
    effect
        Size of the shift of the state.
    state_dependence
        Size of the part of a generator that depends on the state; 0 makes every target a shift, and targets commute.
    escape
        Share of treated cells that do not respond: their strength is 0.
    spread
        Standard deviation of the log strength of those that do, around 0.
    confounding
        Log odds of being treated per standard deviation of the state before, along a random direction; at 0 treatment
        is random.
    n_genes, n_proteins, n_types, latent_dim
        As `simulate`.
    seed
        Seed of world, generators and cells.

    Returns
    -------
    MuData with ``"rna"`` and ``"adt"`` (raw counts) and

    - ``.obs`` (also of each modality): ``action`` (``"control"``, ``"T1"``, ``"T1+T2"``, ``"T1 then T2"``), ``dose``
      (``"1 uM"``, joined by ``+``), ``cell_type``, ``strength`` (0 for controls and cells that escape); with `orders`
      also ``schedule``, for ``PerturbationKeys(schedule=)``
    - ``.obsm["z0"]``, ``.obsm["z"]``: state before and after
    - ``.mod[m].layers["before"]``, ``["rate"]``: expected counts before and after, of each cell: its true response
    - ``.uns["simulation"]``: arguments and ``generators`` ``(targets, latent + 1, latent + 1)``

    Raises
    ------
    ValueError
        If there are fewer than 2 targets for pairs, a dose is not above 0, `escape` is not from 0 to 1, or `spread` is
        below 0.

    Examples
    --------
    >>> mdata = scvcell.datasets.simulate_actions(seed=1)
    >>> keys = scvcell.PerturbationKeys("action", control="control", context="cell_type")
    >>> model = scvcell.tl.fit(mdata, perturbation=keys)
    """
    fewest = 1 + (pairs or orders)
    if n_targets < fewest or min(doses, default=0) <= 0 or n_cells < 1:
        raise ValueError(
            f"Give at least {fewest} targets, doses above 0 and a cell; got {n_targets}, {doses}, {n_cells}."
        )
    if not 0 <= escape <= 1 or spread < 0:
        raise ValueError(f"escape is a share from 0 to 1 and spread is from 0 on; got {escape} and {spread}.")
    world = World.draw(WorldParameters(n_genes, n_proteins, 0, n_types, latent_dim, 1, seed=seed))
    rng = np.random.default_rng([seed, 3])
    generators = _generators(rng, n_targets, latent_dim, effect, state_dependence)
    types, before = world.states.sample(rng, n_cells)
    cells = world.sample_cells(rng, n_cells)
    own = np.random.default_rng([seed, 4])
    strength = (own.random(n_cells) >= escape) * np.exp(spread * own.standard_normal(n_cells))
    plan = _plan(rng, confounding * _lean(rng, before), n_targets, pairs, orders, doses)
    exposure = plan.exposure * strength[:, None, None]
    after = before.copy()
    for row in np.unique(exposure, axis=0):
        here = (exposure == row).all((1, 2))
        for given in row[row.any(1)]:
            step = expm(np.tensordot(given, generators, 1))
            after[here] = after[here] @ step[:-1, :-1].T + step[:-1, -1]
    obs = pd.DataFrame(
        {
            "action": pd.Categorical(plan.labels),
            "dose": pd.Categorical(plan.amounts),
            "cell_type": _category("type", types, n_types),
            "strength": np.where(exposure.any((1, 2)), strength, 0.0),
        },
        index=_names("cell", n_cells),
    )
    if orders:
        texts = [None if entries is None else json.dumps(entries) for entries in plan.schedules]
        obs["schedule"] = pd.Categorical(texts)
    modalities = {}
    for name in ("rna", "adt"):
        measure = world.measures[name]
        drawn = measure.sample(rng, after, cells)
        table = AnnData(sp.csr_matrix(drawn.counts.astype(np.float32)), obs=obs.copy())
        table.var.index = _names(STEMS[name], table.n_vars)
        table.layers["before"], table.layers["rate"] = measure.expected(before, cells), measure.expected(after, cells)
        modalities[name] = table
    mdata = MuData(modalities)
    mdata.obs = obs.loc[mdata.obs_names]
    mdata.obsm["z0"], mdata.obsm["z"] = before, after
    mdata.uns["simulation"] = {"world": asdict(world.parameters), "generators": generators}
    return mdata


def _generators(
    rng: np.random.Generator, n: int, d: int, effect: float, state_dependence: float
) -> NDArray[np.float64]:
    """One random affine vector field per target, in homogeneous coordinates."""
    out = np.zeros((n, d + 1, d + 1))
    shift = rng.standard_normal((n, d))
    out[:, :d, d] = effect * shift / np.linalg.norm(shift, axis=1, keepdims=True) * np.sqrt(d) / 2
    out[:, :d, :d] = state_dependence * rng.standard_normal((n, d, d)) / np.sqrt(d)
    return out


def _lean(rng: np.random.Generator, z: Array) -> NDArray[np.float64]:
    """State along a random direction, standardised, ``(cells,)``."""
    along = z @ rng.spawn(1)[0].standard_normal(z.shape[1])
    return (along - along.mean()) / max(along.std(), 1e-12)


class _Plan(NamedTuple):
    """What is done to every cell: labels, doses, schedules where there is an order, ``(cells, 2, targets)``."""

    labels: list[str]
    amounts: list[str]
    schedules: list[list[tuple[str, float, float, float]] | None]
    exposure: NDArray[np.float64]


def _plan(
    rng: np.random.Generator,
    log_odds: NDArray[np.float64],
    n_targets: int,
    pairs: bool,
    orders: bool,
    doses: Sequence[float],
) -> _Plan:
    """Action, dose and strength of every target for every cell, treated by their log odds; by period where in order."""
    n_cells = len(log_odds)
    top = max(doses)
    conditions = [[{t: dose}] for t in range(n_targets) for dose in doses]
    if pairs:
        conditions += [[{a: top, b: top}] for a, b in combinations(range(n_targets), 2)]
    if orders:
        conditions += [[{a: top}, {b: top}] for a, b in permutations(range(n_targets), 2)]
    number = rng.integers(len(conditions), size=n_cells)
    number[: n_cells // 4] = -1
    number = rng.permutation(number)
    if log_odds.any():
        likely = np.argsort(log_odds + rng.logistic(size=n_cells))
        number[likely] = np.concatenate([number[number < 0], number[number >= 0]])
    plan = _Plan([], [], [], np.zeros((n_cells, 2, n_targets)))
    for i, k in enumerate(number):
        periods = [{}] if k < 0 else conditions[k]
        for at, given in enumerate(periods):
            for target, dose in given.items():
                plan.exposure[i, at, target] = (1 + HALF) * dose / (dose + HALF * top)
        names = ["+".join(f"T{t + 1}" for t in given) for given in periods]
        plan.labels.append(" then ".join(names) or "control")
        plan.amounts.append("+".join(f"{dose:g} {UNIT}" for given in periods for dose in given.values()) or f"0 {UNIT}")
        entries = [(names[at], top, float(at), at + 1.0) for at in range(len(periods))]
        plan.schedules.append(entries if len(periods) > 1 else None)
    return plan

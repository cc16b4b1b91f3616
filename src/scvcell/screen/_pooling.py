"""Whether an action does the same to all units that cells are pooled to, by the measured pools of treated cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from scvcell._calm import progress
from scvcell._containers import Membership
from scvcell.response import counterfactual, move
from scvcell.tissue import pooled

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from scvcell._types import Array, Rows
    from scvcell.response import Contrast, Controls

MIN_POOLED = 5
"""Treated cells and controls that a pool must have each, so that it is compared."""


@dataclass(frozen=True, eq=False)
class Pool:
    """Cells of one unit, batch and context: positions of the treated ones and of their controls."""

    unit: int
    treated: Rows
    controls: Rows

    @property
    def weight(self) -> float:
        """How well the difference of both is known, in cells."""
        return 1 / (1 / len(self.treated) + 1 / len(self.controls))


def check_whole(membership: Membership) -> None:
    """Refuse units that have shares of cells.

    Raises
    ------
    ValueError
        If a weight is not 1.
    """
    if not (membership.matrix.data == 1).all():
        raise ValueError("Cells are pooled whole: the weights of by= must be 1. Counts cannot be drawn for shares.")


def measured_pools(start: Controls, contrasts: Sequence[Contrast], membership: Membership) -> list[list[Pool]]:
    """Pools of each contrast that have both treated cells and controls; none where units have either alone.

    Parameters
    ----------
    start
        The data and the model.
    contrasts
        Treated cells and controls, one action in one context each.
    membership
        Units of all cells of the data.
    """
    check_whole(membership)
    batch = start.model.schema.context(start.view)[1]
    matrix = sp.csr_array(membership.matrix)
    cells = np.split(matrix.indices, matrix.indptr[1:-1])
    out = []
    for contrast in contrasts:
        found = []
        for unit, inside in enumerate(cells):
            for code in np.unique(batch[inside]):
                here = inside[batch[inside] == code]
                treated, controls = (here[np.isin(here, each)] for each in (contrast.treated, contrast.controls))
                if min(len(treated), len(controls)) >= MIN_POOLED:
                    found.append(Pool(unit, treated, controls))
        out.append(found if len({pool.unit for pool in found}) > 1 else [])
    return out


def by_pools(
    start: Controls,
    pools: Sequence[Sequence[Pool]],
    latent: torch.Tensor,
    n: int,
    rng: np.random.Generator,
) -> tuple[float, Array, Array, int]:
    r"""How far effects on pools of units are from their mean over units.

    .. math::
        \kappa = \frac{\sum_r n_r \|\Delta_r - \bar\Delta\|}{\sum_r n_r \|\Delta_r\|}, \qquad
        \Delta_r = q(z \mid P x')_r - q(z \mid P x)_r

    The null draws cells from the controls of every unit, with the measured fold change of each feature, the same in all
    units; so it holds what pooling and encoding do to an effect that is the same everywhere.

    Returns
    -------
    Kappa; kappa of `n` draws of the null; of `n` bootstraps of the cells of each pool; and the number of cells.
    """
    flat = [pool for each in pools for pool in each]
    sides = [pool.controls for pool in flat] + [pool.treated for pool in flat]
    first = np.array([side[0] for side in sides])
    found = _kappa(flat, start.encode(first, _sums(start, sides)).numpy())
    changes, null, again = _fold_changes(start, pools, latent), [], []
    for _ in progress(range(n), "Order, where it does not matter", shown=start.model.progress):
        values = _sums(start, [_again(side, rng) for side in sides[: len(flat)]])
        moved = _moved(start, pools, changes, latent, rng)
        both = {m: np.concatenate([values[m], moved[m]]) for m in values}
        null.append(_kappa(flat, start.encode(first, both).numpy()))
        again.append(_kappa(flat, start.encode(first, _sums(start, [_again(side, rng) for side in sides])).numpy()))
    return found, np.array(null), np.array(again), len(np.unique(np.concatenate(sides)))


def _sums(start: Controls, sides: Sequence[Rows]) -> dict[str, Array]:
    """Sums of the measurements of some sets of cells, of which some come twice, ``(sets, features)``."""
    row = np.repeat(np.arange(len(sides)), [len(side) for side in sides])
    matrix = sp.csr_array((np.ones(len(row)), (row, np.concatenate(sides))), (len(sides), start.view.n_obs))
    units = Membership(matrix, pd.RangeIndex(len(sides)).astype(str), start.view.obs_names)
    out = {}
    for m, bulk in start.whole.items():
        total = pooled(units, bulk.matrix, bulk.rows, counts=bulk.operator.count_data)
        out[m] = np.asarray(total.toarray() if sp.issparse(total) else total, dtype=np.float32)
    return out


def _fold_changes(start: Controls, pools: Sequence[Sequence[Pool]], latent: torch.Tensor) -> list[dict[str, Any]]:
    """Mean effect on the pools of each contrast, by assay, and the change of each feature's log that makes it.

    Within pools, as treated cells may lie in other units than their controls do.
    """
    out = []
    for each in pools:
        here = {}
        cells = np.concatenate([pool.controls for pool in each]) if each else np.zeros(0, np.int64)
        for m, bulk in start.whole.items() if each else ():
            effects = [bulk.measured(pool.treated)[0] - bulk.measured(pool.controls)[0] for pool in each]
            change = np.average(effects, axis=0, weights=[pool.weight for pool in each])
            here[m] = change, move(bulk, cells, latent[cells], latent[cells], change)
        out.append(here)
    return out


def _moved(
    start: Controls,
    pools: Sequence[Sequence[Pool]],
    changes: Sequence[dict[str, Any]],
    latent: torch.Tensor,
    rng: np.random.Generator,
) -> dict[str, Array]:
    """Sums of as many cells as were treated, made from controls of their pool by the fold change of the contrast."""
    out: dict[str, list[Array]] = {m: [] for m in start.whole}
    for each, change in zip(pools, changes, strict=True):
        if not each:
            continue
        drawn = [rng.choice(pool.controls, len(pool.treated)) for pool in each]
        cells, ends = np.concatenate(drawn), np.cumsum([len(part) for part in drawn])
        z, parts = latent[cells], np.split(np.arange(len(cells)), ends[:-1])
        for m, bulk in start.whole.items():
            values = counterfactual(bulk, cells, z, z, change[m][0], rng, change[m][1])[0]
            out[m].append(bulk.pooled(values, parts))
    return {m: np.concatenate(sums).astype(np.float32) for m, sums in out.items()}


def _kappa(flat: Sequence[Pool], states: Array) -> float:
    """Distance of the effects on pools from their mean over units, weighted by cells; states of controls come first."""
    effect = states[len(flat) :] - states[: len(flat)]
    weight = np.array([pool.weight for pool in flat])
    code = pd.factorize(np.array([pool.unit for pool in flat]))[0]
    total = np.bincount(code, weight)
    each = np.stack([np.bincount(code, weight * column) / total for column in effect.T], 1)
    off = np.linalg.norm(each - np.average(each, axis=0, weights=total), axis=1)
    return float((total @ off) / max(float(total @ np.linalg.norm(each, axis=1)), 1e-12))


def _again(cells: Rows, rng: np.random.Generator) -> Rows:
    """As many cells, with replacement."""
    return rng.choice(cells, len(cells))

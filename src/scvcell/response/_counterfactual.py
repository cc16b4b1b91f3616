"""Cells as they would be after an action: molecules are added or taken away, so that the group meets its effect."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from scvcell._random import seeded
from scvcell.measure import expected_log1p
from scvcell.response._bulk import COUNTS_PER_CELL, evenly

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch.distributions import Distribution

    from scvcell._types import Array, Rows
    from scvcell.response._bulk import Bulk

DRAWN_AT_ONCE = 512
"""Cells of which molecules are drawn at once; a dozen arrays of cells x features are in memory then."""
DRAWING = ("cuda",)
"""Types of devices that draw themselves how many molecules stay; for others numpy does."""
MAX_MOVE = 3.0
"""Natural log by which a feature is moved at most beyond what the flow does."""
MAX_ROUNDS = 6
"""Rounds in which a group is brought to its effect at most."""
CLOSE_ENOUGH = 1e-3
"""Largest distance from its effect, on the effect scale, at which a group has met it."""


@torch.inference_mode()
def move(bulk: Bulk, cells: Rows, before: torch.Tensor, after: torch.Tensor, residual: Array) -> torch.Tensor:
    """How far `Measurement.shifted` is to move each feature so that the group meets its effect, ``(features,)``.

    Parameters
    ----------
    bulk
        The assay of the cells.
    cells, before, after, residual
        As `counterfactual`.
    """
    if not bulk.operator.count_data:
        return _tensor(bulk, residual)
    if bulk.shares:
        return _tilt(bulk, cells, before, after, residual)
    level = np.expm1(bulk.expected(cells, after))
    wanted = np.maximum(np.expm1(np.log1p(level) + residual), 1e-3 * level)
    move = np.clip(np.log(np.maximum(wanted, 1e-12) / np.maximum(level, 1e-12)), -MAX_MOVE, MAX_MOVE)
    return _tensor(bulk, np.where(residual == 0, 0.0, move))


def _tilt(bulk: Bulk, cells: Rows, before: torch.Tensor, after: torch.Tensor, residual: Array) -> torch.Tensor:
    """`move` of shares, found by iteration: molecules are added and taken away cell by cell.

    Shares sum to one, so that not all effects can be met. Those are that are nearest by least squares, where a
    feature of which a change is worth more counts counts more, by the square root. Where the depth is given, the
    rest of the counts is one more feature, of which no effect is known; it gives what the others take.
    """
    at = evenly(len(cells))
    here, ctx = cells[at], bulk.at(cells[at])
    z0, z1 = before[at].to(bulk.device), after[at].to(bulk.device)
    deep = ctx.measured(bulk.operator.depth(ctx, z0) * float(np.exp(residual[-1])))
    old = bulk.operator.predictive(z0, ctx).mean
    x, has = _tensor(bulk, bulk.readout.dense(here)), torch.from_numpy(bulk.rows[here] >= 0).to(bulk.device)[:, None]
    rest = 0 if getattr(bulk.operator, "rest", None) is None else 1
    start = bulk.operator.depth(ctx, z0)[:, None]
    other = torch.where(has, (start - x.sum(1, keepdim=True)).clamp(min=0), 0.0)
    of_rest = (start - old.sum(1, keepdim=True)).clamp_min(1e-12)

    def changed(now: torch.Tensor, before: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        ratio = torch.where(has, now / before, math.inf)
        return ratio.clamp(max=1), now * (1 - 1 / ratio.clamp_min(1e-12)).clamp(min=0)

    def mean(found: Distribution, depth: torch.Tensor) -> torch.Tensor:
        kept, new = changed(found.mean, old.clamp_min(1e-12))
        size, beside = (x * kept + new).sum(1, keepdim=True), x[:, :0]
        if rest:
            kept_rest, more = changed((depth - found.mean.sum(1, keepdim=True)).clamp(min=0), of_rest)
            beside = other * kept_rest + more
            size = size + beside
        scale = COUNTS_PER_CELL / size.clamp_min(1)
        value = expected_log1p(new, getattr(found, "theta", None), scale=scale, count=x, kept=kept)
        return torch.cat([value, (scale * beside).log1p()], 1).mean(0)

    shift = x.new_zeros(x.shape[1] + rest)
    target = mean(bulk.operator.predictive(z0, ctx), start)
    if not torch.equal(before, after) or residual.any():
        moved = bulk.expected(cells, after) - bulk.expected(cells, before) + residual
        target = (target + _tensor(bulk, np.append(moved[:-1], np.zeros(rest)))).clamp_min(0)
        worth, damp = _answer(torch.cat([x, other[:, :rest]], 1))
        give = worth.sqrt()
        give[x.shape[1] :] = worth[x.shape[1] :]
        give = give / (worth * give).sum()
        for _ in range(MAX_ROUNDS):
            value = mean(bulk.operator.shifted(z1, deep, _beside(shift, rest)), bulk.operator.depth(deep)[:, None])
            short = target - value
            short = short - give * (worth @ short)
            if short.abs().max() < CLOSE_ENOUGH:
                break
            step = damp * ((value + short).expm1().clamp_min(1e-4) / value.expm1().clamp_min(1e-4)).log()
            shift = (shift + step).clamp(-MAX_MOVE, MAX_MOVE)
    return _beside(shift, rest)


def _answer(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What more molecules do to features of some counts.

    Returns
    -------
    By how many counts per 10,000 the mean rises with the mean log; and how much less than one number of the mean
    log, the same in all cells, changes it, ``(features,)`` each.
    """
    one = COUNTS_PER_CELL / x.sum(1, keepdim=True).clamp_min(1)
    level = (one * x).log1p()
    rise = (x * (level - (one * (x - 1).clamp_min(0)).log1p())).mean(0)
    seen, level = rise > 0, level.mean(0)
    worth = torch.where(seen, (one * x).mean(0) / rise, one.mean() / one.log1p().mean())
    return worth, torch.where(seen, -(-level).expm1() / rise, 1.0).clamp(max=1)


def _tensor(bulk: Bulk, values: Array) -> torch.Tensor:
    return torch.from_numpy(np.asarray(values, dtype=np.float32)).to(bulk.device)


@torch.inference_mode()
def counterfactual(
    bulk: Bulk,
    cells: Rows,
    before: torch.Tensor,
    after: torch.Tensor,
    residual: Array,
    rng: np.random.Generator,
    step: torch.Tensor | None = None,
) -> tuple[Array, Array]:
    r"""Values that cells would have after an action, from those that they have.

    .. math::
        x' = \mathrm{Binomial}\big(x, \min(1, \mu_1 / \mu_0)\big) +
             \mathrm{Binomial}\big(y, \max(0, 1 - \mu_0 / \mu_1)\big), \quad y \sim p(\cdot \mid \mu_1)

    with :math:`\mu_0, \mu_1` what the operator expects before and after. Molecules are taken away or added, so that
    no action changes nothing and what the operator does not model of a cell stays with it. Continuous values move
    by :math:`\mu_1 - \mu_0`. A cell without the assay gets a draw.

    Parameters
    ----------
    bulk
        The assay of the cells.
    cells
        Positions of the cells.
    before, after
        Their states, ``(cells, latent)``.
    residual
        What is to be added on the effect scale; one more entry for the log depth of shares.
    rng
        Draws.
    step
        What `move` says, if it has been asked.

    Returns
    -------
    Values and expected values after the action, ``(cells, features)`` each.
    """
    found = [each for _, *each in counterfactuals(bulk, cells, before, after, residual, rng, step)]
    values, expected = zip(*found, strict=True)
    return np.concatenate(values), np.concatenate(expected)


@torch.inference_mode()
def counterfactuals(
    bulk: Bulk,
    cells: Rows,
    before: torch.Tensor,
    after: torch.Tensor,
    residual: Array,
    rng: np.random.Generator,
    step: torch.Tensor | None = None,
) -> Iterator[tuple[Rows, Array, Array]]:
    """As `counterfactual`, block by block: which of `cells`, their values and their expected values."""
    step = move(bulk, cells, before, after, residual) if step is None else step
    deeper = float(np.exp(residual[-1])) if bulk.shares else 1.0
    for at in torch.arange(len(cells)).split(DRAWN_AT_ONCE):
        here = cells[at.numpy()]
        ctx = bulk.at(here)
        deep = ctx if ctx.depth is None else ctx.measured(ctx.depth * deeper)
        old = bulk.operator.predictive(before[at].to(bulk.device), ctx).mean
        new = bulk.operator.shifted(after[at].to(bulk.device), deep, step)
        mean, x = new.mean, bulk.readout.dense(here)
        has = bulk.rows[here] >= 0
        if not bulk.operator.count_data:
            now, then = mean.cpu().numpy(), old.cpu().numpy()
            value = np.where(has[:, None], x + now - then, rng.normal(now, new.stddev.cpu().numpy()))
        else:
            known = torch.from_numpy(has).to(bulk.device)[:, None]
            ratio = torch.where(known, mean / old.clamp_min(1e-12), math.inf)
            with seeded(int(rng.integers(2**31))):
                fresh = new.sample()
                kept = _thinned(_tensor(bulk, x), ratio, rng)
                more = _thinned(fresh, 1 - 1 / ratio.clamp_min(1e-12), rng)
            value = (kept + more).cpu().numpy()
        yield at.numpy(), value.astype(np.float32), mean.cpu().numpy().astype(np.float32)


def _thinned(count: torch.Tensor, share: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """How many of so many molecules stay: drawn on the device where it is one of `DRAWING`, else by `rng`."""
    count, share = count.trunc(), share.clamp(0, 1)
    if count.device.type in DRAWING:
        return torch.binomial(count, share)
    return torch.from_numpy(rng.binomial(count.cpu().numpy().astype(np.int64), share.cpu().numpy()))


def moved_values(bulk: Bulk, cells: Rows, before: torch.Tensor, after: torch.Tensor, rng: np.random.Generator) -> Array:
    """Values of `counterfactual` where nothing but the states changes, ``(cells, features)``."""
    n = bulk.matrix.shape[1]
    return counterfactual(bulk, cells, before, after, np.zeros(n + 1), rng, _tensor(bulk, np.zeros(n)))[0]


def _beside(shift: torch.Tensor, rest: int) -> torch.Tensor:
    """Shifts of the features, where that of the rest, if there is one, is none."""
    return shift[:-1] - shift[-1] if rest else shift

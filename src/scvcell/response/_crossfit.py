"""How far the effects of conditions that were left out lie from their prediction."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from scvcell._calm import progress
from scvcell.response._anchor import Anchor, prior_weights, shared_weights, stack_weights
from scvcell.response._conditions import unrelated
from scvcell.response._flow_fit import FLOW_STEPS, make_flow, train_flows
from scvcell.response._intervals import STRONGEST
from scvcell.response._novelty import CONTEXT, REGIMES, hidden
from scvcell.score import largest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scvcell._types import Array, Rows
    from scvcell.perturb import AffineFlow
    from scvcell.prior import TargetKernel
    from scvcell.response._effects import Effects

N_FOLDS = 5

MIN_TARGET_SETS = 10
"""Sets of targets of which doses or times must be left out for a shift to be learned from."""

MIN_CONTEXTS = 3
"""Contexts that must be left out for one that is new to be learned from."""

MAX_CALIBRATION_ROWS = 50_000


def crossfit(
    effects: Effects, fitted: Anchor, kernel: TargetKernel | None, seed: int, *, shown: bool = True
) -> tuple[Array, dict[str, list[float]]]:
    """How far the effects of conditions that were left out lie from their prediction.

    Conditions are left out at random, and so that they are new in one of `REGIMES`, where enough sets of targets
    allow it. The flow is fitted anew without each fold. A condition whose targets no other condition has can be left
    out only where `kernel` relates them to others.

    Returns
    -------
    Rows of ``(size of the predicted effect, squared error, predicted variance, number of the condition, number of the
    shift, whether it is among the strongest)``, one per condition and feature, at most `MAX_CALIBRATION_ROWS` of a
    shift at random, none where no condition can be left out; and the weights of the anchor's members for every shift.
    """
    rng = np.random.default_rng(seed)
    n = len(effects.contrasts)
    described = effects.describe(make_flow(effects.contrasts, effects.latent.shape[1], seed), np.arange(n))
    rows, stack, known = [np.zeros((0, 6))], {}, {}
    for code, shift in enumerate(("", *REGIMES)):
        groups = list(hidden(described, shift)) if shift else [np.array([i]) for i in range(n)]
        if shift and len(groups) < (MIN_CONTEXTS if shift == CONTEXT else MIN_TARGET_SETS):
            continue
        same = tuple(map(tuple, groups))
        if same not in known:
            number = rng.permutation(len(groups)) % min(N_FOLDS, len(groups))
            what = f"Learning actions, left out: {shift or 'at random'}"
            folds = [np.concatenate([g for g, k in zip(groups, number, strict=True) if k == f]) for f in set(number)]
            tasks = _without(effects, folds, kernel, seed)
            known[same] = [_left_out(effects, fitted, *task) for task in progress(tasks, what, shown=shown)]
        found = known[same]
        if not found:
            continue
        out, members, by_flow, y, var = map(np.concatenate, zip(*found, strict=True))
        rest = y - by_flow
        if shift == CONTEXT:
            stack[shift] = shared_weights(members, rest, by_flow, len(groups))
        elif shift:
            stack[shift] = stack_weights(members, rest, len(groups), shift)
        mean = np.einsum("ukg,k->ug", members, stack.get(shift, prior_weights(shift)))
        predicted = by_flow + mean
        number_of = np.broadcast_to(out[:, None], y.shape)
        top = strongest(y, y.shape[1] - effects.bulk.shares)
        columns = (np.abs(predicted), (y - predicted) ** 2, var, number_of, np.full(y.shape, float(code)), top)
        new = np.stack([column.ravel() for column in columns], 1)
        rows.append(
            new if len(new) <= MAX_CALIBRATION_ROWS else new[rng.choice(len(new), MAX_CALIBRATION_ROWS, replace=False)]
        )
    return np.concatenate(rows), stack


def strongest(y: Array, n_features: int) -> Array:
    """1 for those of the first features of a condition that changed most, else 0, ``(conditions, columns)``."""
    out = np.zeros(y.shape)
    np.put_along_axis(out, largest(y[:, :n_features], min(STRONGEST, n_features)), 1.0, 1)
    return out


def _without(
    effects: Effects, folds: list[Rows], kernel: TargetKernel | None, seed: int
) -> list[tuple[Rows, Rows, AffineFlow]]:
    """For each fold of which anything can be told without it: numbers of the others, its own, and a flow of others."""
    tasks, taught = [], []
    for fold in folds:
        kept = np.setdiff1d(np.arange(len(effects.contrasts)), fold)
        if not len(kept):
            continue
        units = [effects.contrasts[k] for k in kept]
        flow = make_flow(units, effects.latent.shape[1], seed)
        left = np.array([k for k in fold if unrelated(flow, effects.contrasts[k].action, kernel) is None], dtype=int)
        if len(left):
            tasks.append((kept, left, flow))
            taught.append(units)
    train_flows([flow for *_, flow in tasks], taught, effects.latent.to(effects.bulk.device), seed, FLOW_STEPS // 2)
    return tasks


def _left_out(effects: Effects, fitted: Anchor, kept: Rows, left: Rows, flow: AffineFlow) -> tuple[NDArray[Any], ...]:
    """Predict conditions from the others.

    Returns
    -------
    Their numbers, ``(left,)``, the members of the anchor for them, ``(left, 4, features)``, the effect by the flow, the
    measured one, and the variance of their difference, ``(left, features)`` each.
    """
    noise = fitted.filled(effects.noise)
    y = effects.value[kept] - effects.by_flow(flow, kept)
    among = replace(fitted, conditions=effects.describe(flow, kept), y=y, noise=noise[kept])
    members, var = among.members(effects.describe(flow, left))
    return left, members, effects.by_flow(flow, left), effects.value[left], var + noise[left]

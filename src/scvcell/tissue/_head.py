"""A small head on states of units: cross-fitted over groups, with conformal sets, and what it is worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sklearn.neighbors import NearestNeighbors

from scvcell._stats import conformal_quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scvcell._types import Array, Mask, Rows
    from scvcell.tissue._outcome import Outcome, Predictor

STRENGTHS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
"""Weights of the data against the penalty, of which one is chosen on groups that were left out."""
N_FOLDS = 5
"""Parts of the groups that are left out in turn, at most."""
MAX_TRAINING_UNITS = 20_000
"""Units on which a head is fitted at most, evenly from all."""
N_NEAR = 5
"""Training units whose mean distance says how far away a unit is."""
REACH = 0.99
"""Share of units that were left out which lie within reach."""
N_BOOT = 400
"""Draws of the groups for the interval of the skill."""


@dataclass(frozen=True, eq=False, repr=False)
class Answer:
    """What a head says of units.

    Attributes
    ----------
    value
        Predictions; of units whose outcome is known by a head that did not see their group, ``(units, outputs)``.
    near
        Whether a unit is as near to training units as those of left-out groups are, ``(units,)``.
    known
        Units whose outcome was known, ``(known,)``.
    loss
        Loss of each of them, ``(known,)``.
    skill, lower, upper
        Share by which the loss is below that of a prediction that knows no unit, on left-out groups; 90 % interval.
    strength
        Weight of the data against the penalty.
    """

    value: Array
    near: Mask
    known: Rows
    loss: Array
    skill: float
    lower: float
    upper: float
    strength: float


def answer(outcome: Outcome, x: Array, levels: Sequence[Rows], known: Rows, seed: int) -> Answer:
    """Predict all units by a head of those with a known outcome, these by heads that did not see their group.

    Parameters
    ----------
    outcome
        What is known.
    x
        Features, ``(units, features)``.
    levels
        Groups of units that are left out together, from coarse to fine; each time the first level counts of which the
        training part has two, ``(units,)`` each.
    known
        Units with a known outcome.
    seed
        Drives the draws of the skill's interval.
    """
    rest = np.setdiff1d(np.arange(len(x)), known)
    parts = folds(outcome, levels, known)
    loss, null, distance = (np.zeros(len(x)) for _ in range(3))
    strength = choose_strength(outcome, x, levels, known)
    predict = outcome.fit(x, thinned(known), strength)
    found = np.array(predict(x), dtype=float)
    for out in parts:
        train = np.setdiff1d(known, out)
        own = _fitted(outcome, x, levels, train)
        found[out] = own(x[out])
        loss[out] = outcome.loss(found[out], out)
        null[out] = outcome.loss(np.tile(outcome.without(train), (len(out), 1)), out)
        distance[out] = _distance(x[out], x[thinned(train)])
    reach = np.quantile(distance[known], REACH)
    if len(rest):
        distance[rest] = _distance(x[rest], x[thinned(known)])
    low, high = _interval(loss[known], null[known], levels[-1][known], seed)
    saved = 1 - float(loss[known].sum()) / max(float(null[known].sum()), 1e-12)
    return Answer(found, distance <= reach, known, loss[known], saved, low, high, strength)


def _fitted(outcome: Outcome, x: Array, levels: Sequence[Rows], train: Rows) -> Predictor:
    return outcome.fit(x, thinned(train), choose_strength(outcome, x, levels, train))


def choose_strength(outcome: Outcome, x: Array, levels: Sequence[Rows], train: Rows) -> float:
    """The weight of the data under which left-out groups of the training part are predicted best."""
    parts = folds(outcome, levels, train)
    best, least, worse = STRENGTHS[0], np.inf, 0
    for strength in STRENGTHS:
        loss = 0.0
        for out in parts:
            predict = outcome.fit(x, thinned(np.setdiff1d(train, out)), strength)
            loss += float(outcome.loss(predict(x[out]), out).sum())
        worse = worse + 1 if loss >= least else 0
        if loss < least:
            best, least = strength, loss
        if worse == 2:  # the loss falls and then rises: larger weights need not be tried
            break
    return best


def folds(outcome: Outcome, levels: Sequence[Rows], rows: Rows) -> list[Rows]:
    """Parts of some units to be left out in turn, groups in one piece, outcomes dealt evenly.

    Parameters
    ----------
    outcome
        What is known of the units.
    levels
        Groups, from coarse to fine, as for `answer`.
    rows
        The units.
    """
    groups, member = np.unique(coarsest(levels, rows), return_inverse=True)
    mean = np.bincount(member, outcome.value[rows]) / np.bincount(member)
    fold = np.empty(len(groups), np.int64)
    fold[np.lexsort([groups, mean])] = np.arange(len(groups)) % N_FOLDS
    return [rows[fold[member] == each] for each in np.unique(fold)]


def coarsest(levels: Sequence[Rows], rows: Rows) -> Rows:
    """Groups of some units by the first level that splits them; each alone where none does, ``(rows,)``."""
    return next((level[rows] for level in levels if len(np.unique(level[rows])) > 1), np.arange(len(rows)))


def thinned(rows: Rows) -> Rows:
    """Some units, evenly from all, where there are too many."""
    if len(rows) <= MAX_TRAINING_UNITS:
        return rows
    return rows[np.unique(np.linspace(0, len(rows) - 1, MAX_TRAINING_UNITS).astype(int))]


def _distance(asked: Array, there: Array) -> Array:
    """Mean distance to the nearest training units, ``(asked,)``."""
    near = NearestNeighbors(n_neighbors=min(N_NEAR, len(there))).fit(there)
    return np.asarray(near.kneighbors(asked)[0].mean(1))


def _interval(loss: Array, null: Array, group: Rows, seed: int) -> tuple[float, float]:
    """90 % interval of the skill, groups drawn anew."""
    _, member = np.unique(group, return_inverse=True)
    sums = np.stack([np.bincount(member, each) for each in (loss, null)])
    draws = np.random.default_rng(seed).integers(sums.shape[1], size=(N_BOOT, sums.shape[1]))
    mine, other = sums[:, draws].sum(2)
    low, high = np.quantile(1 - mine / np.maximum(other, 1e-12), [0.05, 0.95])
    return float(low), float(high)


def quantile(score: Array, level: float) -> float:
    """The conformal quantile of scores; infinite of too few."""
    return float(conformal_quantile(score, level))


def class_sets(found: Answer, code: Rows, level: float) -> Mask:
    """Classes that cannot be ruled out, the most probable one always among them, ``(units, classes)``.

    A class is in the set where its probability is no less than that of the true class in `level` of the units whose
    group was left out.

    Parameters
    ----------
    found
        Probabilities.
    code
        True class of the known units, ``(known,)``.
    level
        Share of units whose set holds the true class.

    References
    ----------
    Sadinle, Lei and Wasserman, Least ambiguous set-valued classifiers with bounded error levels, JASA 2019.
    """
    most = quantile(1 - found.value[found.known, code], level)
    sets = 1 - found.value <= most
    sets[np.arange(len(sets)), found.value.argmax(1)] = True
    return sets

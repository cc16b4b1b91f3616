"""The axis of perturbations: actions, doses, times and combinations that were never seen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from scvcell.response import COMBINATION, TARGET, novelty, of_actions
from scvcell.risk.axes._base import AXES
from scvcell.risk.axes._effects import EffectAxis

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from scvcell.perturb import Action
    from scvcell.risk.axes._conditions import Condition, Conditions

MEASURE = "1 - similarity to the nearest training action"


@AXES.register("perturbation")
@dataclass(frozen=True)
class Perturbation(EffectAxis):
    """Actions that were not seen, in contexts of which treated cells were seen.

    The regime says what is new: ``"new target"``, ``"higher dose"``, ``"time between"``, ``"new combination, 1 of 2
    parts seen"``, ``"another context"`` where the action was seen elsewhere. Severity is 1 less the similarity to the
    nearest training action, see `similarity_of`.

    Parameters
    ----------
    keys, modality, n_partitions, level, n_top, seed, metrics
        As `scvcell.risk.axes.EffectAxis`.
    likeness
        Targets x targets, in [0, 1]: how much alike they are, by structure or by what they bind. Without it a target
        that was not seen is like none.
    """

    name: ClassVar[str] = "perturbation"

    likeness: pd.DataFrame | None = field(default=None, compare=False, repr=False)

    def _mine(self, conditions: Conditions, of: Condition) -> bool:
        return of.context in conditions.treated_contexts

    def _shift(self, conditions: Conditions, of: Condition) -> tuple[str, float, str]:
        design = conditions.design
        seen = [design.actions[k] for k in np.unique(design.code[conditions.known & design.treated])]
        return regime_of(of.action, seen), 1 - similarity_of(of.action, seen, self.likeness), MEASURE


def similarity_of(action: Action, seen: Sequence[Action], likeness: pd.DataFrame | None = None) -> float:
    """Similarity of an action to the nearest of those that were seen, in [0, 1].

    Of one with the same targets, the smaller of both doses over the larger one, the mean over targets, times the same
    of times. Of another set of targets, the mean over targets of 1 for one that was seen alone, 1/2 for one that was
    seen with others only, and the largest likeness to a target that was seen for any other; half of that for several
    targets together.

    Parameters
    ----------
    action, seen
        What is asked for; what may be learned from.
    likeness
        Targets x targets, in [0, 1].
    """
    same = [_nearness(action, other) for other in seen if set(other.targets) == set(action.targets)]
    if same:
        return max(same)
    alone = {other.targets[0] for other in seen if len(other.targets) == 1}
    among = {target for other in seen for target in other.targets}

    def of(target: str) -> float:
        if target in alone:
            return 1.0
        known = 0.5 if target in among else 0.0
        if likeness is not None and target in likeness.index:
            near = [other for other in likeness.columns if other in among and other != target]
            known = max([known, *likeness.loc[[target], near].to_numpy(float).ravel().tolist()])
        return known

    parts = [of(target) for target in action.targets]
    return float(np.mean(parts)) * (0.5 if len(parts) > 1 else 1.0)


def _nearness(action: Action, other: Action) -> float:
    """Ratio of doses, times ratio of times, of two actions on the same targets."""
    ratios = [_ratio(dose, other.doses.get(target)) for target, dose in action.doses.items()]
    return float(np.mean(ratios)) * _ratio(action.time, other.time)


def _ratio(one: float | None, other: float | None) -> float:
    """The smaller over the larger; 1 where neither is known, 1/2 where one is."""
    if one is None or other is None:
        return 1.0 if one is other else 0.5
    return min(one, other) / max(one, other) if max(one, other) > 0 else 1.0


def regime_of(action: Action, seen: Sequence[Action]) -> str:
    """What is new about an action, in words; how a model sees it, `scvcell.response.novelty`, with parts counted."""
    same = [other for other in seen if set(other.targets) == set(action.targets)]
    if not same and len(action.targets) < 2:
        return TARGET
    if not same:
        alone = {other.targets[0] for other in seen if len(other.targets) == 1}
        return f"{COMBINATION}, {len(alone & set(action.targets))} of {len(action.targets)} parts seen"
    every = of_actions([action, *same], action.targets)
    (found,) = novelty(every.take([0]), every.take(list(range(1, len(every)))))
    return found or "another context"

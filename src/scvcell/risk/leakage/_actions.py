"""What training and test cells share of what was done to them: action, target, part, dose, time, class."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scvcell.risk.leakage._base import CHECKS, OF_ACTIONS, Case, Finding, share

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from scvcell.perturb import Action

SAME_LOG = 1e-3
"""Difference of logs up to which doses or times are the same."""
_DOSE_IN_NAME = re.compile(
    r"[\s_\-@(]+(\d+(\.\d+)?\s*([pnuµμm]?(m|mol|g)(/(ml|l))?|%)|\d+\.\d+)\)?$", flags=re.IGNORECASE
)
"""A dose at the end of a name: a number with its unit, or with a point."""


@dataclass(frozen=True)
class _Side:
    """Actions of the treated cells of one side."""

    actions: tuple[Action, ...]
    cells: Counter[Action]

    @property
    def sets(self) -> set[frozenset[str]]:
        return {frozenset(action.targets) for action in self.actions}


@CHECKS.register("actions")
def actions(case: Case) -> Iterator[Finding]:
    """Shares of treated test cells of which something was done in training, too."""
    design = case.design
    if design is None or not len(case.treated(case.test)):
        return
    train, test = (_side(design.actions, design.code[case.treated(part)]) for part in (case.train, case.test))
    claimed = case.claims.kinds
    for check, kind, what, is_shared in _rows(train, test, claimed):
        shared = [action for action in test.actions if is_shared(action)]
        value = sum(test.cells[action] for action in shared) / sum(test.cells.values())
        new = kind in claimed
        some = ", ".join(str(action) for action in shared[:2]) + (", ..." if len(shared) > 2 else "")
        if not value:
            says = f"No treated test cell has {what}."
        elif new:
            says = f"The split says that the {kind} is new; {value:.0%} of the treated test cells have {what}: {some}."
        else:
            says = f"{value:.0%} of the treated test cells have {what}; the split does not say otherwise."
        yield Finding(check, value, 0.0, "red" if value and new else "green", says, kind)


@CHECKS.register("contexts of actions")
def contexts_of_actions(case: Case) -> Iterator[Finding]:
    """Shares of treated test cells whose context, or whose action in its context, has treated training cells."""
    design = case.design
    if design is None or len(design.contexts) < 2 or not len(case.treated(case.test)):
        return
    sets = np.array([*("+".join(sorted(action.targets)) for action in design.actions), "", ""], object)
    frame = pd.DataFrame({"context": design.context, "pair": sets[design.code]})
    frame["pair"] = frame["pair"] + " in " + frame["context"].astype(str)
    train, test = (frame.iloc[case.treated(part)] for part in (case.train, case.test))
    for kind, what in (("context", "a context"), ("pair", "targets in a context")):
        shared = test[kind].isin(set(train[kind])).to_numpy()
        value, new = share(shared), kind in case.claims.kinds
        says = f"{value:.0%} of the treated test cells are of {what} in which treated cells are trained on"
        says += ", which the split says is new." if new else "; the split does not say otherwise."
        says = says if value else f"No treated test cell is of {what} in which treated cells are trained on."
        yield Finding(f"same {kind}", value, 0.0, "red" if value and new else "green", says, kind)


@CHECKS.register("classes of targets")
def classes(case: Case) -> Iterator[Finding]:
    """Share of treated test cells whose target is of a scaffold, mechanism or pathway that is trained on."""
    design = case.design
    if design is None or not len(case.treated(case.test)):
        return
    train, test = (_side(design.actions, design.code[case.treated(part)]) for part in (case.train, case.test))
    for kind in OF_ACTIONS:
        table = case.declared.get(kind, case.split.how.get("classes") if kind in case.claims.kinds else None)
        if not isinstance(table, Mapping):
            continue
        of = {str(name): _several(value) for name, value in table.items()}
        known = {c for action in train.actions for target in action.targets for c in of.get(target, ())}
        shared = [a for a in test.actions if all(of.get(t) and of[t] <= known for t in a.targets)]
        value = sum(test.cells[action] for action in shared) / sum(test.cells.values())
        some, claimed = ", ".join(str(action) for action in shared[:2]), kind in case.claims.kinds
        says = f"{value:.0%} of the treated test cells have only targets of a {kind} that is trained on: {some}."
        says = says if value else f"Every treated test cell has a target of a {kind} that is not trained on."
        yield Finding(f"same {kind} of target", value, 0.0, "red" if value and claimed else "green", says, kind)


def _rows(
    train: _Side, test: _Side, claimed: Iterable[str]
) -> Iterator[tuple[str, str, str, Callable[[Action], bool]]]:
    """Check, kind, words, and whether an action of test cells shares it with training."""
    sets = train.sets
    alone = {target for each in sets if len(each) == 1 for target in each}
    plain = {target for each in sets for target in each}
    names = {_base(target) for target in plain if _base(target) != target.casefold()}
    known = set(train.actions)
    yield "same action", "action", "an action that is trained on", lambda a: a in known
    yield (
        *("same target", "target", "targets that are all trained on alone"),
        lambda a: set(a.targets) <= alone,
    )
    yield (
        *("target in a combination", "target", "targets that are all trained on, some in combinations only"),
        lambda a: set(a.targets) <= plain and not set(a.targets) <= alone,
    )
    yield (
        *("target under another dose's name", "target", "targets that are trained on under names with other doses"),
        lambda a: not set(a.targets) <= plain and all(t in plain or _base(t) in names for t in a.targets),
    )
    if any(len(action.targets) > 1 for action in test.actions):
        yield (
            *("same combination", "combination", "a combination that is trained on"),
            lambda a: len(a.targets) > 1 and frozenset(a.targets) in sets,
        )
    again = [action for action in test.actions if frozenset(action.targets) in sets]
    if any(dose is not None for action in again for dose in action.doses.values()):
        side = next((each.split()[0] for each in ("higher dose", "lower dose") if each in claimed), "same")
        words = "a dose that is trained on" if side == "same" else f"a dose that is not {side} than all in training"
        yield "same dose", "dose", words, lambda a: any(_reached(a, b, side) for b in train.actions)
    if any(action.time is not None for action in again):
        late = next((each for each in ("later", "earlier") if each in claimed), "same")
        words = "a time that is trained on" if late == "same" else f"a time that is not {late} than all in training"
        yield "same time", "time", words, lambda a: any(_in_time(a, b, late) for b in train.actions)


def _side(actions: tuple[Action, ...], code: np.ndarray) -> _Side:
    cells = Counter({actions[i]: int(n) for i, n in zip(*np.unique(code, return_counts=True), strict=True)})
    return _Side(tuple(cells), cells)


def _reached(action: Action, other: Action, side: str) -> bool:
    """Whether another action on the same targets has the same doses, or ones at least as far to the side."""
    if frozenset(action.targets) != frozenset(other.targets):
        return False
    pairs = [(action.doses[target], other.doses[target]) for target in action.targets]
    known = [(a, b) for a, b in pairs if a is not None and b is not None]
    if not known:
        return False
    gap = np.array([np.log(b) - np.log(a) for a, b in known])
    reach = {"higher": gap >= -SAME_LOG, "lower": gap <= SAME_LOG}
    return bool(reach.get(side, np.abs(gap) <= SAME_LOG).all())


def _in_time(action: Action, other: Action, late: str) -> bool:
    """Whether another action on the same targets is looked at at the same time, or at least as far to the side."""
    if frozenset(action.targets) != frozenset(other.targets) or action.time is None or other.time is None:
        return False
    gap, same = other.time - action.time, SAME_LOG * max(action.time, 1e-12)
    return bool({"later": gap >= -same, "earlier": gap <= same}.get(late, abs(gap) <= same))


def _base(name: str) -> str:
    """Name of a target without a dose at its end, in small letters."""
    return _DOSE_IN_NAME.sub("", name).casefold()


def _several(value: object) -> set[str]:
    return {value} if isinstance(value, str) else set(map(str, value)) if np.iterable(value) else {str(value)}

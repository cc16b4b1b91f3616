"""How well columns of obs tell which cells are tested: the trap is a split that is the batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.naive_bayes import CategoricalNB

from scvcell._labels import is_numeric, labels, numbers
from scvcell.risk.leakage._base import CHECKS, OF_ACTIONS, TECHNICAL, Case, Finding, kind_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scvcell._types import Array, Mask, Rows
    from scvcell.risk.leakage._base import Verdict

TELLS = 0.95
"""Area under the curve from which on a column tells the split."""
MOST_CELLS, FOLDS, BINS, SHUFFLES = 10_000, 5, 20, 200
ACTIONS = {"action", "target", "combination", *OF_ACTIONS}
"""Claims about actions, of which those that are held out are held out whole."""
USUAL = 0.34
"""Share of other choices of as many groups that a column tells as well, up to which the choice is unusual."""


@CHECKS.register("covariates")
def covariates(case: Case) -> Iterator[Finding]:
    """Cross-validated area under the curve of each covariate for the split.

    Notes
    -----
    Where groups are held out whole, as donors are, a column that goes with them, such as their age, tells any choice of
    them. It is then asked how many other choices of as many groups the column would tell as well.
    """
    of_actions = bool(case.claims.kinds & ACTIONS) and case.design is not None
    train, test = ((case.treated(part) if of_actions else part) for part in (case.train, case.test))
    every, tested = np.concatenate([train, test]), np.arange(len(train) + len(test)) >= len(train)
    if len(every) > MOST_CELLS:
        some = np.sort(case.rng(2).choice(len(every), MOST_CELLS, replace=False))
        every, tested = every[some], tested[some]
    if min(tested.sum(), (~tested).sum()) < FOLDS:
        return
    unit, where = _unit(case, every)
    for column in _columns(case):
        code = _codes(case, column, every)
        if code.max() < 1:
            continue
        value = auc(code, tested, case.seed)
        verdict: Verdict = "green"
        says = f"obs[{column!r}] tells test cells from training cells with an area of {value:.2f}."
        if value >= TELLS and unit is not None:
            usual = _usual(code, unit, tested, case.rng(3))
            if usual <= USUAL:
                verdict = "amber"
                says = f"{says} What is new of {where} cannot be told from what is new of {column!r}."
            else:
                says = (
                    f"{says} It tells {usual:.0%} of other choices of {where} as well, so that this one is no choice."
                )
        elif value >= TELLS:
            verdict = "red" if kind_of(column) in TECHNICAL else "amber"
            says = f"{says} The split is a split by {column!r}, and does not say so."
        yield Finding(f"split told by {column}", value, TELLS, verdict, says, f"split:{column}")


def auc(code: Rows, tested: Mask, seed: int) -> float:
    """Cross-validated area under the curve by which codes tell the tested cells."""
    model = CategoricalNB(min_categories=int(code.max()) + 1)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    found = cross_val_predict(model, code[:, None], tested, cv=folds, method="predict_proba")[:, 1]
    return float(roc_auc_score(tested, found))


def _columns(case: Case) -> list[str]:
    """Columns that users name and technical ones, but for those that the split itself names."""
    keys = case.keys.columns if case.keys is not None else ()
    usual = [c for c in case.seen.columns if kind_of(c) in (*TECHNICAL, "donor") and c not in keys]
    return [c for c in dict.fromkeys([*case.covariates, *usual]) if not case.claims.groups(c)]


def _codes(case: Case, column: str, cells: Rows) -> Rows:
    """A column as numbers of groups; measured numbers in bins of as many cells each."""
    values = case.seen.column(column).iloc[cells]
    if is_numeric(values) and values.nunique() > BINS:
        found = numbers(values)
        edges = np.unique(np.nanquantile(found, np.linspace(0, 1, BINS + 1)[1:-1]))
        return np.where(np.isnan(found), len(edges) + 1, np.searchsorted(edges, found, side="right")).astype(np.int64)
    return pd.factorize(labels(values), use_na_sentinel=False)[0].astype(np.int64)


def _unit(case: Case, cells: Rows) -> tuple[Rows | None, str]:
    """Number of the group of each cell, of the groups that are held out whole, and what they are called."""
    held = case.groups
    if held:
        parts = [labels(case.seen.column(column)).iloc[cells].to_numpy() for column in held]
        return pd.factorize(pd.MultiIndex.from_arrays(parts))[0].astype(np.int64), " and ".join(map(repr, held))
    if case.design is not None and case.claims.kinds & ACTIONS:
        return case.design.code[cells], "actions"
    names = labels(case.split.units.reindex(case.seen.obs_names[cells]))
    return (pd.factorize(names)[0].astype(np.int64), "units") if names.nunique() < len(cells) else (None, "")


def _usual(code: Rows, unit: Rows, tested: Mask, rng: np.random.Generator) -> float:
    """Share of other choices of as many groups that codes would tell."""
    groups, unit = np.unique(unit, return_inverse=True)
    cells = np.zeros((len(groups), int(code.max()) + 1))
    np.add.at(cells, (unit, code), 1)
    chosen = np.zeros(len(groups), bool)
    chosen[unit[tested]] = True
    return float(np.mean([_area(cells, rng.permutation(chosen)) >= TELLS for _ in range(SHUFFLES)]))


def _area(cells: Array, chosen: Mask) -> float:
    """Area under the curve by which codes tell chosen groups, from the cells of each group and code."""
    yes, no = cells[chosen].sum(0), cells[~chosen].sum(0)
    order = np.argsort(yes / np.maximum(yes + no, 1), kind="stable")
    yes, no = yes[order], no[order]
    below = np.cumsum(no) - no
    pairs = float(yes.sum() * no.sum())
    return float((yes * (below + no / 2)).sum()) / max(pairs, 1.0)

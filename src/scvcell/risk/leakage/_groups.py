"""Labels that training and test cells share: donor, batch, cell type, platform, unit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scvcell._labels import is_numeric, labels
from scvcell.risk.leakage._base import CHECKS, COLUMN_KINDS, OF_ACTIONS, Case, Finding, kind_of, share

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from scvcell._types import Rows

NAMED = 3
"""Labels that a sentence names."""


@CHECKS.register("groups")
def groups(case: Case) -> Iterator[Finding]:
    """Share of test cells whose group has training cells; red where the split says that groups are new."""
    found = columns(case)
    for column in found:
        yield from _column(case, column)
    if case.claims.columns:
        return
    for kind in sorted(case.claims.kinds & set(COLUMN_KINDS) - {kind_of(column) for column in found}):
        if kind not in OF_ACTIONS:
            says = f"The split says that the {kind} is new, and no column of obs says of which {kind} a cell is."
            yield Finding(f"same {kind}", float("nan"), 0.0, "amber", says, kind)


@CHECKS.register("units")
def units(case: Case) -> Iterator[Finding]:
    """Share of test cells whose exchangeable unit has training cells."""
    names = labels(case.split.units)
    if names.is_unique:
        return
    train, test = names.reindex(case.split.train), names.reindex(case.split.test)
    shared = test.notna() & test.isin(set(train.dropna()))
    value = share(shared.to_numpy())
    if value:
        says = f"{value:.0%} of the test cells are of a unit that is trained on: {_some(test[shared])}."
    else:
        says = "No unit has both training and test cells."
    yield Finding("same unit", value, 0.0, "red" if value else "green", says)


def columns(case: Case) -> list[str]:
    """Obs columns of groups: those that the split or the user names, and those with a usual name."""
    there = case.seen.columns
    usual = [column for column in there if kind_of(column) in COLUMN_KINDS]
    keys = case.keys.columns if case.keys is not None else ()
    own = [column for column in usual if column not in keys or column in (case.keys.contexts if case.keys else ())]
    named = [column for column in case.covariates if not is_numeric(case.seen.column(column))]
    return list(dict.fromkeys([*case.claims.columns, *named, *own]))


def _column(case: Case, column: str) -> Iterator[Finding]:
    kind, claimed, text = kind_of(column), case.claims.groups(column), case.text(column)
    name = kind if kind == column.replace("_", " ") else f"{kind} ({column})"
    test = case.treated(case.test) if kind in OF_ACTIONS else case.test
    train = case.treated(case.train) if kind in OF_ACTIONS else case.train
    value, some = _overlap(text, test, train)
    if not value:
        says = f"No test cell is of a {kind} that is trained on."
    elif claimed:
        says = f"The split says that the {kind} is new; {value:.0%} of the test cells are of one in training: {some}."
    else:
        says = f"{value:.0%} of the test cells are of a {kind} that is trained on; the split does not say otherwise."
    yield Finding(f"same {name}", value, 0.0, "red" if value and claimed else "green", says, kind)
    if claimed and len(case.calibration):
        value, some = _overlap(text, case.calibration, test)
        says = f"{value:.0%} of the calibration cells are of a {kind} that is tested: {some}."
        says = says if value else f"No calibration cell is of a {kind} that is tested."
        check = f"calibrated on the tested {name}"
        yield Finding(check, value, 0.0, "red" if value else "green", says, "calibration")


def _overlap(text: pd.Series, cells: Rows, others: Rows) -> tuple[float, str]:
    """Share of `cells` whose label is one of `others`, and the first of these labels."""
    known = set(text.iloc[others].dropna())
    here = text.iloc[cells]
    shared = (here.notna() & here.isin(known)).to_numpy()
    return share(shared), _some(here[shared])


def _some(names: pd.Series) -> str:
    found = list(dict.fromkeys(names))
    return ", ".join(map(str, found[:NAMED])) + (", ..." if len(found) > NAMED else "")

"""How like each test unit is to its nearest training unit: targets by their features, groups by their profile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scvcell import score
from scvcell.prior import TargetKernel
from scvcell.risk.leakage._base import CHECKS, Case, Finding, kind_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scvcell._types import Array
    from scvcell.risk.leakage._base import Verdict

ALIKE = 0.6
"""Similarity of two targets from which on neither is new beside the other: the usual limit of Tanimoto's."""
MOST_CELLS, MOST_GROUPS = 500, 200
"""Cells of a group whose mean is its profile, and groups, at most."""


@CHECKS.register("targets that are alike")
def targets(case: Case) -> Iterator[Finding]:
    """Similarity of each target of test cells to the nearest one that is trained on."""
    design = case.design
    if design is None or case.similarity is None:
        return
    given = [
        {t for i in np.unique(design.code[case.treated(part)]) for t in design.actions[i].targets}
        for part in (case.train, case.test)
    ]
    train, test = sorted(given[0]), sorted(given[1] - given[0]) or sorted(given[1])
    table, measure = _table(case.similarity)
    known = [name for name in train if name in table.columns]
    asked = [name for name in test if name in table.index]
    if not asked or not known:
        says = "The table of similarities has none of the targets of test cells, or none that is trained on."
        yield Finding("similar target", float("nan"), ALIKE, "amber", says, "similar target")
        return
    near = table.loc[asked, known]
    best, top = near.to_numpy().argmax(1), near.to_numpy().max(1)
    units = pd.DataFrame({"unit": asked, "nearest": [known[i] for i in best], "similarity": top})
    at, claimed, lacking = int(top.argmax()), "target" in case.claims.kinds, len(test) - len(asked)
    value = float(top[at])
    says = f"The most similar pair is {asked[at]} and {known[best[at]]} in training: {measure} {value:.2f}."
    says += f" {lacking} targets of test cells are not in the table." if lacking else ""
    verdict: Verdict = "amber" if (value >= ALIKE and claimed) or lacking else "green"
    limit, value = float(np.nextafter(ALIKE, 0)), float("nan") if lacking else value
    yield Finding("similar target", value, limit, verdict, says, "similar target", units=units)


@CHECKS.register("groups that are alike")
def contexts(case: Case) -> Iterator[Finding]:
    """Correlation of the mean profile of each group that is held out with the nearest training group's."""
    columns = case.groups
    modality = max(case.seen.modalities, key=lambda m: case.seen.modalities[m].n_vars)
    for column in columns:
        train, test = (_profiles(case, modality, column, part) for part in (case.train, case.test))
        if train is None or test is None:
            continue
        found = np.corrcoef(np.vstack([test[1], train[1]]))[: len(test[0]), len(test[0]) :]
        units = pd.DataFrame(
            {"unit": test[0], "nearest": np.array(train[0])[found.argmax(1)], "similarity": found.max(1)}
        )
        low = int(found.max(1).argmin())
        kind = kind_of(column)
        says = (
            f"Mean profiles of test groups of {column!r} correlate with that of the nearest training group by "
            f"{found.max(1)[low]:.3f} ({test[0][low]} with {train[0][found[low].argmax()]}) or more."
        )
        value = float(units["similarity"].max())
        yield Finding(f"similar {kind}", value, float("nan"), "green", says, f"similar {kind}", units=units)


def _table(similarity: Any) -> tuple[pd.DataFrame, str]:
    """Similarity of each target to each other, and what measures it.

    Raises
    ------
    TypeError
        If it is neither a table nor a `TargetKernel`.
    ValueError
        If a target has two rows, or a value is no number.
    """
    if isinstance(similarity, TargetKernel):
        similarity = similarity.table
    if not isinstance(similarity, pd.DataFrame):
        raise TypeError(
            "similarity must be a DataFrame, targets x targets or targets x features, or a TargetKernel, not "
            f"{type(similarity).__name__}."
        )
    table = similarity.set_axis([str(name) for name in similarity.index], axis=0)
    values = table.apply(pd.to_numeric, errors="coerce").to_numpy(float)
    if not table.index.is_unique or not np.isfinite(values).all():
        raise ValueError("similarity must have one row for each target, and finite numbers only.")
    names = table.index
    if len(names) == table.shape[1] and set(map(str, table.columns)) == set(names):
        return table.set_axis([str(name) for name in table.columns], axis=1).astype(float), "similarity"
    if np.isin(values, (0, 1)).all():
        both = values @ values.T
        size = values.sum(1)
        either = size[:, None] + size[None] - both
        return pd.DataFrame(both / np.maximum(either, 1), names, names), "Tanimoto"
    unit = values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)
    return pd.DataFrame(unit @ unit.T, names, names), "cosine"


def _profiles(case: Case, modality: str, column: str, part: Any) -> tuple[list[str], Array] | None:
    """Names of groups and the mean of their cells' log counts per 10,000, ``(groups, features)``; None of too many."""
    rows, text = case.seen.rows[modality], case.text(column).to_numpy()
    part = part[(rows[part] >= 0) & np.array([name is not None for name in text[part]], bool)]
    names = sorted(set(text[part]))
    if not names or len(names) > MOST_GROUPS:
        return None
    matrix, means, rng = case.seen.matrix(modality), [], case.rng(4)
    for name in names:
        cells = part[text[part] == name]
        cells = cells if len(cells) <= MOST_CELLS else np.sort(rng.choice(cells, MOST_CELLS, replace=False))
        means.append(np.mean([score.log_cp10k(block).mean(0) for block in matrix.chunks(rows[cells])], axis=0))
    return names, np.array(means)

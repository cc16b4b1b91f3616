"""The audit of leakage: every check on one split, and the words that a report may use."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scvcell._checks import expect, listed, seed_of
from scvcell._containers import view
from scvcell.perturb import PerturbationKeys
from scvcell.pp import Split
from scvcell.risk._cells import cells_of
from scvcell.risk._report import COLUMNS
from scvcell.risk.leakage._base import CHECKS, Case, Finding
from scvcell.risk.leakage._words import words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from scvcell._containers import Container
    from scvcell.prior import TargetKernel
    from scvcell.risk._predictor import Predictor

SIMILARITY = ["check", "unit", "nearest", "similarity", "limit"]
FITS = "scramble"
"""The check that fits predictors."""
ORDER = ("red", "amber", "green")
LIGHTS = {"red": "#D55E00", "amber": "#E69F00", "green": "#009E73"}


@dataclass(frozen=True, eq=False, repr=False)
class Audit:
    """What the audit of leakage found.

    Parameters
    ----------
    table
        One row per check, red ones first: ``predictor`` (none for checks of data and split), ``check``, ``value``,
        ``limit``, ``verdict`` and ``says``.
    words
        Words -> ``"allowed: why"`` or ``"not allowed: why"``.
    similarity
        Each test unit with the training unit that it is most like: ``check``, ``unit``, ``nearest``, ``similarity``,
        ``limit``.
    """

    table: pd.DataFrame
    words: Mapping[str, str]
    similarity: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=SIMILARITY))

    @property
    def red(self) -> bool:
        """Whether any check is red."""
        return bool((self.table["verdict"] == "red").any())

    def blocks(self, predictor: str = "") -> str:
        """Why no risk may be printed of a predictor: the first red check of it, or of data and split; else nothing."""
        mine = self.table[self.table["predictor"].isin(["", predictor]) & (self.table["verdict"] == "red")]
        return "" if mine.empty else f"{mine['check'].iloc[0]}: {mine['says'].iloc[0]}"

    def __repr__(self) -> str:
        count = self.table["verdict"].value_counts()
        head = f"Audit: {', '.join(f'{count.get(v, 0)} {v}' for v in ORDER)}"
        rows = self.table[self.table["verdict"] != "green"].to_dict("records")
        lines = [f"  {row['verdict']:<5} {row['check']}: {row['says']}" for row in rows]
        said = [f"  {phrase}: {why.split(':')[0]}" for phrase, why in self.words.items()]
        return "\n".join([head, *lines, *said])

    def _repr_html_(self) -> str:
        rows = "".join(map(_row, self.table.to_dict("records")))
        said = "".join(f"<li><b>{escape(phrase)}</b>: {escape(why)}</li>" for phrase, why in self.words.items())
        head = "<tr><th></th><th>check</th><th>predictor</th><th>value</th><th>what it means</th></tr>"
        return f"<table>{head}{rows}</table><ul>{said}</ul>"


def _row(row: Mapping[Any, Any]) -> str:
    """A row of the table in HTML."""
    light, value = row["verdict"], "" if np.isnan(row["value"]) else f"{row['value']:.3g}"
    cells = "".join(f"<td>{escape(str(text))}</td>" for text in (row["check"], row["predictor"], value, row["says"]))
    return f"<tr><td style='color:{LIGHTS[light]}'>&#9679; {light}</td>{cells}</tr>"


def audit(
    data: Container,
    split: Split,
    *,
    perturbation: PerturbationKeys | None = None,
    covariates: str | Iterable[str] = (),
    similarity: pd.DataFrame | TargetKernel | None = None,
    predictors: Iterable[Predictor] = (),
    declared: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Audit:
    """Look for ways in which test cells may have reached a predictor, and say which words a report may use.

    Parameters
    ----------
    data
        The data that were split.
    split
        The split. What it claims to be new is read off ``split.how`` and ``split.reason``; only there an overlap is
        red. Elsewhere it limits the words.
    perturbation
        Columns that say what was done to each cell; by default those that the split was made with.
    covariates
        Further obs columns that must not tell which cells are tested; batch, platform, site, section and donor are
        looked at by themselves.
    similarity
        How alike targets are: targets x targets, or targets x features (fingerprints of zeros and ones are compared by
        Tanimoto's coefficient, others by the cosine), or the kernel of the fit.
    predictors
        Predictors. Of those that hold a fitted model its record is read; others are fitted to a small part of the data,
        with and without noise in place of the test cells (:func:`scvcell.risk.scramble`).
    declared
        What the data do not show: ``"feature selection"``, ``"pca"``, ``"scaling"``, ``"graph"``: ``"train"`` or
        ``"all"``; ``"pretraining"``: ``"none"``, ``"disjoint"``, or the name of the corpus; ``"scaffold"``,
        ``"mechanism"``, ``"pathway"``: target -> its class. Under a predictor's name: what holds for it alone.
    seed
        Seed of samples and small fits.

    Returns
    -------
    The findings; ``audit.red`` says whether scores may not be shown.

    Raises
    ------
    ValueError
        If the data lack cells of the split.
    KeyError
        If a column is unknown.
    TypeError
        If an argument is of another kind.

    Examples
    --------
    >>> split = scvcell.risk.hold_out(adata, "donor", "d7")
    >>> found = scvcell.risk.audit(adata, split, predictors=[scvcell.risk.ModelPredictor()])
    >>> found.words["unseen donor"]
    "allowed: nothing found by 'same donor'."
    """
    return look(case_of(data, split, perturbation, covariates, similarity, predictors, declared, seed))


def case_of(
    data: Container,
    split: Split,
    perturbation: PerturbationKeys | None = None,
    covariates: str | Iterable[str] = (),
    similarity: pd.DataFrame | TargetKernel | None = None,
    predictors: Iterable[Predictor] = (),
    declared: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Case:
    """All that checks may read, of arguments as in `audit`."""
    expect("split", split, Split, "For example risk.hold_out(data, 'donor', 'd7').")
    if perturbation is not None:
        expect("perturbation", perturbation, PerturbationKeys, "For example PerturbationKeys('drug', control='DMSO').")
    asked = tuple(listed("predictors", predictors, "predictors"))
    data = cells_of(data, [getattr(each, "model", None) for each in asked])
    split.check(data)
    seen = view(data)
    if perturbation is None and isinstance(split.how.get("perturbation"), dict):
        perturbation = PerturbationKeys(**split.how["perturbation"])
    named = tuple(listed("covariates", covariates, "names of obs columns"))
    for column in (*named, *(perturbation.columns if perturbation is not None else ())):
        seen.column(column)
    return Case(data, seen, split, perturbation, named, similarity, asked, dict(declared or {}), seed_of(seed))


def look(case: Case, tell: Callable[[Finding], None] = lambda finding: None) -> Audit:
    """Make every check; those of data, split and records first, then the one for which predictors are fitted.

    Parameters
    ----------
    case
        What is looked at.
    tell
        Called with each finding as soon as it is there.
    """
    findings: list[Finding] = []
    for _, check in sorted(CHECKS.in_order(), key=lambda named: named[0] == FITS):
        for finding in check(case):
            tell(finding)
            findings.append(finding)
    findings.sort(key=lambda finding: ORDER.index(finding.verdict))
    return _written(case, findings)


def _written(case: Case, findings: list[Finding]) -> Audit:
    """Findings as tables."""
    rows = [{column: getattr(finding, column) for column in COLUMNS["leakage"]} for finding in findings]
    parts = [
        f.units.assign(check=f.check, limit=f.limit)[SIMILARITY]
        for f in findings
        if f.units is not None and len(f.units)
    ]
    near = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=SIMILARITY)
    return Audit(pd.DataFrame(rows, columns=COLUMNS["leakage"]), dict(words(case, findings)), near)

"""What those read who show a report: its tables and facts, and their rows one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from scvcell.risk._columns import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    type Row = dict[str, Any]

REPLICATE, ANSWERED, WAYS = "replicate", "answered", ("higher", "lower")
"""Another sample of the truth. The share of questions that were answered is no score; nor is one that has no way."""


class Report(Protocol):
    """What there is in a `scvcell.risk.RiskReport`, which says of each what it is."""

    @property
    def rows(self) -> pd.DataFrame:
        """Scores, one by one."""

    @property
    def summary(self) -> pd.DataFrame:
        """Scores pooled over units."""

    @property
    def total(self) -> pd.DataFrame:
        """R of each predictor."""

    @property
    def curves(self) -> pd.DataFrame:
        """Scores against severity."""

    @property
    def breakdown(self) -> pd.DataFrame:
        """Where a predictor stops being better than the baseline."""

    @property
    def calibration(self) -> pd.DataFrame:
        """Coverage of intervals."""

    @property
    def groups(self) -> pd.DataFrame:
        """Gaps between groups."""

    @property
    def leakage(self) -> pd.DataFrame:
        """Checks of the audit."""

    @property
    def alpha(self) -> Mapping[str, float]:
        """Weights of axes."""

    @property
    def words(self) -> Mapping[str, str]:
        """What may be claimed."""

    @property
    def cards(self) -> Mapping[str, Mapping[str, Any]]:
        """Facts."""


def tables(report: Report) -> dict[str, list[Row]]:
    """Rows of every table as dictionaries, with their place in it as ``"i"``; None where there is no value."""
    found: dict[str, list[Row]] = {}
    for name in COLUMNS:
        table: pd.DataFrame = getattr(report, name)
        values = table.astype(object).where(table.notna(), None)
        records = values.to_dict(orient="records")
        found[name] = [{"i": i} | {str(k): v for k, v in row.items()} for i, row in enumerate(records)]
    return found


def items(rows: Sequence[Row]) -> dict[tuple[str, str, str], list[Row]]:
    """Rows of each axis, readout and metric."""
    found: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row["axis"], row["readout"], row["metric"]), []).append(row)
    return found


def is_score(row: Row) -> bool:
    """Whether more or less of it is better."""
    return row["better"] in WAYS and row["metric"] != ANSWERED


def named(row: Row) -> str:
    """A readout and its metric in one name."""
    readout, metric = str(row["readout"]), str(row["metric"])
    return readout if readout.endswith(metric) else f"{readout}, {metric}"

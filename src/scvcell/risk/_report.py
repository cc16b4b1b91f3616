"""What `scvcell.risk.evaluate` returns: tables and facts, without a model or data in them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scvcell.risk._anchor import REPLICATE, Bootstrap, summarise
from scvcell.risk._columns import COLUMNS
from scvcell.risk._total import check_alpha, refused, total

if TYPE_CHECKING:
    from collections.abc import Mapping


__all__ = ["COLUMNS", "RiskReport"]


@dataclass(frozen=True, eq=False, repr=False)
class RiskReport:
    """Where predictors may be trusted, and which simple baseline they beat (eq. 5).

    Parameters
    ----------
    rows
        One row per test, predictor, readout, metric and seed: what was asked (``axis``, ``test``, ``regime``,
        ``severity`` and what it measures, exchangeable ``unit``), and the raw score ``value`` of `n` cells or features.
        ``note`` says why a value is missing (``"failed: ..."``).
    summary
        One row per axis, readout, metric and predictor, pooled over units: ``value`` with its bootstrap interval, the
        values of the anchors (``baseline``: 0, ``replicate``: 1), and ``scaled``, where the value lies between them,
        never clipped; ``informative`` is False where the anchors cannot be told apart.
    total
        One row per predictor: ``risk`` is eq. 5, the mean over axes of 1 - scaled by `alpha`, with its interval;
        ``best_share`` the share of all weights of axes with which this predictor has the least risk. ``risk`` is NaN,
        and ``note`` says why, while the audit of leakage is red.
    curves
        Scores against severity. ``breakdown`` has the least severity from which on a predictor is not better than the
        baseline.
    breakdown
        See `curves`.
    calibration
        Coverage of intervals per axis, regime and predictor, ``of`` ``"all"`` features or the ``"strongest"`` effects,
        with its interval; ``flag`` is ``""``, ``"too narrow"`` or ``"too wide"``.
    groups
        Per value of a column such as the donor: the score, its ``gap`` to all others, and the interval of the gap;
        ``flag`` is ``""`` or ``"worse"``.
    leakage
        One row per check of the audit: what was found, the limit, the ``verdict`` (``"green"``, ``"amber"``,
        ``"red"``), and what it means in a sentence.
    alpha
        Weight of each axis, adding up to 1.
    words
        What the report may claim, and what it may not: ``{"unseen drug": "allowed", ...}`` with a reason.
    cards
        Plain facts about the ``"data"``, the ``"model"`` and the ``"run"``.
    """

    rows: pd.DataFrame
    summary: pd.DataFrame
    total: pd.DataFrame
    curves: pd.DataFrame
    breakdown: pd.DataFrame
    calibration: pd.DataFrame
    groups: pd.DataFrame
    leakage: pd.DataFrame
    alpha: Mapping[str, float] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    cards: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, columns in COLUMNS.items():
            found = list(getattr(self, name).columns)
            if found != columns:
                raise ValueError(f"{name} must have the columns {columns}, not {found}.")

    def __repr__(self) -> str:
        best = self.total[self.total["risk"].notna() & (self.total["predictor"] != REPLICATE)]
        told = f"least risk {best['predictor'].iloc[0]} ({best['risk'].iloc[0]:.2f})" if len(best) else "no risk told"
        return f"RiskReport of {self.total['predictor'].nunique()} predictors along {', '.join(self.alpha)}: {told}"

    def at(self, alpha: Mapping[str, float]) -> RiskReport:
        """The same report with other weights of axes; nothing is asked again.

        Parameters
        ----------
        alpha
            Axis -> weight, each from 0 on; they are made to add up to 1.

        Raises
        ------
        ValueError
            If a weight is negative or NaN, all are 0, or an axis is unknown or lacks its weight.
        """
        weights, run = check_alpha(alpha, list(self.alpha)), self.cards["run"]
        boot = Bootstrap(run["n_boot"], run["level"], run["seed"])
        parts = summarise(self.rows, run["baselines"], boot)[1]
        names = self.total["predictor"].tolist()
        return replace(self, alpha=weights, total=total(parts, names, weights, boot, refused(self.leakage, names)))

    def to_json(self) -> str:
        """The whole report as text, from which `from_json` makes an equal one."""
        tables = {name: _plain(getattr(self, name)) for name in COLUMNS}
        facts = {"alpha": dict(self.alpha), "words": dict(self.words), "cards": dict(self.cards)}
        return json.dumps({"format": 1, **facts, **tables}, sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str | Path) -> RiskReport:
        """The report that `to_json` wrote.

        Parameters
        ----------
        text
            The text, or the path of a file that holds it, as a `pathlib.Path`.

        Raises
        ------
        ValueError
            If the text is no report, or of a format that this version does not read.
        """
        try:
            plain = json.loads(text if isinstance(text, str) else Path(text).read_text("utf-8"))
        except ValueError:
            hint = " A file is given as pathlib.Path(...)." if str(text).endswith(".json") else ""
            raise ValueError(f"This is no report: it is not JSON. RiskReport.to_json writes one.{hint}") from None
        if not isinstance(plain, dict) or plain.get("format") != 1 or not set(COLUMNS) <= set(plain):
            raise ValueError("This JSON is no report of format 1. RiskReport.to_json of this version writes one.")
        tables = {name: _table(plain[name]) for name in COLUMNS}
        for name in ("calibration", "groups"):  # reports of before had the mean over readouts there
            if "readout" not in tables[name]:
                tables[name] = tables[name].assign(readout="")[COLUMNS[name]]
        return cls(**tables, alpha=plain["alpha"], words=plain["words"], cards=plain["cards"])

    def to_html(self, path: str | Path | None = None) -> str:
        """The report as one page that needs nothing else; written to a file if `path` is given.

        Every number in it is one of `to_json`, rounded.
        """
        from scvcell.risk._page import html

        text = html(self)
        if path is not None:
            Path(path).write_text(text, encoding="utf-8")
        return text

    def _repr_html_(self) -> str:
        """The verdicts, as a notebook shows them."""
        from scvcell.risk._page import brief

        return brief(self)


def _plain(table: pd.DataFrame) -> dict[str, Any]:
    """A table as plain values: NaN is None, an infinite number its name."""
    types = {str(column): str(table[column].dtype) for column in table}
    columns = {str(column): [_entry(value) for value in table[column].tolist()] for column in table}
    return {"columns": list(map(str, table)), "types": types, "values": columns}


def _entry(value: Any) -> Any:
    if isinstance(value, float) and not np.isfinite(value):
        return None if np.isnan(value) else ("inf" if value > 0 else "-inf")
    return value


def _table(plain: Mapping[str, Any]) -> pd.DataFrame:
    """Inverse of `_plain`."""
    columns = {
        name: pd.Series(plain["values"][name], dtype=object).astype(plain["types"][name]) for name in plain["columns"]
    }
    return pd.DataFrame(columns, columns=plain["columns"])

"""What `scvcell.risk.evaluate` returns: tables and facts, without a model or data in them."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from scvcell.risk._columns import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Mapping


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

    def to_json(self) -> str:
        """The whole report as text, from which `from_json` makes an equal one."""
        tables = {
            name: json.loads(getattr(self, name).to_json(orient="split", double_precision=15)) for name in COLUMNS
        }
        facts = {"alpha": dict(self.alpha), "words": dict(self.words), "cards": dict(self.cards)}
        return json.dumps({"format": 1, **facts, **tables}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> RiskReport:
        """The report that `to_json` wrote."""
        plain = json.loads(text)
        tables = {
            name: pd.read_json(io.StringIO(json.dumps(plain[name])), orient="split", dtype=False) for name in COLUMNS
        }
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

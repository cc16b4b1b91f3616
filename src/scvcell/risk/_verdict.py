"""What the tables of a report say in plain sentences, one per axis; and when R (eq. 5) is not given."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from scvcell.risk._tables import ANSWERED, REPLICATE
from scvcell.risk.baselines import BASELINES, TRANSLATORS

if TYPE_CHECKING:
    import pandas as pd

    from scvcell._types import Array
    from scvcell.risk._tables import Report

type Tone = Literal["good", "mixed", "bad", "unknown"]

SIMPLE = {*TRANSLATORS, "CCA", "mean of cells", REPLICATE}
"""Names of predictors that others are compared with, beside those in `BASELINES`."""
SAID = {
    "mean": "the mean effect",
    "control": "no change",
    "mean profile": "the mean profile",
    "mean of cells": "the mean of all cells",
}
"""Simple predictors by what they are."""
WAY = (
    (0.17, "a little of the way to a replicate"),
    (0.29, "a quarter of the way to a replicate"),
    (0.42, "a third of the way to a replicate"),
    (0.58, "half of the way to a replicate"),
    (0.71, "two thirds of the way to a replicate"),
    (0.83, "three quarters of the way to a replicate"),
    (0.97, "nearly as good as a replicate"),
    (np.inf, "as good as a replicate"),
)
"""Scaled scores below a limit, in words."""
NUMBERS = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
ORDER: dict[Tone, int] = {"bad": 0, "unknown": 1, "mixed": 2, "good": 3}
"""The worst first."""
FEWEST = 2
"""Units below which there is no interval."""
LEAK = "the audit of leakage is red"


@dataclass(frozen=True)
class Verdict:
    """What a predictor can do along one axis.

    Parameters
    ----------
    axis, title
        Name of the axis, and what was new, in words.
    tone
        ``"good"``: better than the baseline in every readout, all units are answered, no other predictor does as well,
        and intervals hold; ``"bad"``: not better in any, or the audit is red; ``"mixed"``; or ``"unknown"``, where
        nothing can be told.
    parts
        The sentence in parts: how it compares with both anchors, and with others; its intervals; groups.
    base
        The baseline, in words.
    row, rival, interval
        Rows of ``summary``: the median readout, and the best other predictor where that does as well; and of
        ``calibration``: the least coverage. None where there is none.
    dots
        Rows of ``summary``: every readout that can be told.
    """

    axis: str
    title: str
    tone: Tone
    parts: tuple[str, ...]
    base: str = "the baseline"
    row: int | None = None
    rival: int | None = None
    interval: int | None = None
    dots: tuple[int, ...] = ()

    @property
    def sentence(self) -> str:
        """The verdict in one sentence, without numbers."""
        text = "; ".join(self.parts).replace("; but", ", but")
        return f"{text[:1].upper()}{text[1:]}."


def subject(report: Report) -> str | None:
    """Predictor that the report is about: the first that was asked, else that is no baseline; None without any."""
    names = list(dict.fromkeys([*report.total["predictor"], *report.summary["predictor"], *report.rows["predictor"]]))
    given = report.cards.get("run", {}).get("asked", report.cards.get("model", {}))
    asked = [name for name in given if name in names]
    others = [name for name in names if name not in SIMPLE and name not in BASELINES]
    return next(iter([*asked, *others, *names]), None)


def refused(report: Report, predictor: str) -> str:
    """Why R of a predictor is not given; empty where it is."""
    if (audit(report, predictor)["verdict"] == "red").any():
        return LEAK
    here = report.total[report.total["predictor"] == predictor]
    if not len(here):
        return "it was not computed"
    if np.isfinite(float(here["risk"].iloc[0])):
        return ""
    return str(here["note"].iloc[0] or "it was not computed")


def audit(report: Report, predictor: str) -> pd.DataFrame:
    """Checks of the audit that concern a predictor: its own, and those of the split."""
    whose = report.leakage["predictor"].fillna("").astype(str)
    return report.leakage[whose.isin(["", "all", predictor]).to_numpy()]


def verdicts(report: Report, predictor: str) -> list[Verdict]:
    """A verdict per axis, the worst first."""
    axes = dict.fromkeys([*report.summary["axis"], *report.rows["axis"]])
    found = [_verdict(report, predictor, axis) for axis in axes]
    if refused(report, predictor) == LEAK:
        leaked = "the audit found a leak, so this may be too good"
        found = [replace(v, tone="bad", parts=(*v.parts, leaked)) for v in found]
    scaled = report.summary["scaled"].to_numpy(float)
    place = {v.axis: np.inf if v.row is None else scaled[v.row] for v in found}
    return sorted(found, key=lambda v: (ORDER[v.tone], place[v.axis]))


def number(n: int) -> str:
    """A small number as a word."""
    return NUMBERS[n] if n < len(NUMBERS) else str(n)


def _verdict(report: Report, predictor: str, axis: str) -> Verdict:
    table = report.summary.reset_index(drop=True)
    table = table[table["axis"] == axis]
    mine, title = table[table["predictor"] == predictor], _title(report, axis)
    base = _base(report, table, axis)
    told = mine[mine["informative"].astype(bool) & np.isfinite(mine["scaled"].astype(float))]
    interval, holds = _intervals(report, predictor, axis)
    if not len(told):
        return Verdict(axis, title, "unknown", (_silence(report, mine, predictor, axis),), base)
    better = int((_low(told) > 0).sum())
    worse = int((_high(told) < 0).sum())
    row = _median(told)
    rival, other = _rival(table, row, predictor)
    groups = _worse(report, predictor, axis)
    at = float(told["scaled"][row])
    way = ", " + next(words for limit, words in WAY if at < limit) if better and at > 0 else ""
    parts = [_claim(better, worse, len(told), base) + way]
    silent = _unanswered(report, predictor, axis)
    parts += [part for part in (other, silent, holds, groups) if part]
    good = better == len(told) and not (silent or other or groups) and holds in ("", "intervals hold")
    tone: Tone = "good" if good else "mixed" if better else "bad"
    return Verdict(axis, title, tone, tuple(parts), base, row, rival, interval, tuple(told.index))


def _title(report: Report, axis: str) -> str:
    """What was new along an axis."""
    regimes = list(dict.fromkeys(map(str, report.rows.loc[report.rows["axis"] == axis, "regime"].dropna())))
    kinds = list(dict.fromkeys(each.split(", ")[0] for each in regimes))  # what follows says how much of it is new
    regimes = kinds if len(kinds) < len(regimes) else regimes
    names = ", ".join(regimes[:3]) + (", and others" if len(regimes) > 3 else "")
    text = (names or axis).replace("_", " ")
    return text[:1].upper() + text[1:]


def _base(report: Report, table: pd.DataFrame, axis: str) -> str:
    """The baseline of an axis in words: as the run says, else the predictor whose scaled score is always 0."""
    said = report.cards.get("run", {}).get("baselines", {})
    if isinstance(said, dict) and axis in said:
        return SAID.get(said[axis], str(said[axis]))
    told = table[table["informative"].astype(bool)]
    for name, rows in told.groupby("predictor", sort=False):
        if (rows["scaled"].astype(float).abs() < 1e-9).all():
            return SAID.get(str(name), str(name))
    return "the baseline"


def _low(told: pd.DataFrame) -> Array:
    """Lower ends of the intervals; the value where there is none."""
    ends, at = told["scaled_lower"].to_numpy(float), told["scaled"].to_numpy(float)
    return np.where(np.isfinite(ends), ends, at)


def _high(told: pd.DataFrame) -> Array:
    """Upper ends of the intervals; the value where there is none."""
    ends, at = told["scaled_upper"].to_numpy(float), told["scaled"].to_numpy(float)
    return np.where(np.isfinite(ends), ends, at)


def _median(told: pd.DataFrame) -> int:
    """The row in the middle by scaled score; the lower of two."""
    order = np.argsort(told["scaled"].to_numpy(float), kind="stable")
    return int(told.index[order[(len(order) - 1) // 2]])


def _claim(better: int, worse: int, n: int, base: str) -> str:
    if better == n:
        return f"better than {base}"
    if better:
        return f"better than {base} in {number(better)} of {number(n)} readouts"
    return f"worse than {base}" if worse == n else f"no better than {base}"


def _silence(report: Report, mine: pd.DataFrame, predictor: str, axis: str) -> str:
    """Why nothing is said."""
    rows = report.rows[(report.rows["axis"] == axis) & (report.rows["predictor"] == predictor)]
    failed = [str(note) for note in [*mine["note"], *rows["note"]] if str(note).startswith("failed")]
    if failed:
        return "it gave no answer that could be scored"
    if len(mine) and not mine["informative"].astype(bool).any():
        if mine["baseline"].isna().all() or mine["replicate"].isna().all():
            return "cannot be told: there is no replicate, or no baseline, to set scores between"
        if mine["n"].max() < FEWEST:
            return "cannot be told: one unit is too few"
        return "cannot be told: a baseline and a replicate cannot be told apart here"
    return "it was not asked, or has no score"


def _rival(table: pd.DataFrame, row: int, predictor: str) -> tuple[int | None, str]:
    """The best other predictor in a readout, if it does as well."""
    here = table.loc[row]
    others = table[(table[["readout", "metric"]] == here[["readout", "metric"]].to_numpy()).all(axis=1)]
    others = others[~others["predictor"].isin([predictor, REPLICATE]) & others["informative"].astype(bool)]
    scaled, mine = others["scaled"].to_numpy(float), float(here["scaled"])  # type: ignore[arg-type]
    if not np.isfinite(scaled).any() or np.nanmax(scaled) <= max(mine, 0.0):
        return None, ""
    at = int(np.nanargmax(scaled))
    name = str(others["predictor"].iloc[at])
    clear = float(_low(others)[at]) > mine
    return int(others.index[at]), f"but {SAID.get(name, name)} does {'better' if clear else 'as well'}"


def _unanswered(report: Report, predictor: str, axis: str) -> str:
    """How many units have no answer, if any."""
    rows = report.rows[(report.rows["axis"] == axis) & (report.rows["metric"] != ANSWERED)]
    rows = rows[np.isfinite(rows["value"].astype(float))]
    every, mine = rows["unit"].nunique(), rows.loc[rows["predictor"] == predictor, "unit"].nunique()
    return f"it has no answer for {number(every - mine)} of {number(every)} units" if mine < every else ""


def _intervals(report: Report, predictor: str, axis: str) -> tuple[int | None, str]:
    """The row of the least coverage, and whether intervals hold."""
    table = report.calibration.reset_index(drop=True)
    mine = table[(table["axis"] == axis) & (table["predictor"] == predictor)]
    mine = mine[np.isfinite(mine["coverage"].astype(float))]
    if not len(mine):
        raw = report.rows[(report.rows["axis"] == axis) & (report.rows["predictor"] == predictor)]
        given = bool((raw["metric"] == "coverage").any())
        return None, "" if given else "it gives no intervals"
    sure = mine[np.isfinite(mine["lower"].astype(float))]
    shown = sure if len(sure) else mine  # of a single unit nobody can tell
    gap = shown["coverage"].to_numpy(float) - shown["level"].to_numpy(float)
    worst = int(shown.index[int(np.argmin(gap))])
    narrow = mine[mine["flag"] == "too narrow"]
    if len(narrow):
        strongest = set(narrow["of"]) == {"strongest"}
        return worst, f"intervals are too narrow{' for the strongest effects' if strongest else ''}"
    if not len(sure):
        return worst, "whether intervals hold cannot be told"
    return worst, "intervals are wider than they need be" if (mine["flag"] == "too wide").any() else "intervals hold"


def _worse(report: Report, predictor: str, axis: str) -> str:
    """Groups for which the predictor is worse."""
    table = report.groups
    mine = table[(table["axis"] == axis) & (table["predictor"] == predictor) & (table["flag"] == "worse")]
    names = list(dict.fromkeys(f"{c} {g}" for c, g in zip(mine["column"], mine["group"], strict=True)))
    return f"worse for {names[0]}{' and others' if len(names) > 1 else ''}" if names else ""

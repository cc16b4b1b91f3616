"""pl.leakage: the checks of an audit with their verdicts, and how like what was trained on the test units are."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scvcell.pl import _style

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

COLOURS = {"red": _style.VERMILION, "amber": _style.ORANGE, "green": _style.GREEN}
MARKS = {"red": "X", "amber": "D", "green": "o"}
MEANING = {"red": "a leak", "amber": "to be read", "green": "nothing that matters"}
TITLES = {
    "red": "The audit is red: scores of this split would be too good",
    "amber": "The audit is amber: what is marked cannot be ruled out",
    "green": "The audit is green",
}
ROW, LETTERS, LINES, COLUMNS = 0.19, 100, 2, 3
"""Inches of a line, letters of a line of words, lines of words of a check at most, and columns of green checks."""
NEEDED = ("predictor", "check", "value", "limit", "verdict", "says")


def leakage(audit: Any, *, ax: Axes | Sequence[Axes] | None = None) -> list[Axes]:
    """Draw what an audit of leakage found: each check with its verdict, and the similarity of test to training units.

    Parameters
    ----------
    audit
        Result of `scvcell.risk.audit`, a report of `scvcell.risk.evaluate`, or the table of either.
    ax
        As many Axes as there are panels: one, and one more for each kind of units whose similarity was computed.

    Returns
    -------
    The panels. The first has one row per check, red ones first; what is not green is said in words, and green checks
    are named. The others show, for every unit that is tested, its similarity to the nearest one that is trained on;
    the dashed line is the limit from which on it may not be called new.

    Raises
    ------
    ValueError
        If it is no audit.
    """
    table = next((t for t in (getattr(audit, "table", None), getattr(audit, "leakage", None)) if t is not None), audit)
    if not isinstance(table, pd.DataFrame) or not set(NEEDED) <= set(table.columns) or table.empty:
        raise ValueError("`audit` must be the result of `scvcell.risk.audit(data, split)`, or a report with its table.")
    near: pd.DataFrame = getattr(audit, "similarity", pd.DataFrame({"check": []}))
    kinds = list(dict.fromkeys(near["check"]))
    rows = _rows(table)
    lines = sum(len(words) + 0.5 for _, words in rows) - (-len(_green(table)) // COLUMNS)
    panels = _panels(ax, len(kinds), lines)
    _checks(panels[0], table, rows)
    for panel, kind in zip(panels[1:], kinds, strict=True):
        _similarity(panel, near[near["check"] == kind], kind)
    return panels


def _panels(ax: Any, n: int, lines: float) -> list[Axes]:
    """The user's Axes, or the list of checks on the left and the similarities below one another on the right."""
    if given := _style.check_axes(ax, 1 + n):
        return given
    import matplotlib.pyplot as plt

    height = max(0.9 + ROW * lines, 2.5 * n)
    figure = plt.figure(figsize=(7.4 + 3.0 * bool(n), height), layout="constrained")
    if not n:
        return [figure.add_subplot()]
    grid = figure.add_gridspec(n, 2, width_ratios=(7.4, 3.0))
    return [figure.add_subplot(grid[:, 0]), *(figure.add_subplot(grid[i, 1]) for i in range(n))]


def _rows(table: pd.DataFrame) -> list[tuple[str, list[str]]]:
    """Verdict of each check that is not green, its name, and lines that say what it means."""
    out = []
    for verdict in ("red", "amber"):
        for row in table[table["verdict"] == verdict].to_dict("records"):
            whom = f" ({_style.short(row['predictor'])})" if row["predictor"] else ""
            words = wrap(str(row["says"]), LETTERS)
            if len(words) > LINES:
                words = [*words[: LINES - 1], f"{words[LINES - 1]} …"]
            out.append((verdict, [_plain(f"{row['check']}{whom}"), *map(_plain, words)]))
    return out


def _plain(text: str) -> str:
    """Words that are never taken for mathematics."""
    return text.replace("$", r"\$")


def _green(table: pd.DataFrame) -> list[str]:
    """Names of green checks, each once."""
    return [_plain(_style.short(name, 34)) for name in dict.fromkeys(table.loc[table["verdict"] == "green", "check"])]


def _checks(ax: Axes, table: pd.DataFrame, rows: list[tuple[str, list[str]]]) -> None:
    """A light and words for each check that is not green, and green lights in columns below."""
    place = 0.0
    for verdict, (head, *rest) in rows:
        ax.scatter([0.015], [place + 0.5], s=70, color=COLOURS[verdict], marker=MARKS[verdict], clip_on=False)
        ax.text(0.05, place + 0.5, head, va="center", fontsize="medium")
        for i, line in enumerate(rest, 1):
            ax.text(0.05, place + 0.5 + i, line, va="center", fontsize="small", color="#505050")
        place += len(rest) + 1.5
    names = _green(table)
    tall = -(-len(names) // COLUMNS)
    for i, name in enumerate(names):
        x, y = i // tall / COLUMNS, place + i % tall + 0.5
        ax.scatter([x + 0.015], [y], s=22, color=COLOURS["green"], marker=MARKS["green"], clip_on=False)
        ax.text(x + 0.05, y, name, va="center", fontsize="small")
    ax.set(xlim=(0, 1), ylim=(place + tall, -0.2))
    ax.set_axis_off()
    count = table["verdict"].value_counts()
    worst = next(verdict for verdict in TITLES if count.get(verdict, 0))
    told = ", ".join(f"{count[v]} {v} ({MEANING[v]})" for v in TITLES if count.get(v, 0))
    _style.headline(ax, TITLES[worst], told, loc="left")


def _similarity(ax: Axes, near: pd.DataFrame, kind: str) -> None:
    """Similarity of every test unit, the highest first."""
    value = near["similarity"].to_numpy(float)
    limit = float(near["limit"].iloc[0])
    good = np.ones(len(value), bool) if np.isnan(limit) else value <= limit
    pairs = [f"{unit} ~ {other}" for unit, other in zip(near["unit"], near["nearest"], strict=True)]
    what = kind.removeprefix("similar ")
    label = f"Similarity to the nearest\ntraining {what}"
    if _style.is_long(len(value), compact=True):
        ax.hist([value[good], value[~good]], bins=20, stacked=True, color=[_style.BLUE, _style.GREY])
        ax.set(xlabel=label, ylabel=f"Test {what}s")
        _style.tidy(ax, grid="y")
    else:
        _style.ranked(ax, value, pairs, good, label=label, compact=True)
    if not np.isnan(limit):
        ax.axvline(limit, color="black", linewidth=0.8, linestyle=(0, (4, 3)), zorder=2)
    ax.set_xlim(min(0.0 if not np.isnan(limit) else value.min() - 0.05, value.min()), max(1.0, value.max()) + 0.02)
    over = int((~good).sum())
    more = "" if np.isnan(limit) else f"{over} of {len(value)} above the limit of {limit:.2g}"
    _style.headline(ax, f"Test {what}s and training", more)

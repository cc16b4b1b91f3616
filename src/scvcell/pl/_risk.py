"""pl.risk, pl.shift_curve: scores between a simple baseline and a replicate, and how they fall with the shift."""

from __future__ import annotations

from itertools import cycle
from textwrap import fill
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib.ticker import MaxNLocator

from scvcell._registry import near_miss
from scvcell.pl import _style

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    type Style = dict[str, Any]

REPLICATE = "replicate"
"""Name of the predictor that is another sample of the truth."""
ANSWERED, WAYS = "answered", ("higher", "lower")
"""The share of questions that were answered is no score; nor is one of which neither more nor less is better."""
COLUMNS = 3
"""Panels of a row; the legend stands beside the last one of the first."""
LOWEST, HIGHEST = -1.0, 2.0
"""Least and largest scaled score that is drawn in its place; what lies beyond is an arrow at the edge."""


class Anchor(NamedTuple):
    """A line that scores are read against."""

    at: float
    name: str


ANCHORS = (Anchor(0.0, "baseline"), Anchor(1.0, REPLICATE))


def risk(report: Any, *, axis: str | None = None, ax: Axes | Sequence[Axes] | None = None) -> NDArray[np.object_]:
    """Draw where the scores of predictors lie between the baseline (0) and a replicate (1), by axis and readout.

    Parameters
    ----------
    report
        Result of `scvcell.risk.evaluate`.
    axis
        Axis to draw; all by default.
    ax
        Axes to draw on, one per axis of the report.

    Returns
    -------
    Array of Axes, one per axis of the report, one row per readout. Bars are the intervals of the report. An arrow at
    the edge stands for a score beyond it. Where the baseline and the replicate cannot be told apart, the row says so.

    Raises
    ------
    TypeError
        If `report` is not a report.
    ValueError
        If it has no scores, or not the axis.
    """
    summary = _table(report, "summary", "risk")
    summary = summary[summary["better"].isin(WAYS) & (summary["metric"] != ANSWERED)]
    chosen = _chosen(summary, "axis", axis)
    looks = _looks(report, set(summary["predictor"]) - {REPLICATE})
    heights = [_readouts(summary[summary["axis"] == name]) for name in chosen]
    tall = 0.9 + 0.55 * max(map(len, heights))
    panels = _style.make_axes(ax, len(chosen), size=(4.6, tall), columns=2)
    for panel, name, rows in zip(panels, chosen, heights, strict=True):
        here = summary[summary["axis"] == name]
        for place, (readout, metric) in enumerate(rows):
            _row(panel, place, here[(here["readout"] == readout) & (here["metric"] == metric)], looks)
        for at, label in ANCHORS:
            panel.axvline(at, color=_style.GREY, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
            panel.annotate(
                label, (at, 1), (0, 3), xycoords=("data", "axes fraction"), textcoords="offset points",
                ha="center", fontsize="x-small", color=_style.GREY,
            )  # fmt: skip
        panel.set_yticks(range(len(rows)), [_named(*row) for row in rows], fontsize="small")
        panel.set_ylim(len(rows) - 0.5, -0.5)
        panel.tick_params(axis="y", length=0)
        panel.set_xlim(*_limits(here))
        panel.set_xlabel("Scaled score")
        panel.set_title(_style.short(name, 40), fontsize="medium", loc="left", pad=16)
        _style.tidy(panel, grid="x")
    _legend(panels[-1], looks)
    return np.asarray(panels, dtype=object)


def shift_curve(
    report: Any, *, axis: str | None = None, readout: str | None = None, ax: Axes | Sequence[Axes] | None = None
) -> NDArray[np.object_]:
    """Draw scores against how far the question lies from what was seen, and where a predictor breaks down.

    Parameters
    ----------
    report
        Result of `scvcell.risk.evaluate`.
    axis, readout
        Axis and readout to draw; all by default.
    ax
        Axes to draw on, one per curve of the report: axis, readout and metric.

    Returns
    -------
    Array of Axes. Bands are the intervals of the report. A dotted line stands at a breakdown point: from this severity
    on, the predictor of its colour is not better than the baseline.

    Raises
    ------
    TypeError
        If `report` is not a report.
    ValueError
        If it has no curves, or not the axis or readout.
    """
    curves, breakdown = (_table(report, name, "shift_curve") for name in ("curves", "breakdown"))
    looks = _looks(report, set(curves["predictor"]))
    curves = curves[curves["axis"].isin(_chosen(curves, "axis", axis))]
    curves = curves[curves["readout"].isin(_chosen(curves, "readout", readout))]
    keys = ["axis", "readout", "metric"]
    groups = list(dict.fromkeys(curves[keys].itertuples(index=False, name=None)))
    panels = _style.make_axes(ax, len(groups), size=(3.3, 2.8), columns=COLUMNS)
    for panel, key in zip(panels, groups, strict=True):
        mine = (curves[keys] == list(key)).all(axis=1)
        broken = breakdown[(breakdown[keys] == list(key)).all(axis=1)]
        _curves(panel, curves[mine], looks)
        for name, at in zip(broken["predictor"], broken["severity"].astype(float), strict=True):
            if np.isfinite(at) and name in looks:
                panel.axvline(at, color=looks[name]["color"], linewidth=1.2, linestyle=(0, (1, 1.5)), zorder=1)
        panel.set_xlabel(fill(_style.short(_measure(report, key[0], broken), 90), 32), fontsize="small")
        panel.set_ylabel(_style.short(_better(report, key[2]), 40))
        _style.headline(panel, _style.short(key[0], 40), _style.short(key[1], 40), loc="left")
        panel.xaxis.set_major_locator(MaxNLocator(5))
        panel.yaxis.set_major_locator(MaxNLocator(5))
        _style.tidy(panel, grid="y")
    _legend(panels[min(COLUMNS, len(panels)) - 1], looks)
    return np.asarray(panels, dtype=object)


def _table(report: Any, name: str, plot: str) -> pd.DataFrame:
    """A table of the report, whose rows count from 0."""
    table = getattr(report, name, None)
    if table is None or not hasattr(table, "itertuples"):
        raise TypeError(f"pl.{plot} draws what `scvcell.risk.evaluate` returns, not {type(report).__name__}.")
    if not len(table) and name != "breakdown":
        raise ValueError(f"The report has no {name}: no predictor was scored on any axis.")
    return table.reset_index(drop=True)


def _chosen(table: pd.DataFrame, column: str, one: str | None) -> list[str]:
    there = list(dict.fromkeys(table[column]))
    if one is None:
        return there
    if one not in there:
        known = ", ".join(map(str, there))
        raise ValueError(f"The report has no {column} {one!r}.{near_miss(str(one), map(str, there))} It has {known}.")
    return [one]


def _looks(report: Any, shown: set[str]) -> dict[str, Style]:
    """Colour and marker of each predictor, the same in all plots of a report; a replicate is grey."""
    known = dict.fromkeys([*report.summary["predictor"], *report.curves["predictor"]])
    asked = [name for name in report.cards.get("model", {}) if name in known]
    names = dict.fromkeys([*asked, *known])
    rest = [name for name in names if name != REPLICATE]
    looks: dict[str, Style] = {
        name: {"color": colour, "marker": mark}
        for name, colour, mark in zip(rest, _style.colours(len(rest)), cycle("os^DvPX*"), strict=False)
    }
    looks[REPLICATE] = {"color": _style.GREY, "marker": "|"}
    return {name: look for name, look in looks.items() if name in shown}


def _readouts(here: pd.DataFrame) -> list[tuple[str, str]]:
    return list(dict.fromkeys(here[["readout", "metric"]].itertuples(index=False, name=None)))


def _named(readout: str, metric: str) -> str:
    return _style.short(readout) if readout.endswith(metric) else f"{_style.short(readout)}\n{_style.short(metric)}"


def _row(panel: Axes, place: int, here: pd.DataFrame, looks: dict[str, Style]) -> None:
    """One readout: a dot and an interval per predictor, below each other."""
    if not here["informative"].astype(bool).any():
        panel.text(0.5, place, "cannot be told", ha="center", va="center", fontsize="x-small", color=_style.GREY)
        return
    drawn = here[here["informative"].astype(bool) & np.isfinite(here["scaled"].astype(float))]
    drawn = drawn[drawn["predictor"] != REPLICATE]
    step = min(0.12, 0.7 / max(len(drawn), 1))
    values = drawn[["scaled", "scaled_lower", "scaled_upper"]].to_numpy(float)
    for i, (name, (at, *ends)) in enumerate(zip(drawn["predictor"], values, strict=True)):
        y, look = place + step * (i - (len(drawn) - 1) / 2), looks[name]
        if np.isfinite(ends).all():
            panel.plot(ends, [y, y], color=look["color"], linewidth=1.4, zorder=2, scalex=False)
        mark = look["marker"] if LOWEST <= at <= HIGHEST else ("<" if at < LOWEST else ">")
        panel.plot(np.clip(at, LOWEST, HIGHEST), y, color=look["color"], marker=mark, markersize=4.5, zorder=3)


def _limits(here: pd.DataFrame) -> tuple[float, float]:
    """Limits of the scaled scores: the anchors, and all scores up to what is drawn in its place."""
    informative = here[here["informative"].astype(bool) & (here["predictor"] != REPLICATE)]
    found = informative[["scaled", "scaled_lower", "scaled_upper"]].to_numpy(float).ravel()
    values = np.append(found[np.isfinite(found)], [0.0, 1.0])
    return max(values.min(), LOWEST) - 0.12, min(values.max(), HIGHEST) + 0.12


def _curves(panel: Axes, here: pd.DataFrame, looks: dict[str, Style]) -> None:
    for name, curve in here.groupby("predictor", sort=False):
        curve = curve.astype(dict.fromkeys(("severity", "value", "lower", "upper"), float)).sort_values("severity")
        look = looks[str(name)]
        mark = None if name == REPLICATE else look["marker"]
        dashes = "--" if name == REPLICATE else "-"
        if len(curve) == 1:
            panel.vlines(curve["severity"], curve["lower"], curve["upper"], color=look["color"], alpha=0.5)
        panel.fill_between(
            curve["severity"], curve["lower"], curve["upper"], color=look["color"], alpha=0.14, linewidth=0
        )
        panel.plot(
            curve["severity"], curve["value"], color=look["color"], marker=mark, markersize=4.5, linestyle=dashes,
            linewidth=1.4, zorder=3,
        )  # fmt: skip


def _measure(report: Any, axis: str, broken: pd.DataFrame) -> str:
    """What severity measures."""
    rows = report.rows[report.rows["axis"] == axis]
    said = [*broken["measure"], *rows["measure"]]
    return next((str(text) for text in said if isinstance(text, str) and text), "severity")


def _better(report: Any, metric: str) -> str:
    """The metric, and which way is better."""
    said = [way for table in (report.summary, report.rows) for way in table.loc[table["metric"] == metric, "better"]]
    return f"{metric} ({said[0]} is better)" if said and said[0] in WAYS else metric


def _legend(panel: Axes, looks: dict[str, Style]) -> None:
    """One legend for all panels, beside the last one."""
    handles = [
        panel.plot([], [], color=look["color"], marker=look["marker"], markersize=4.5, linewidth=1.4, label=name)[0]
        for name, look in looks.items()
    ]
    _style.side_legend(panel, handles, list(looks))

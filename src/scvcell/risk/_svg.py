"""Figures of a report as SVG that stands inside a page: in its fonts and colours, and without an address."""

from __future__ import annotations

import io
import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, NamedTuple, cast

import matplotlib as mpl
import numpy as np
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from scvcell import pl
from scvcell.risk._tables import ANSWERED, WAYS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from matplotlib.axes import Axes

    from scvcell.risk._tables import Report

    type Plot = Callable[..., Any]

LIMIT = 3
"""Curves of an axis that a page shows."""
SETTINGS: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "scvcell",
    "font.size": 11,
    "axes.labelsize": 10,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
}
NEUTRAL = {"#000000": "currentColor", "#8c8c8c": "var(--muted)", "#d0d0d0": "var(--line)"}
"""Colours that follow the page, light or dark."""
MARKS = {"o": "●", "s": "■", "^": "▲", "D": "◆", "v": "▼", "P": "✚", "X": "✖", "*": "★", "|": "┄"}


class Drawing(NamedTuple):
    """A figure of a page."""

    svg: str
    words: str
    """What it shows."""


class Entry(NamedTuple):
    """A predictor in the legend that all figures share."""

    name: str
    mark: str
    colour: str


def figures(report: Report) -> tuple[list[Entry], list[Drawing], list[Drawing]]:
    """The legend, the scaled scores of each axis, and `LIMIT` curves of each."""
    with mpl.rc_context():
        mpl.rcdefaults()
        for key, value in SETTINGS.items():
            mpl.rcParams[key] = value  # type: ignore[index]
        panels = [*_scores(report), *_curves(report)]
        legend = _legend([ax for ax, _, _ in panels])
        colours = {entry.colour: f"var(--p{i})" for i, entry in enumerate(legend)} | NEUTRAL
        found: dict[str, list[Drawing]] = {"risk": [], "curve": []}
        for i, (ax, kind, words) in enumerate(panels):
            found[kind].append(Drawing(_svg(ax, f"f{i}-", colours), words))
    return legend, found["risk"], found["curve"]


def _legend(panels: Sequence[Axes]) -> list[Entry]:
    """Every predictor that is drawn, once; lines without data stand in a legend."""
    entries: dict[str, Entry] = {}
    for line in [line for ax in panels for line in ax.lines if not np.size(line.get_xdata())]:
        name = str(line.get_label())
        entries.setdefault(name, Entry(name, MARKS[str(line.get_marker())], to_hex(line.get_color())))
    return list(entries.values())


type Panel = tuple[Axes, str, str]


def _scores(report: Report) -> list[Panel]:
    panels: list[Panel] = []
    for axis in dict.fromkeys(report.summary["axis"]):
        rows = report.summary[(report.summary["axis"] == axis) & report.summary["better"].isin(WAYS)]
        rows = rows.loc[rows["metric"] != ANSWERED, ["readout", "metric"]].drop_duplicates()
        if not len(rows):
            continue
        ax = _axes(3.9, 1.0 + 0.5 * len(rows))
        pl.risk(report, axis=axis, ax=ax)
        panels.append((ax, "risk", f"Axis {axis}: scaled scores, from 0, the baseline, to 1, a replicate."))
    return panels


def _curves(report: Report) -> list[Panel]:
    """Curves of an axis, of as many readouts as there are room for, the first metric of each before its others."""
    panels: list[Panel] = []
    table = report.curves.reset_index(drop=True)
    items = table[["axis", "readout", "metric"]].drop_duplicates()
    items = items.assign(turn=items.groupby(["axis", "readout"], sort=False).cumcount())
    chosen = items.sort_values("turn", kind="stable").groupby("axis", sort=False).head(LIMIT)
    chosen = chosen.assign(place=chosen["axis"].map(list(dict.fromkeys(items["axis"])).index))
    chosen = chosen.sort_values(["place", "turn"], kind="stable")
    same = {name: getattr(report, name) for name in ("rows", "summary", "breakdown", "cards")}
    for axis, readout, metric, *_ in chosen.itertuples(index=False):
        mine = (table["axis"] == axis) & (table["readout"] == readout) & (table["metric"] == metric)
        ax = _axes(3.9, 3.1)
        pl.shift_curve(SimpleNamespace(**same, curves=table[mine]), ax=ax)
        panels.append((ax, "curve", f"Axis {axis}, {readout}: {metric} against severity."))
    return panels


def _axes(wide: float, tall: float) -> Axes:
    """Axes of a figure of its own, which no window shows."""
    return Figure(figsize=(wide, tall), layout="constrained").subplots()


def _svg(ax: Axes, prefix: str, colours: dict[str, str]) -> str:
    """A figure without its legend, as an element of a page.

    Ids get a prefix, so that no two figures share one. Colours become variables of the page.
    """
    if (legend := ax.get_legend()) is not None:
        legend.remove()
    out, nothing = io.StringIO(), dict.fromkeys(("Creator", "Date", "Format", "Type"))
    cast("Figure", ax.figure).savefig(out, format="svg", metadata=nothing)
    text = out.getvalue()
    text = text[text.index("<svg") :]
    for pattern in (r"<metadata>.*?</metadata>", r"<style.*?</style>", r"<!--.*?-->", r' xmlns(:\w+)?="[^"]*"'):
        text = re.sub(pattern, "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text)
    used = dict.fromkeys(re.findall(r'(?:url\(#|href="#)([^)"]+)', text))
    ids = {name: f"{prefix}{i}" for i, name in enumerate(used)}
    text = re.sub(r' id="([^"]+)"', lambda m: f' id="{ids[m[1]]}"' if m[1] in ids else "", text)
    text = re.sub(r'(url\(#|href="#)([^)"]+)', lambda m: f"{m[1]}{ids[m[2]]}", text)
    text = re.sub(r"font: (?:\w+ )*([\d.]+px) [^;\"]+", r"font-size: \1", text)
    text = re.sub(r"; font-family: [^;\"]+", "", text)
    for colour, variable in colours.items():
        text = text.replace(colour, variable)
    return text.replace("<svg ", '<svg class="figure" aria-hidden="true" ', 1).strip()

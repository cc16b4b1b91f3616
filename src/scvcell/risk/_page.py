"""A report (eq. 5) as one page that needs nothing else, and in short for a notebook."""

from __future__ import annotations

import json
from importlib.metadata import version
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from scvcell.risk._svg import figures
from scvcell.risk._tables import REPLICATE, is_score, items, named, tables
from scvcell.risk._verdict import audit, refused, subject, verdicts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scvcell.risk._tables import Report, Row

MINUS, DASH, SPACE = "\N{MINUS SIGN}", "\N{EN DASH}", "\N{NO-BREAK SPACE}"
MANY = 40
"""Rows of a long table that a page shows."""
FEW = 5
"""Names that a card shows of a list of more than `MANY`."""
WIDE = 4
"""Readouts that stand side by side in a table."""
FROM, TO = -0.25, 1.25
"""Ends of the ruler of scaled scores."""
LIGHTS = {"red": 0, "amber": 1, "green": 2}
TONES = {"good": "Holds", "mixed": "With care", "bad": "Do not rely on it", "unknown": "Cannot be told"}
"""A verdict in a word or two."""


def html(report: Report) -> str:
    """The report as one page: no script, and nothing that is loaded from elsewhere.

    Every number carries the table, row and column of the report's JSON that it comes from.
    """
    found = tables(report)
    return _template("page.html.j2").render(_facts(report, found) | _page(report, found))


def brief(report: Report) -> str:
    """The verdicts and R, as a notebook shows them."""
    return _template("brief.html.j2").render(_facts(report, tables(report)))


def _template(name: str) -> Any:
    env = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    env.filters |= {"place": place, "plain": plain, "named": named, "is_score": is_score}
    text = files("scvcell.risk").joinpath(name).read_text(encoding="utf-8")
    return env.from_string(text, globals={"number": number})


def _facts(report: Report, all_rows: dict[str, list[Row]]) -> dict[str, Any]:
    """What the page and its short form share."""
    who = subject(report)
    found = verdicts(report, who) if who is not None else []
    total = all_rows["total"]
    return {
        "who": who or "nothing",
        "verdicts": found,
        "tones": TONES,
        "total": total,
        "mine": next((row for row in total if row["predictor"] == who), None),
        "refused": {row["predictor"]: refused(report, row["predictor"]) for row in total},
        "red": who is not None and bool((audit(report, who)["verdict"] == "red").any()),
        "summary": all_rows["summary"],
        "calibration": all_rows["calibration"],
        "version": version("scvcell"),
    }


def _page(report: Report, all_rows: dict[str, list[Row]]) -> dict[str, Any]:
    """What only the page has."""
    legend, scores, curves = figures(report)
    axes: dict[str, list[Row]] = {}
    for row in all_rows["summary"]:
        axes.setdefault(row["axis"], []).append(row)
    failed = [row for row in all_rows["rows"] if row["note"] and row["value"] is None]
    groups = sorted(all_rows["groups"], key=lambda row: row["flag"] != "worse")
    coverage = sorted(all_rows["calibration"], key=lambda row: not row["flag"])
    broken = [row for row in all_rows["breakdown"] if row["severity"] is not None]
    return {
        "legend": legend,
        "scores": [(d.words, Markup(d.svg)) for d in scores],
        "curves": [(d.words, Markup(d.svg)) for d in curves],
        "broken": broken[:MANY],
        "more_broken": len(broken) - MANY,
        "coverage": coverage[:MANY],
        "more_coverage": len(coverage) - MANY,
        "whole": _whole(all_rows["breakdown"]),
        "leakage": sorted(all_rows["leakage"], key=lambda row: LIGHTS.get(row["verdict"], 3)),
        "axes": {axis: _blocks(rows, subject(report)) for axis, rows in axes.items()},
        "vague": [rows[0] for rows in items(all_rows["summary"]).values() if _vague(rows)],
        "failed": failed[:MANY],
        "more_failed": len(failed) - MANY,
        "groups": groups[:MANY],
        "more_groups": len(groups) - MANY,
        "alpha": report.alpha,
        "words": report.words,
        "cards": report.cards,
    }


def _vague(rows: Sequence[Row]) -> bool:
    """Whether a score, of which more or less is better, tells no predictor from another."""
    return is_score(rows[0]) and not any(row["informative"] for row in rows)


def _whole(rows: Sequence[Row]) -> dict[str, list[str]]:
    """By predictor, where it nowhere stops being better than the baseline."""
    found: dict[str, list[str]] = {}
    for row in rows:
        if row["severity"] is None and (not row["note"] or str(row["note"]).startswith("better")):
            found.setdefault(row["predictor"], []).append(f"{named(row)} ({row['axis']})")
    return found


def _blocks(rows: Sequence[Row], who: str | None) -> list[dict[str, Any]]:
    """The scores of an axis as tables of at most `WIDE` readouts: `who` first, a replicate last."""
    readouts = sorted((each[0] for each in items(rows).values()), key=lambda row: not is_score(row))
    names = dict.fromkeys(row["predictor"] for row in rows)
    predictors = sorted(names, key=lambda name: (name != who) + (name == REPLICATE))
    at = {(row["readout"], row["metric"], row["predictor"]): row for row in rows}
    blocks = []
    for start in range(0, len(readouts), WIDE):
        some = readouts[start : start + WIDE]
        cells = {p: [at.get((r["readout"], r["metric"], p)) for r in some] for p in predictors}
        blocks.append({"readouts": some, "predictors": cells})
    return blocks


def number(table: str, row: Row, column: str, kind: str = "score") -> Markup:
    """A number of the report as an element that says where it stands; a dash where there is none.

    Parameters
    ----------
    table, row, column
        Its place.
    kind
        ``"score"``; ``"scaled"``, two decimals; ``"share"``, as percent; ``"count"``; or ``"whole"``, a count or a
        score.
    """
    value = row[column]
    if value is None or not np.isfinite(float(value)):
        return Markup('<span class="none" aria-label="no value">{}</span>').format(DASH)
    text = shown(float(value), kind)
    return Markup('<span class="n" data-table="{}" data-row="{}" data-column="{}">{}</span>').format(
        table, row["i"], column, text
    )


def shown(value: float, kind: str) -> str:
    """A number as people read it."""
    size = abs(value)
    if kind == "share":
        return f"{100 * value:.0f}{SPACE}%"
    if kind == "count" or size >= 100 or (kind == "whole" and value == round(value)):
        text = f"{value:,.0f}"
    elif kind == "scaled" or size >= 0.1 or value == 0:
        text = f"{value:.2f}"
    else:
        text = f"{value:.3f}" if size >= 0.01 else f"{value:.4f}" if size >= 0.001 else f"{value:.1e}"
    if float(text.replace(",", "")) == 0:
        text = text.lstrip("-")
    return text.replace("-", MINUS)


def place(value: float) -> str:
    """Where a scaled score stands on the ruler, in percent of its width; at the end where it lies beyond."""
    return f"{100 * (min(max(value, FROM), TO) - FROM) / (TO - FROM):.1f}"


def plain(value: object) -> Markup:
    """A fact of a card: lists side by side, nested ones as lists of their own; of many names the first ones."""
    if isinstance(value, dict):
        rows = Markup("").join(Markup("<dt>{}</dt><dd>{}</dd>").format(k, plain(v)) for k, v in value.items())
        return Markup("<dl>{}</dl>").format(rows)
    if isinstance(value, list | tuple):
        whole = len(value) <= MANY or any(isinstance(each, dict) for each in value)
        found = Markup(", ").join(plain(each) for each in (value if whole else value[:FEW]))
        return found if whole else found + f" and more, {len(value):,} in all; they are in the JSON of the report"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10_000:
        return escape(f"{value:,}")
    return escape(value if isinstance(value, str) else json.dumps(value))

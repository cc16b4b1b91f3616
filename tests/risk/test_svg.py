"""Figures of a page: no address, no id twice, the colours of the page."""

import re
from dataclasses import replace
from xml.etree import ElementTree

import matplotlib as mpl
import pandas as pd
import pytest

from scvcell.risk._svg import LIMIT, MARKS, _curves, figures


@pytest.fixture(scope="module")
def report(made_report):
    return made_report()


@pytest.fixture(scope="module")
def drawn(report):
    return figures(report)


def test_one_of_each_axis_and_of_each_curve(report, drawn):
    legend, scores, curves = drawn
    assert [figure.words.split(":")[0] for figure in scores] == ["Axis context", "Axis perturbation", "Axis modality"]
    assert len(curves) == len(report.curves.drop_duplicates(["axis", "readout", "metric"]))
    assert {entry.name for entry in legend} == set(report.summary["predictor"])
    assert legend[0].name == "scvcell"
    assert {entry.mark for entry in legend} <= set(MARKS.values())
    assert len({(entry.mark, entry.colour) for entry in legend}) == len(legend)


def test_nothing_is_loaded_and_no_id_is_there_twice(drawn):
    _, scores, curves = drawn
    text = "".join(figure.svg for figure in (*scores, *curves))
    assert "http" not in text
    assert "<style" not in text
    assert "<!" not in text
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(ids) == len(set(ids)) > 10
    used = re.findall(r'(?:url\(#|href="#)([^)"]+)', text)
    assert set(used) == set(ids)


def test_it_is_well_formed_and_has_words_as_text(drawn):
    _, (first, *_), curves = drawn
    for figure in (first, *curves):
        ElementTree.fromstring(figure.svg.replace("xlink:href", "href"))
    words = re.findall(r"<text[^>]*>([^<]+)<", first.svg)
    assert {"context", "baseline", "replicate", "Scaled score", "pearson_effect"} <= set(words)
    assert "DejaVu" not in first.svg, "letters are those of the page"


def test_colours_are_those_of_the_page(drawn):
    legend, scores, curves = drawn
    text = "".join(figure.svg for figure in (*scores, *curves))
    assert not re.findall(r"#[0-9a-f]{6}(?![0-9a-f\"])", text), "every colour is a variable"
    assert "currentColor" in text
    assert all(f"var(--p{i})" in text for i, entry in enumerate(legend) if entry.name != "replicate")


def one(report):
    """The report of one axis, with one figure of each kind."""
    tables = {n: getattr(report, n).query("axis == 'modality'") for n in ("summary", "curves", "breakdown")}
    return replace(report, **tables)


def test_names_cannot_break_out(report):
    def bad(frame):
        return frame.replace({"additive": "</svg><script>x</script>", "modality": "<script>y</script> $x^2$"})

    mine = one(report)
    _, scores, curves = figures(replace(mine, summary=bad(mine.summary), curves=bad(mine.curves)))
    text = "".join(figure.svg for figure in (*scores, *curves))
    assert "<script" not in text
    assert text.count("</svg>") == 2
    assert "&lt;script&gt;y" in text


def test_of_many_curves_some_of_every_axis(report, monkeypatch):
    monkeypatch.setattr("scvcell.risk._svg._axes", lambda wide, tall: (wide, tall))
    monkeypatch.setattr("scvcell.risk._svg.pl.shift_curve", lambda *_, ax: ax)
    parts = [report.curves.assign(readout=f"readout {i}", metric=m) for i in range(4) for m in ("a", "b")]
    words = [each[2] for each in _curves(replace(report, curves=pd.concat(parts)))]
    assert words == [
        f"Axis {axis}, readout {i}: a against severity."
        for axis in dict.fromkeys(report.curves["axis"])
        for i in range(LIMIT)
    ]


def test_settings_of_the_user_stay_and_do_not_matter(report):
    drawn = figures(one(report))
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.fonttype": "path"}):
        again = figures(one(report))
        assert mpl.rcParams["font.size"] == 30
        assert mpl.rcParams["svg.fonttype"] == "path"
    assert again == drawn

"""Scores between the anchors, and against severity, as the tables of a report have them."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from scvcell import pl
from scvcell.pl import _style


@pytest.fixture(scope="module")
def report(made_report):
    return made_report()


def dots(ax):
    """Place of each dot by the name of its predictor, read off the colours of the legend."""
    names = {to_hex(line.get_color()): line.get_label() for line in ax.lines if not np.size(line.get_xdata())}
    single = [line for line in ax.lines if np.size(line.get_xdata()) == 1 and line.get_marker() != "None"]
    return [(names[to_hex(line.get_color())], *line.get_xydata()[0]) for line in single]


def test_scaled_scores_stand_where_they_are(report):
    panels = pl.risk(report)
    assert [ax.get_title(loc="left") for ax in panels] == ["context", "perturbation", "modality"]
    found = pl.risk(report, axis="perturbation")[0]
    rows = report.summary[(report.summary["axis"] == "perturbation") & report.summary["informative"].astype(bool)]
    rows = rows[rows["predictor"] != "replicate"]
    drawn = dots(found)
    assert sorted((name, round(x, 9)) for name, x, _ in drawn) == sorted(
        zip(rows["predictor"], rows["scaled"].round(9), strict=True)
    )
    labels = [text.get_text() for text in found.get_yticklabels()]
    assert labels == ["effect\npearson_effect", "effect\nnmae", "pathway\npearson"]
    for name, x, y in drawn:
        here = rows[(rows["predictor"] == name) & np.isclose(rows["scaled"], x)]
        assert labels[round(y)].split("\n")[1] in set(here["metric"]), "each dot stands in the row of its readout"
    assert "cannot be told" in [text.get_text() for text in found.texts]


def test_bars_are_the_intervals(report):
    ax = pl.risk(report, axis="modality")[0]
    bars = {tuple(np.round(line.get_xdata(), 12)) for line in ax.lines if np.ptp(np.r_[0.0, line.get_xdata()]) > 0}
    ends = report.summary.query("axis == 'modality' and predictor == 'scvcell'")[["scaled_lower", "scaled_upper"]]
    assert tuple(np.round(ends.to_numpy()[0], 12)) in bars


def test_what_lies_beyond_is_an_arrow_at_the_edge(report):
    ax = pl.risk(report, axis="modality")[0]
    (arrow,) = [line for line in ax.lines if line.get_marker() == "<"]
    assert arrow.get_xdata() == [-1.0], "the linear model has -1.7"
    assert ax.get_xlim()[0] < -1.0


def test_what_is_no_score_has_no_row(report):
    labels = [text.get_text() for ax in pl.risk(report) for text in ax.get_yticklabels()]
    assert not any("answered" in label or "slope" in label for label in labels)
    assert len(labels) == 7


def test_curves_are_those_of_the_table(report):
    ax = pl.shift_curve(report, axis="perturbation")[0]
    names = {to_hex(line.get_color()): line.get_label() for line in ax.lines if not np.size(line.get_xdata())}
    curves = {names[to_hex(line.get_color())]: line.get_xydata() for line in ax.lines if np.size(line.get_xdata()) == 5}
    assert set(curves) == set(report.curves["predictor"])
    for name, drawn in curves.items():
        table = report.curves[(report.curves["axis"] == "perturbation") & (report.curves["predictor"] == name)]
        np.testing.assert_allclose(drawn, table[["severity", "value"]])
    assert ax.get_xlabel().replace("\n", " ") == "1 - similarity to the nearest training action"
    assert ax.get_ylabel() == "pearson_effect (higher is better)"
    (broken,) = [line for line in ax.lines if np.size(line.get_xdata()) == 2]
    assert set(broken.get_xdata()) == {0.9}
    assert to_hex(broken.get_color()) == to_hex(_style.BLUE), "it is that of scvcell"
    assert not [line for line in pl.shift_curve(report, axis="context")[0].lines if np.size(line.get_xdata()) == 2]


def test_colours_are_the_same_in_all_plots_and_whatever_the_order(report):
    def colours(ax):
        return {line.get_label(): to_hex(line.get_color()) for line in ax.lines if not np.size(line.get_xdata())}

    first, second = colours(pl.risk(report)[-1]), colours(pl.shift_curve(report)[-1])
    assert first.items() <= second.items()
    assert second["replicate"] == to_hex(_style.GREY)
    curves = report.curves.sample(frac=1, random_state=0)
    again = pl.shift_curve(replace(report, curves=curves), axis="modality")[0]
    assert colours(again) == second
    line = next(line for line in again.lines if np.size(line.get_xdata()) == 5)
    assert (np.diff(line.get_xdata()) > 0).all()


def test_axes_of_the_user(report):
    _, own = plt.subplots(1, 3)
    assert list(pl.risk(report, ax=own)) == list(own)
    with pytest.raises(ValueError, match="3 panels; `ax` holds 1"):
        pl.shift_curve(report, ax=own[0])


def test_one_point_is_seen(report):
    curves = report.curves.query("severity == 0.5 and axis == 'context'")
    ax = pl.shift_curve(replace(report, curves=curves))[0]
    assert any(len(c.get_segments()) for c in ax.collections if hasattr(c, "get_segments"))


@pytest.mark.parametrize("plot", [pl.risk, pl.shift_curve])
def test_errors_say_what_to_do(report, plot):
    with pytest.raises(TypeError, match=r"draws what `scvcell\.risk\.evaluate` returns, not DataFrame"):
        plot(pd.DataFrame())
    with pytest.raises(ValueError, match=r"no axis 'contxt'\. Did you mean 'context'"):
        plot(report, axis="contxt")
    name = "summary" if plot is pl.risk else "curves"
    with pytest.raises(ValueError, match=f"The report has no {name}"):
        plot(replace(report, **{name: getattr(report, name).iloc[:0]}))
    with pytest.raises(ValueError, match="no readout 'x'"):
        pl.shift_curve(report, readout="x")

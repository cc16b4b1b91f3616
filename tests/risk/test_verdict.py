"""What a report says in sentences, against tables whose answer is known."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from scvcell.risk._columns import COLUMNS
from scvcell.risk._verdict import LEAK, WAY, refused, subject, verdicts


@pytest.fixture(scope="module")
def report(made_report):
    return made_report()


def of(report, axis, who="scvcell"):
    return next(v for v in verdicts(report, who) if v.axis == axis)


def change(report, table, where, **values):
    """The report with other values in some rows of a table."""
    frame = getattr(report, table).copy()
    rows = frame.query(where).index
    assert len(rows)
    for column, value in values.items():
        frame.loc[rows, column] = value
    return replace(report, **{table: frame})


def test_the_worst_axis_comes_first(report):
    found = verdicts(report, "scvcell")
    assert [v.axis for v in found] == ["modality", "perturbation", "context"]
    assert [v.tone for v in found] == ["bad", "mixed", "mixed"]
    shuffled = replace(report, rows=report.rows[::-1], summary=report.summary.sample(frac=1, random_state=1))
    assert [(v.axis, v.sentence) for v in verdicts(shuffled, "scvcell")] == [(v.axis, v.sentence) for v in found]


def test_sentences(report):
    assert of(report, "context").sentence == (
        "Better than the mean effect, two thirds of the way to a replicate; intervals hold; worse for donor D3."
    )
    assert of(report, "perturbation").sentence == (
        "Better than the mean effect, half of the way to a replicate, but additive does better; "
        "intervals are too narrow for the strongest effects."
    )
    assert of(report, "modality").title == "Hidden assay"
    assert of(report, "modality").sentence.startswith("Worse than the mean effect")


def test_regimes_of_one_kind_are_named_once(report):
    rows = report.rows.copy()
    here = rows.index[rows["axis"] == "context"]
    rows.loc[here, "regime"] = [f"new combination, {i % 3} of 2 parts seen" for i in range(len(here))]
    assert of(replace(report, rows=rows), "context").title == "New combination"
    rows.loc[here[0], "regime"] = "new target"
    assert of(replace(report, rows=rows), "context").title == "New target, new combination"


def test_an_honest_good_predictor(report):
    good = change(report, "groups", "group == 'D3'", flag="")
    assert of(good, "context").tone == "good"
    assert of(good, "context").sentence == (
        "Better than the mean effect, two thirds of the way to a replicate; intervals hold."
    )


def test_the_numbers_beside_it_are_of_the_median_readout(report):
    found = of(report, "context")
    mine = report.summary.query("axis == 'context' and predictor == 'scvcell' and informative")
    assert report.summary["scaled"][found.row] == mine["scaled"].median()
    assert set(found.dots) == set(mine.index), "what is no score, or cannot be told, has no dot"
    rival = of(report, "perturbation").rival
    assert report.summary["predictor"][rival] == "additive"
    worst = report.calibration.loc[of(report, "perturbation").interval]
    assert (worst["of"], worst["coverage"]) == ("strongest", 0.71)


@pytest.mark.parametrize(("at", "words"), list(zip((0.1, 0.25, 0.35, 0.5, 0.7, 0.8, 0.9, 1.3), WAY, strict=True)))
def test_the_way_to_a_replicate_in_words(report, at, words):
    there = change(report, "summary", "axis == 'modality' and predictor == 'scvcell'", scaled=at, scaled_lower=at / 2)
    assert of(there, "modality").sentence.startswith(f"Better than the mean effect, {words[1]}; ")


def test_some_readouts_are_not_all(report):
    where = "axis == 'context' and predictor == 'scvcell' and metric == 'energy_distance'"
    some = of(change(report, "summary", where, scaled_lower=-0.1), "context")
    assert some.sentence.startswith("Better than the mean effect in two of three readouts, ")
    assert some.tone == "mixed"


def test_intervals_that_reach_0_are_not_better(report):
    where = "axis == 'modality' and predictor == 'scvcell'"
    unsure = of(change(report, "summary", where, scaled=0.1, scaled_lower=-0.1, scaled_upper=0.3), "modality")
    assert unsure.sentence.startswith("No better than the mean effect")
    assert unsure.tone == "bad"


def test_a_simple_predictor_that_does_as_well_is_named(report):
    where = "axis == 'modality' and predictor == 'additive'"
    better = change(report, "summary", "axis == 'modality' and predictor == 'scvcell'", scaled=0.4, scaled_lower=0.3)
    near = of(change(better, "summary", where, scaled=0.45, scaled_lower=0.2), "modality")
    assert "but additive does as well" in near.sentence
    assert near.tone == "mixed"
    assert of(better, "modality").rival is None


def test_units_without_an_answer_are_told(report):
    good = change(report, "groups", "group == 'D3'", flag="")
    rows = pd.concat([good.rows.assign(unit="near"), good.rows.assign(unit="far")], ignore_index=True)
    assert "no answer" not in of(replace(good, rows=rows), "context").sentence
    lost = rows.eval("axis == 'context' and predictor == 'scvcell' and metric != 'answered' and unit == 'far'")
    assert lost.any()
    for fewer in (rows[~lost], rows.assign(value=rows["value"].mask(lost))):
        found = of(replace(good, rows=fewer), "context")
        assert "to a replicate; it has no answer for one of two units; intervals hold." in found.sentence
        assert found.tone == "mixed"


def test_intervals(report):
    none = replace(report, calibration=report.calibration.iloc[:0])
    assert "it gives no intervals" in of(none, "context").sentence
    assert of(none, "context").tone == "mixed"
    where = "axis == 'context' and metric == 'answered' and predictor == 'scvcell'"
    raw = change(none, "rows", where, metric="coverage")
    assert "interval" not in of(raw, "context").sentence, "there are some, whose table is not there"
    one = of(change(report, "calibration", "axis == 'context'", lower=np.nan, upper=np.nan), "context")
    assert "; whether intervals hold cannot be told;" in one.sentence, "coverage of one unit"
    assert one.tone == "mixed"
    few = change(report, "calibration", "axis == 'context' and of == 'strongest'", coverage=0.1, lower=np.nan)
    assert report.calibration.loc[of(few, "context").interval, "of"] == "all", "what nobody can tell is not shown"
    wide = change(report, "calibration", "axis == 'context'", flag="too wide")
    assert "intervals are wider than they need be" in of(wide, "context").sentence
    narrow = change(report, "calibration", "axis == 'context'", flag="too narrow")
    assert "intervals are too narrow;" in of(narrow, "context").sentence


def test_what_cannot_be_told(report):
    blind = change(report, "summary", "axis == 'context'", informative=False)
    assert of(blind, "context").tone == "unknown"
    assert "cannot be told" in of(blind, "context").parts[0]
    assert "cannot be told apart" in of(blind, "context").sentence
    assert "one unit is too few" in of(change(blind, "summary", "axis == 'context'", n=1), "context").sentence
    alone = change(blind, "summary", "axis == 'context'", replicate=np.nan)
    assert "there is no replicate" in of(alone, "context").sentence
    failed = of(report, "modality", "arithmetic")
    assert (failed.tone, failed.row) == ("unknown", None)
    assert failed.sentence == "It gave no answer that could be scored."
    assert of(report, "modality", "nobody").sentence == "It was not asked, or has no score."


def test_r_is_refused_while_the_audit_is_red(report, made_report):
    red = made_report(verdict="red")
    assert refused(report, "scvcell") == ""
    assert refused(red, "scvcell") == LEAK
    assert refused(red, "mean") == "", "the red check is that of scvcell"
    every = change(red, "leakage", "verdict == 'red'", predictor="")
    assert refused(every, "mean") == LEAK
    assert {v.tone for v in verdicts(red, "scvcell")} == {"bad"}
    assert all("leak" in v.sentence for v in verdicts(red, "scvcell"))
    assert (
        refused(change(report, "total", "predictor == 'mean'", risk=np.nan, note="no anchors"), "mean") == "no anchors"
    )
    assert refused(report, "nobody") == "it was not computed"


def test_whom_it_is_about(report):
    assert subject(report) == "scvcell"
    assert subject(replace(report, total=report.total[::-1], cards={"model": {"additive": ""}})) == "additive"
    assert subject(replace(report, total=report.total[::-1], cards={})) == "scvcell"
    cards = {"model": {"additive": "", "scvcell": ""}, "run": {"asked": ["scvcell", "additive"]}}
    assert subject(replace(report, cards=cards)) == "scvcell", "JSON sorts mappings, and keeps the order of lists"
    empty = {name: pd.DataFrame(columns=columns) for name, columns in COLUMNS.items()}
    assert subject(replace(report, **empty)) is None


def test_the_baseline_is_named(report):
    assert of(replace(report, cards={}), "context").base == "the mean effect", "its scaled score is 0 throughout"
    other = replace(report, cards={"run": {"baselines": {"context": "control"}}})
    assert of(other, "context").base == "no change"

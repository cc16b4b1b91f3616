"""Scores between their anchors: pooled over units, never clipped, whatever the order of rows."""

import numpy as np
import pandas as pd
import pytest

from scvcell.risk._anchor import Bootstrap, curves, mean_rows, summarise
from scvcell.risk._columns import COLUMNS
from scvcell.risk._total import total

BASE = {"axis": "perturbation", "regime": "new", "measure": "distance", "readout": "effect", "note": "", "seed": 0}


def make(scores, metric="nmae", better="lower", severity=None, **more):
    """Rows of a report, from predictor -> values of units."""
    rows = []
    for predictor, values in scores.items():
        for i, value in enumerate(values):
            tau = 0.5 if severity is None else severity[i]
            rows.append(
                BASE
                | {"test": f"t{i:03d}", "unit": f"u{i:03d}", "predictor": predictor, "metric": metric, "better": better}
                | {"value": value, "severity": tau, "n": 50}
                | more
            )
    return pd.DataFrame(rows, columns=COLUMNS["rows"])


def simulate(n, seed, loss=0.6):
    """Baseline, replicate and a predictor that lacks a share `loss` of the way between; a third has no effect."""
    rng = np.random.default_rng(seed)
    size = rng.gamma(4, 0.25, n) * (np.arange(n) % 3 > 0)
    noise = rng.normal(0, 0.1, (3, n))
    b, r = size + 0.2 + noise[0], np.full(n, 0.2) + noise[1]
    u = 0.2 + loss * size + noise[2]
    return {"mean": b, "replicate": r, "model": u}


ANCHOR = {"perturbation": "mean"}


def test_a_score_is_a_ratio_of_sums_and_not_clipped():
    scores = {"mean": [1.0, 0.5, 3.0], "replicate": [0.5, 0.5, 1.0], "good": [0.2, 0.2, 0.6], "bad": [2.0, 1, 3]}
    found, parts = summarise(make(scores), ANCHOR, Bootstrap(n=50))
    table = found.set_index("predictor")
    b, r = 4.5, 2.0
    for name, values in scores.items():
        assert table.loc[name, "scaled"] == pytest.approx((sum(values) - b) / (r - b))
        assert table.loc[name, "value"] == pytest.approx(np.mean(values))
        assert (table.loc[name, "baseline"], table.loc[name, "replicate"]) == (pytest.approx(1.5), pytest.approx(2 / 3))
    assert table.loc["good", "scaled"] > 1
    assert table.loc["bad", "scaled"] < 0
    assert (table.loc["mean", "scaled"], table.loc["replicate", "scaled"]) == (0, 1)
    assert parts == {}, "three units cannot tell the anchors apart"


def test_it_does_not_matter_in_which_order_rows_come():
    rows = make(simulate(30, 0))
    mixed = rows.sample(frac=1, random_state=1, ignore_index=True)
    for one, other in zip(summarise(rows, ANCHOR, Bootstrap()), summarise(mixed, ANCHOR, Bootstrap()), strict=True):
        if isinstance(one, pd.DataFrame):
            pd.testing.assert_frame_equal(one, other)
        else:
            assert {key: value[0] for key, value in one.items()} == {key: value[0] for key, value in other.items()}
    pd.testing.assert_frame_equal(curves(rows, ANCHOR, Bootstrap())[0], curves(mixed, ANCHOR, Bootstrap())[0])


def test_intervals_of_scaled_scores_cover():
    rows = pd.concat([make(simulate(30, seed), readout=f"simulation {seed}") for seed in range(1000, 1200)])
    found, _ = summarise(rows, ANCHOR, Bootstrap())
    mine = found[found["predictor"] == "model"]
    assert len(mine) == 200
    assert 0.86 <= ((mine["scaled_lower"] <= 0.4) & (mine["scaled_upper"] >= 0.4)).mean() <= 0.94


def test_a_readout_whose_anchors_are_alike_tells_nothing():
    rng = np.random.default_rng(0)
    alike = {name: rng.normal(0.5, 0.1, 30) for name in ("mean", "replicate", "model")}
    told = simulate(30, 1)
    upside = {"mean": told["replicate"], "replicate": told["mean"], "model": told["model"]}
    rows = pd.concat([make(alike, readout="alike"), make(told), make(upside, readout="upside down")])
    rows = pd.concat(
        [rows, make({"model": [0.9] * 30}, "coverage", "nominal"), make({"model": [1.0] * 30}, "answered")]
    )
    found, parts = summarise(rows, ANCHOR, Bootstrap())
    informative = found.set_index(["readout", "metric", "predictor"])["informative"]
    assert informative["effect", "nmae", "model"]
    assert informative.sum() == 3, "of the three predictors, on one readout only"
    assert found.loc[found["readout"] == "alike", "note"].str.contains("replicate is not better").all()
    scaled = found.set_index(["readout", "metric", "predictor"])["scaled"]
    assert parts["perturbation", "model"][0] == pytest.approx(1 - scaled["effect", "nmae", "model"])


def test_what_is_not_answered_counts_as_the_baseline():
    scores = simulate(30, 1)
    lazy = make(scores).assign(predictor=lambda rows: rows["predictor"].replace("model", "lazy"))
    other = make(scores, readout="other")
    _, parts = summarise(pd.concat([make(scores), lazy.query("predictor == 'lazy'"), other]), ANCHOR, Bootstrap())
    model, lazy = parts["perturbation", "model"], parts["perturbation", "lazy"]
    assert (model.silent, lazy.silent) == (0, 1)
    assert model.risk < 1
    assert lazy.risk == pytest.approx((model.risk + 1) / 2)
    np.testing.assert_allclose(lazy.draws, (model.draws + 1) / 2)
    note = total({("perturbation", "lazy"): lazy}, ["lazy"], {"perturbation": 1.0}, Bootstrap())["note"][0]
    assert note == "not answered, and counted as the baseline: 1 scores"


def test_a_unit_that_is_not_answered_counts_as_the_baseline():
    scores, severity = simulate(30, 1), np.repeat([0.2, 0.8], 15)
    rows = make(scores, severity=severity)
    silent = (rows["predictor"] == "model") & (rows["unit"] > "u017")
    found, parts = summarise(rows[~silent], ANCHOR, Bootstrap())
    filled = {name: values.copy() for name, values in scores.items()}
    filled["model"][18:] = filled["mean"][18:]
    wanted, same = summarise(make(filled, severity=severity), ANCHOR, Bootstrap())
    mine, other = (table.set_index("predictor").loc["model"] for table in (found, wanted))
    told = ["scaled", "scaled_lower", "scaled_upper", "baseline", "replicate"]
    np.testing.assert_allclose(mine[told].astype(float), other[told].astype(float))
    np.testing.assert_allclose(parts["perturbation", "model"].draws, same["perturbation", "model"].draws)
    assert mine["value"] == pytest.approx(np.mean(scores["model"][:18])), "the score itself is of what was answered"
    assert (mine["n"], mine["note"]) == (18, "12 of 30 units not answered, and counted as the baseline")
    risk = total(parts, ["model"], {"perturbation": 1.0}, Bootstrap())
    assert risk["note"][0] == "not answered, and counted as the baseline: 12 units"
    curve = curves(rows[~silent], ANCHOR, Bootstrap())[0]
    curve = curve[curve["predictor"] == "model"]
    np.testing.assert_allclose(curve["severity"], [0.2, 0.8])
    assert curve["scaled"].iloc[1] < 0.25 < curve["scaled"].iloc[0]
    assert curve["n"].tolist() == [15, 3]
    none = (rows["predictor"] == "model") & (rows["severity"] > 0.5)
    last = curves(rows[~none], ANCHOR, Bootstrap())[0].query("predictor == 'model'").iloc[1]
    assert (last["scaled"], last["n"]) == (0, 0)
    assert np.isnan(last["value"])


def test_units_without_a_replicate_count_for_the_score_only():
    scores = simulate(30, 2)
    rows = make(scores)
    few = rows[~((rows["predictor"] == "replicate") & (rows["unit"] > "u019"))]
    found = summarise(few, ANCHOR, Bootstrap())[0].set_index("predictor")
    some = {name: values[:20] for name, values in scores.items()}
    less = summarise(make(some), ANCHOR, Bootstrap())[0].set_index("predictor")
    assert found.loc["model", "scaled"] == pytest.approx(less.loc["model", "scaled"])
    assert found.loc["model", "value"] == pytest.approx(np.mean(scores["model"]))
    assert found.loc["model", "note"] == "10 of 30 units without a replicate"


def test_a_unit_is_drawn_with_all_its_tests_and_seeds_are_averaged():
    rows = make({"model": np.arange(12.0)})
    rows["unit"] = np.repeat(["a", "b", "c"], 4)
    twice = pd.concat([rows, rows.assign(seed=1, value=rows["value"] + 2)])
    assert mean_rows(twice)["value"].tolist() == [float(i + 1) for i in range(12)]
    found = summarise(twice, ANCHOR, Bootstrap())[0].iloc[0]
    assert (found["n"], found["value"]) == (3, 6.5)
    assert "t over 3 units" in found["note"]


def test_curves_follow_severity_and_break_where_the_baseline_is_as_good():
    severity = np.repeat([0.1, 0.3, 0.5, 0.9], 12)
    loss = np.repeat([0.2, 0.5, 1.3, 1.2], 12)
    rng = np.random.default_rng(0)
    scores = {"mean": 1 + rng.normal(0, 0.01, 48), "replicate": rng.normal(0, 0.01, 48), "model": loss}
    scores["never"] = np.full(48, 0.4)
    curve, breakdown = curves(make(scores, severity=severity), ANCHOR, Bootstrap())
    mine = curve[curve["predictor"] == "model"]
    np.testing.assert_allclose(mine["severity"], [0.1, 0.3, 0.5, 0.9])
    np.testing.assert_allclose(mine["scaled"], [0.8, 0.5, -0.3, -0.2], atol=0.02)
    assert mine["n"].tolist() == [12] * 4
    ends = breakdown.set_index("predictor")
    assert ends.loc["model", "severity"] == pytest.approx(0.5)
    assert np.isnan(ends.loc["never", "severity"])
    assert set(ends.index) == {"model", "never"}, "anchors do not break down"
    many = make(scores, severity=np.arange(48.0))
    assert curves(many, ANCHOR, Bootstrap())[0].groupby("predictor")["n"].sum().eq(48).all()
    assert curves(many, ANCHOR, Bootstrap())[0].groupby("predictor").size().max() == 5

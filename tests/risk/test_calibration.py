"""Whether intervals are as wide as they should be, on simulated units whose answer is known."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from scvcell import score
from scvcell.risk import Mondrian, calibration
from scvcell.risk._calibration import _halfwidth
from scvcell.risk._columns import COLUMNS

FACTS = {"axis": "perturbation", "test": "t", "severity": 1.0, "measure": "m", "readout": "effects", "seed": 0}
REGIMES = {"new dose": 2.0, "new target": 1.0}


def rows_of(found, **facts):
    """Rows of a report from (regime, unit, metric, value)."""
    table = pd.DataFrame(found, columns=["regime", "unit", "metric", "value"])
    filled = {"predictor": "p", "better": "nominal", "n": 200, "note": ""} | FACTS | facts
    return table.assign(**{k: v for k, v in filled.items() if k not in table}).reindex(columns=COLUMNS["rows"])


def simulated(seed, width=1.0, n=40):
    """Effects of n units per regime; intervals of half of the units hold at 95 %, of the others at 85 %, times `width`.

    Errors of a unit are larger or smaller together, so that its features are no independent witnesses.
    """
    rng, found = np.random.default_rng(seed), []
    for regime, spread in REGIMES.items():
        for unit in range(n):
            middle, size = rng.normal(size=200), spread * np.exp(0.4 * rng.normal())
            truth = middle + size * rng.normal(size=200)
            half = width * norm.ppf(0.975 if rng.random() < 0.5 else 0.925) * size
            ends = middle - half, middle + half
            found.append((regime, f"u{unit}", "coverage", score.inside(truth, *ends).mean()))
            found.append((regime, f"u{unit}", "coverage_chosen", score.coverage_chosen(truth, *ends)))
    return rows_of(found)


def of(table, which):
    return table[table["of"] == which].set_index("regime")


def test_halved_intervals_are_flagged_and_honest_ones_are_not():
    halved = [calibration(simulated(seed, 0.5), n_boot=100) for seed in range(20)]
    assert sum((table["flag"] == "too narrow").all() for table in halved) >= 19
    honest = [calibration(simulated(seed), n_boot=100) for seed in range(20)]
    assert sum((table["flag"] != "").any() for table in honest) <= 1


@pytest.mark.parametrize("n", [3, 8, 30])
def test_units_that_are_covered_or_not_are_flagged_no_more_often_than_promised(n):
    """A unit of a single feature has coverage 0 or 1: the hardest case for a standard error."""
    rng = np.random.default_rng(n)
    units = (rng.random((500, n)) < 0.9).astype(float)
    outside = [abs(each.mean() - 0.9) > _halfwidth(each, 0.9, 1, 50, rng) for each in units]
    assert np.mean(outside) <= 0.06


def test_intervals_twice_as_wide_are_flagged_too():
    found = of(calibration(simulated(0, 2.5)), "all")
    assert (found["flag"] == "too wide").all()
    assert (found["lower"] > 0.9).all()
    assert (found["upper"] <= 1).all()


def test_what_stands_in_the_table():
    found = []
    for unit, share, width in (("a", 0.8, 0.5), ("a", 0.9, 0.7), ("b", 0.95, 0.4), ("c", 0.9, 0.4)):
        found += [("r", unit, "coverage", share), ("r", unit, "relative_width", width), ("r", unit, "rmse", 9.0)]
        found += [("r", unit, "crps_quantiles", 2 * width), ("r", unit, "coverage_strongest", 0.5)]
    found.append(("r", "d", "coverage", np.nan))
    found.append(("alone", "a", "coverage", 1.0))
    table = calibration(rows_of(found))
    assert list(table) == COLUMNS["calibration"]
    assert len(table) == 3
    row = of(table, "all").loc["r"]
    assert row["coverage"] == pytest.approx(np.mean([0.85, 0.95, 0.9])), "units count alike, not tests"
    assert row["width"] == pytest.approx(np.mean([0.6, 0.4, 0.4]))
    assert row["crps"] == pytest.approx(2 * row["width"])
    assert np.isnan(row["pit"])
    assert row["n"] == 3
    assert row["lower"] < row["coverage"] < row["upper"]
    alone = of(table, "all").loc["alone"]
    assert np.isnan(alone["lower"])
    assert alone["flag"] == ""
    strong = of(table, "strongest").loc["r"]
    assert strong["flag"] == "too narrow"
    assert np.isnan(strong["width"])
    pd.testing.assert_frame_equal(calibration(rows_of(found).sample(frac=1, random_state=0)), table)
    other = [(regime, unit, metric, value / 2) for regime, unit, metric, value in found]
    both = calibration(pd.concat([rows_of(found), rows_of(other, readout="values")]))
    assert both["readout"].value_counts().to_dict() == {"effects": 3, "values": 3}, "readouts are not averaged"
    for readout, factor in (("effects", 1), ("values", 0.5)):
        mine = both[both["readout"] == readout]
        np.testing.assert_allclose(mine[["coverage", "width"]], factor * table[["coverage", "width"]])
    assert calibration(rows_of([("r", "a", "rmse", 1.0)])).empty


def test_intervals_made_per_regime_hold_in_each():
    """At least 100 units of a regime: within three points of the level."""
    rng, found = np.random.default_rng(0), []
    known = np.repeat(list(REGIMES), 2000)
    sizes = np.array([REGIMES[k] for k in known])
    told = Mondrian.fit(np.abs(sizes * rng.normal(size=4000)), known)
    for regime, spread in REGIMES.items():
        half = told.quantile(0.9, regime)
        held = np.abs(spread * rng.normal(size=2000)) <= half
        found += [(regime, f"u{i}", "coverage", float(h)) for i, h in enumerate(held)]
    table = of(calibration(rows_of(found)), "all")
    assert (table["coverage"] - 0.9).abs().max() <= 0.03
    assert (table["flag"] == "").all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"level": 1.0}, "level must be between 0 and 1, not 1.0"),
        ({"level": float("nan")}, "level must be between 0 and 1"),
        ({"n_boot": 1}, "n_boot"),
    ],
)
def test_bad_input_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        calibration(rows_of([("r", "a", "coverage", 0.9)]), **arguments)


def test_rows_without_units_are_refused():
    with pytest.raises(ValueError, match="Rows lack the column 'unit'"):
        calibration(rows_of([("r", "a", "coverage", 0.9)]).drop(columns="unit"))

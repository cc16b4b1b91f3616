"""Gaps between groups, on simulated units of which it is known who is worse off."""

import numpy as np
import pandas as pd
import pytest

from scvcell.risk import gaps
from scvcell.risk._columns import COLUMNS

DONORS = [f"d{i}" for i in range(8)]
KINDS = [f"k{i}" for i in range(8)]


def report(seed, worse=None, by=0.3, better="lower"):
    """Errors of units, a donor's kind of cells each; harder for some kinds, with heavy tails."""
    rng, rows = np.random.default_rng(seed), []
    hard = dict(zip(KINDS, 0.15 * rng.random(8), strict=True))
    for donor in DONORS:
        for kind in KINDS:
            error = 0.5 + hard[kind] + 0.1 * rng.standard_t(4) + (by if donor == worse else 0.0)
            value = error if better == "lower" else -error
            rows.append({"unit": f"{donor} {kind}", "value": value, "metric": "rmse", "better": better})
    facts = {"axis": "context", "test": "t", "regime": "donor", "severity": 1.0, "measure": "m", "predictor": "p"}
    table = pd.DataFrame(rows).assign(**facts, readout="effects", n=10, seed=0, note="")
    return table.reindex(columns=COLUMNS["rows"])


def by_donor(rows):
    units = rows["unit"].unique()
    return {"donor": pd.Series([unit.split()[0] for unit in units], index=units)}


@pytest.mark.parametrize("better", ["lower", "higher"])
def test_the_donor_that_is_worse_off_is_found_and_nobody_else(better):
    found = clean = 0
    for seed in range(20):
        rows = report(seed, "d3", better=better)
        table = gaps(rows, by_donor(rows), n_boot=60, seed=seed).set_index("group")
        found += int(table.loc["d3", "lower"] > 0 and list(table.index[table["flag"] == "worse"]) == ["d3"])
        rows = report(100 + seed, better=better)
        clean += int((gaps(rows, by_donor(rows), n_boot=60, seed=seed)["flag"] == "").all())
    assert found >= 18
    assert clean >= 18


def test_what_stands_in_the_table():
    rows = report(0, "d3")
    both = pd.concat(
        [rows, rows.assign(predictor="q", value=rows["value"] + 1), rows.assign(metric="slope", better="nominal")]
    )
    by = by_donor(rows)
    by["kind"] = pd.Series({unit: unit.split()[1] for unit in by["donor"].index})
    table = gaps(both, by)
    assert list(table) == COLUMNS["groups"]
    assert len(table) == 2 * 2 * 8, "what is neither better nor worse is left out"
    row = table[(table["group"] == "d3") & (table["predictor"] == "p")].iloc[0]
    mine = rows["unit"].str.startswith("d3")
    assert row["value"] == pytest.approx(rows.loc[mine, "value"].mean())
    assert row["gap"] == pytest.approx(rows.loc[mine, "value"].mean() - rows.loc[~mine, "value"].mean())
    assert row["lower"] < row["gap"] < row["upper"]
    assert row["n"] == 8
    pd.testing.assert_frame_equal(gaps(both.sample(frac=1, random_state=0), by), table)
    apart = gaps(pd.concat([both, both.assign(readout="values", value=2 * both["value"])]), by)
    assert len(apart) == 2 * len(table), "readouts are not averaged"
    pd.testing.assert_frame_equal(apart[apart["readout"] == "effects"].reset_index(drop=True), table)


def test_repeats_of_a_unit_do_not_make_it_surer():
    rows = report(0)
    again = pd.concat([rows, rows.assign(seed=1), rows.assign(seed=2)])
    pd.testing.assert_frame_equal(gaps(again, by_donor(rows)), gaps(rows, by_donor(rows)))


def test_less_coverage_is_worse():
    rows = report(0, "d3", by=-0.3).assign(metric="coverage", better="nominal")
    table = gaps(rows, by_donor(rows)).set_index("group")
    assert table.index[table["flag"] == "worse"].tolist() == ["d3"]


def test_a_unit_alone_has_no_interval_and_one_group_has_no_gap():
    rows = report(0)
    rare = by_donor(rows)["donor"].copy()
    rare.iloc[0] = "alone"
    table = gaps(rows, {"donor": rare}).set_index("group")
    assert np.isnan(table.loc["alone", "lower"])
    assert table.loc["alone", "flag"] == ""
    assert gaps(rows, {"all": pd.Series("x", index=rare.index)}).empty
    rare.iloc[:60] = np.nan
    assert gaps(rows, {"donor": rare}).empty, "one group is left"


def test_bad_groups_are_refused():
    rows = report(0)
    with pytest.raises(ValueError, match=r"groups\['donor'\] has none of the units .* such as 'd0 k0'"):
        gaps(rows, {"donor": pd.Series({"cell 1": "d0"})})
    with pytest.raises(ValueError, match="has a unit twice: 'd0 k0'"):
        gaps(rows, {"donor": pd.Series(["a", "b"], index=["d0 k0", "d0 k0"])})
    with pytest.raises(ValueError, match="Rows lack the column 'better'"):
        gaps(rows.drop(columns="better"), by_donor(rows))
    with pytest.raises(ValueError, match="n_boot"):
        gaps(rows, by_donor(rows), n_boot=1)

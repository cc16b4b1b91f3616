"""Rows of a report, one by one."""

import numpy as np
import pytest

from scvcell.risk._columns import COLUMNS
from scvcell.risk._tables import is_score, items, named, tables


@pytest.fixture(scope="module")
def report(made_report):
    return made_report()


def test_rows_are_those_of_the_tables(report):
    found = tables(report)
    assert set(found) == set(COLUMNS)
    for name, rows in found.items():
        table = getattr(report, name)
        assert [row["i"] for row in rows] == list(range(len(table)))
        assert all(list(row) == ["i", *table.columns] for row in rows)
    last = found["summary"][-1]
    assert last["predictor"] == "replicate"
    assert last["scaled"] == report.summary["scaled"].iloc[-1]


def test_no_value_is_none_in_every_column(report):
    rows = tables(report)["summary"]
    assert [row["scaled"] is None for row in rows] == report.summary["scaled"].isna().tolist()
    assert not any(isinstance(v, float) and np.isnan(v) for row in rows for v in row.values())


def test_places_do_not_depend_on_the_index(report):
    from dataclasses import replace

    other = replace(report, total=report.total.set_axis(list("abcde")))
    assert tables(other)["total"] == tables(report)["total"]


def test_items_keep_their_order_and_lose_no_row(report):
    rows = tables(report)["summary"]
    found = items(rows)
    assert next(iter(found)) == ("context", "effect", "answered")
    assert sorted(row["i"] for each in found.values() for row in each) == list(range(len(rows)))
    assert all({(r["axis"], r["readout"], r["metric"]) for r in each} == {key} for key, each in found.items())


def test_what_is_a_score_and_its_name():
    row = {"readout": "effect", "metric": "nmae", "better": "lower"}
    assert is_score(row)
    assert not is_score(row | {"better": "nominal"})
    assert not is_score(row | {"metric": "answered", "better": "higher"})
    assert named(row) == "effect, nmae"
    assert named(row | {"readout": "effect.nmae"}) == "effect.nmae"

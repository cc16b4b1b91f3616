"""A report is tables and facts, and survives being written."""

import json

import pandas as pd
import pytest

from scvcell.risk import RiskReport
from scvcell.risk._columns import COLUMNS


def empty():
    return {name: pd.DataFrame(columns=columns) for name, columns in COLUMNS.items()}


def test_a_table_without_its_columns_is_refused():
    with pytest.raises(ValueError, match="total must have the columns"):
        RiskReport(**empty() | {"total": pd.DataFrame({"x": [1]})})


def test_json_gives_an_equal_report(tmp_path):
    tables = empty()
    tables["total"] = pd.DataFrame([["scvcell", 0.25, 0.125, 1 / 3, 1.0, ""]], columns=COLUMNS["total"])
    report = RiskReport(**tables, alpha={"context": 1.0}, cards={"data": {"cells": 3}})
    again = RiskReport.from_json(report.to_json())
    assert again.to_json() == report.to_json()
    pd.testing.assert_frame_equal(again.total, report.total)
    (path := tmp_path / "report.json").write_text(report.to_json(), "utf-8")
    assert RiskReport.from_json(path).to_json() == report.to_json()
    with pytest.raises(ValueError, match=r"A file is given as pathlib\.Path"):
        RiskReport.from_json(str(path))
    plain = json.loads(report.to_json())
    for name in ("calibration", "groups"):
        plain[name]["columns"].remove("readout")
    older = RiskReport.from_json(json.dumps(plain))
    assert list(older.groups) == COLUMNS["groups"], "a report of before is read"

"""Numbers of reports of risk are those of the tables where both ask the same: what `benchmarks/agreement.py` wrote."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
TABLE = {"half": "protein-half", "mosaic": "mosaic"}


@pytest.fixture(scope="module")
def rows():
    found = pd.read_csv(
        RESULTS / "agreement.csv", keep_default_na=False, na_values=dict.fromkeys(("table", "same_answer", "risk"), "")
    )
    return found, found.dropna(subset=["table"])


def test_numbers_are_those_of_the_committed_tables(rows):
    for row in rows[1].itertuples():
        method, _, who = row.method.removesuffix(")").partition(" (")
        name = TABLE.get(row.case, f"perturbation-{row.case}")
        record = json.loads((RESULTS / "raw" / f"{name}-{method}-{int(row.seed)}.json").read_text())["scores"]
        mine = record["alternatives"][who] if who else record
        assert row.table == pytest.approx(mine[row.score], rel=1e-4), f"run benchmarks/agreement.py --cases {row.case}"


def test_no_difference_is_silent(rows):
    every, compared = rows
    near = np.isclose(compared["risk"], compared["table"], rtol=1e-4, atol=1e-5)
    assert (compared["equal"].astype(str) == near.astype(str)).all()
    assert (every.loc[~every.index.isin(compared.index[near]), "why"] != "").all()
    assert set(compared["case"]) == {"cell_types", "donors", "combinations", "half", "mosaic"}
    assert near.sum() > 40
    refit = compared[compared["why"].str.startswith("the model has changed")]
    assert np.isclose(refit["risk"], refit["same_answer"], rtol=1e-4, atol=1e-5).all()
    assert set(refit["method"]) <= {"scvcell"}, "a simple method has no reason to change"

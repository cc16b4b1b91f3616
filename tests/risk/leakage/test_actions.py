"""What was done on both sides, against counts by hand."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from scvcell import PerturbationKeys, pp
from scvcell._containers import view
from scvcell.risk.leakage import Case, actions, classes, contexts_of_actions
from scvcell.risk.leakage._actions import _base

KEYS = PerturbationKeys("drug", control="no", dose="dose", time="hours", context="line")


def look(train, test, check=actions, keys=KEYS, declared=None, **how):
    """Findings on cells given as ``(drug, dose, hours, line)``; two controls are trained on."""
    rows = [("no", 0, 3, "x"), ("no", 0, 3, "y"), *train, *test]
    obs = pd.DataFrame(rows, columns=["drug", "dose", "hours", "line"], index=[f"c{i}" for i in range(len(rows))])
    obs["dose"] = obs["dose"].astype(str)
    adata = AnnData(np.ones((len(rows), 2), np.float32), obs)
    n = 2 + len(train)
    split = pp.Split(obs.index[:n], obs.index[:0], obs.index[n:], "", {"splitter": "cell", **how})
    case = Case(adata, view(adata), split, keys, declared=declared or {})
    return {finding.check: SimpleNamespace(value=finding.value, verdict=finding.verdict) for finding in check(case)}


def test_a_target_is_new_where_an_action_has_one_that_is_nowhere():
    train = [("A", 1, 3, "x"), ("B+C", 1, 3, "x")]
    test = [("A", 1, 3, "x"), ("A+B", 1, 3, "x"), ("B", 1, 3, "x"), ("A+D", 1, 3, "x")]
    found = look(train, test, splitter="target")
    assert (found["same target"].value, found["same target"].verdict) == (0.25, "red")
    assert (found["target in a combination"].value, found["target in a combination"].verdict) == (0.5, "red")
    assert (found["same combination"].value, found["same combination"].verdict) == (0, "green")
    assert found["same action"].value == 0.25
    assert look(train, test)["same target"].verdict == "green", "nothing is claimed"


def test_order_of_targets_is_no_difference():
    found = look([("B+A", 1, 3, "x")], [("A+B", 1, 3, "x")], splitter="combo seen 2")
    assert found["same combination"].verdict == "red"


@pytest.mark.parametrize(
    ("splitter", "doses", "value"),
    [
        *(("higher dose", (0.1, 1), 0), ("higher dose", (0.1, 100), 1), ("higher dose", (0.1, 10), 1)),
        *(("lower dose", (100, 1000), 0), ("lower dose", (1, 100), 1), ("dose between", (1, 100), 0)),
        ("dose between", (1, 10.0001), 1),
    ],
)
def test_doses_beyond_and_between(splitter, doses, value):
    found = look([("A", dose, 3, "x") for dose in doses], [("A", 10, 3, "x")], splitter=splitter)
    assert (found["same dose"].value, found["same dose"].verdict) == (value, "red" if value else "green")
    assert "same dose" not in look([("B", 10, 3, "x")], [("A", 10, 3, "x")], splitter=splitter), "of another drug"


@pytest.mark.parametrize(
    ("splitter", "hours", "value"),
    [
        ("later", (3, 4), 0),
        ("later", (3, 24), 1),
        ("earlier", (9, 24), 0),
        ("time between", (3, 24), 0),
        ("cell", (8,), 1),
    ],
)
def test_times(splitter, hours, value):
    found = look([("A", 1, hour, "x") for hour in hours], [("A", 1, 8, "x")], splitter=splitter)
    assert found["same time"].value == value
    assert found["same time"].verdict == ("red" if value and splitter != "cell" else "green")


def test_contexts_and_pairs():
    train, test = [("A", 1, 3, "x"), ("B", 1, 3, "y")], [("A", 1, 3, "y"), ("B", 10, 3, "y")]
    for splitter, verdicts in (("cell", ("green", "green")), ("context", ("red", "green")), ("pair", ("green", "red"))):
        found = look(train, test, contexts_of_actions, splitter=splitter)
        assert (found["same context"].value, found["same pair"].value) == (1, 0.5)
        assert (found["same context"].verdict, found["same pair"].verdict) == verdicts
    one = PerturbationKeys("drug", control="no", dose="dose", time="hours")
    assert not look(train, test, contexts_of_actions, one)


def test_classes_of_targets():
    train, test = [("A", 1, 3, "x")], [("B", 1, 3, "x"), ("C", 1, 3, "x"), ("A+C", 1, 3, "x")]
    told = {"A": "s1", "B": "s1", "C": ["s1", "s2"]}
    found = look(train, test, classes, declared={"scaffold": told}, splitter="scaffold")
    assert (found["same scaffold of target"].value, found["same scaffold of target"].verdict) == (1 / 3, "red")
    found = look(train, test, classes, splitter="pathway", classes=told)
    assert found["same pathway of target"].value == 1 / 3
    assert not look(train, test, classes, splitter="pathway")


@pytest.mark.parametrize(
    ("name", "base"),
    [
        *(("Trametinib_10uM", "trametinib"), ("drug 0.1 nM", "drug"), ("X-5.0", "x"), ("a (1 mg/ml)", "a")),
        *(("T_1", "t_1"), ("IL-2", "il-2"), ("CD8", "cd8"), ("PI-103", "pi-103"), ("CHIR-99021", "chir-99021")),
    ],
)
def test_a_dose_is_told_from_a_name(name, base):
    assert _base(name) == base


def test_nothing_is_said_where_nothing_was_done():
    assert not look([("A", 1, 3, "x")], [("no", 0, 3, "x")])
    assert not look([("A", 1, 3, "x")], [("B", 0, 3, "x")], keys=None)

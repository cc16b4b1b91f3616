"""What the audit finds is told before anybody is fitted, and the worst of all folds stands in the report."""

import logging
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from scvcell.risk import Effects, Split
from scvcell.risk._leaks import leaks


class Fits:
    """A predictor that says when it is fitted."""

    events: ClassVar[list[str]] = []  # of the class, so that copies write into the same list

    def __init__(self, name="mine"):
        self.name = name

    def fit(self, data, split, seed):
        self.events.append("fit")
        self.genes = data.var_names

    def predict(self, question):
        return Effects(pd.DataFrame({"effect": 0.0}, index=self.genes))


class Told(logging.Handler):
    def __init__(self, events):
        super().__init__()
        self.events = events

    def emit(self, record):
        self.events.append(record.getMessage())


@pytest.fixture(scope="module")
def world():
    """Two folds that claim another donor; in the second one the donor is on both sides."""
    rng = np.random.default_rng(0)
    obs = pd.DataFrame({"donor": np.repeat(["a", "b", "c"], 40)}, index=[f"cell{i:03d}" for i in range(120)])
    data = AnnData(rng.poisson(3.0, (120, 30)).astype(np.float32), obs)
    names, how = pd.Index(data.obs_names), {"splitter": "group", "by": "donor"}
    good = Split(names[:80], names[:0], names[80:], "another donor", how)
    leaky = Split(names[20:], names[:0], names[:20], "another donor", how)
    return SimpleNamespace(data=data, splits=[good, leaky], axes={})


def test_red_is_told_before_anybody_is_fitted(world):
    events = Fits.events
    events.clear()
    handler, logger = Told(events), logging.getLogger("scvcell")
    logger.addHandler(handler)
    try:
        table, words = leaks(world, {"mine": Fits()}, 0)
    finally:
        logger.removeHandler(handler)
    red = table[table["verdict"] == "red"]
    assert red["says"].str.endswith("(fold 2)").all()
    assert len(red)
    warned = [event for event in events if event.startswith("Leakage")]
    assert "R of anyone will not be told" in warned[0]
    assert len(warned) == len(set(warned))
    assert events.index(warned[-1]) < events.index("fit"), "the scramble test fits"
    assert words["unseen donor"].startswith("not allowed")


def test_nothing_red_is_told_of_a_clean_split(world, caplog):
    clean = SimpleNamespace(data=world.data, splits=world.splits[:1], axes={})
    with caplog.at_level("WARNING", logger="scvcell"):
        table, words = leaks(clean, {"called": Fits("mine")}, 0)
    assert "red" not in set(table["verdict"])
    assert not any("Leakage" in record.getMessage() for record in caplog.records)
    assert words["unseen donor"].startswith("allowed")
    assert set(table["predictor"]) <= {"", "called"}, "by the name in the report"
    assert not table["says"].str.contains("fold").any()

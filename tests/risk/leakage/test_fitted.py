"""What records of fits say, and what is declared of pretraining."""

from types import SimpleNamespace

import numpy as np
import pytest

from scvcell import risk
from scvcell._containers import view
from scvcell.risk.leakage import Case, fitted, pretraining, stopping
from scvcell.risk.leakage._fitted import split_of


def look(it, check, *predictors, **declared):
    case = Case(it.adata, view(it.adata), it.split, predictors=predictors, declared=declared)
    return {(finding.check, finding.predictor): finding for finding in check(case)}


def model(**record):
    return SimpleNamespace(name="m", split_={part: list(cells) for part, cells in record.items()})


def test_shares_of_test_cells(donors):
    train, test = donors.split.train, donors.split.test
    found = look(donors, fitted, model(train=[*train, *test[:3]], validation=test[3:4], calibration=test[4:6]))
    assert found["trained on test cells", "m"].value == 3 / len(test)
    assert found["calibrated on test cells", "m"].value == 3 / len(test)
    assert {finding.verdict for finding in found.values()} == {"red"}
    found = look(donors, fitted, model(train=train))
    assert {finding.verdict for finding in found.values()} == {"green"}


def test_whose_record_it_is(donors):
    inside = SimpleNamespace(name="p", model=model(train=donors.split.test))
    assert split_of(inside) == inside.model.split_
    assert look(donors, fitted, inside)["trained on test cells", "p"].value == 1
    assert split_of(risk.ModelPredictor()) is None
    assert split_of(model()) is None, "an empty record is none"
    assert not look(donors, fitted, risk.ModelPredictor(), risk.Translator("mean profile"))


def test_cells_that_serve_twice(donors):
    train = donors.split.train
    twice = model(train=train[20:], validation=train[:20])
    assert look(donors, stopping, twice)["stopped by calibration cells", "m"].over
    apart = model(train=train[30:], validation=train[:20], calibration=train[20:30])
    assert not look(donors, stopping, apart)["stopped by calibration cells", "m"].over
    assert look(donors, stopping, risk.ModelPredictor())["stopped by calibration cells", "scvcell"].over
    assert not look(donors, stopping, risk.Translator("mean profile"))


@pytest.mark.parametrize(
    ("declared", "verdict"),
    [
        ("none", "green"),
        ("Disjoint", "green"),
        ("33 million cells of CELLxGENE", "amber"),
        ("test", "red"),
        (None, None),
    ],
)
def test_pretraining(donors, declared, verdict):
    one = SimpleNamespace(name="one")
    for given in ({"pretraining": declared}, {"one": {"pretraining": declared}, "other": {"pretraining": "test"}}):
        found = look(donors, pretraining, one, **given)
        assert [finding.verdict for finding in found.values()] == ([] if verdict is None else [verdict])
    told = SimpleNamespace(name="one", pretraining=declared)
    assert [finding.verdict for finding in look(donors, pretraining, told).values()] == ([verdict] if verdict else [])
    if verdict == "amber":
        assert np.isnan(next(iter(found.values())).value)

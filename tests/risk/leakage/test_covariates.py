"""How well columns tell the split, against an area that is known; and whether that is unusual."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from scvcell import pp
from scvcell._containers import view
from scvcell.risk.leakage import Case, covariates
from scvcell.risk.leakage._covariates import _area, _usual, auc


def look(it, *named):
    case = Case(it.adata, view(it.adata), it.split, covariates=named)
    return {finding.check.removeprefix("split told by "): finding for finding in covariates(case)}


def test_areas():
    rng = np.random.default_rng(0)
    tested = rng.random(4000) < 0.3
    for share in (0.0, 0.4, 1.0):
        code = np.where(rng.random(4000) < share, tested, rng.integers(2, size=4000))
        known = roc_auc_score(tested, code)
        assert auc(code, tested, 0) == pytest.approx(known, abs=0.02)
        cells = np.array([[np.sum((code == k) & (tested == t)) for k in (0, 1)] for t in (True, False)], float)
        assert _area(cells, np.array([True, False])) == pytest.approx(known)


def test_names_that_each_cell_has_alone_tell_nothing():
    assert auc(np.arange(200), np.arange(200) % 4 == 0, 0) == pytest.approx(0.5)


def test_what_is_usual_of_groups():
    unit = np.repeat(np.arange(6), 10)
    tested = unit < 2
    rng = np.random.default_rng(0)
    assert _usual(unit, unit, tested, rng) == 1, "a column that is the group tells every choice"
    assert _usual((unit < 2).astype(int), unit, tested, rng) == pytest.approx(1 / 15, abs=0.06)
    assert _usual(np.arange(60) % 2, unit, tested, rng) == 0


def test_a_column_that_goes_with_donors_is_no_alarm(donors):
    found = look(donors, "age", "sex")
    assert found["age"].value > 0.95
    assert found["age"].verdict == "green"
    assert "100% of other choices of 'donor'" in found["age"].says
    assert found["batch"].value == pytest.approx(0.5, abs=0.1)
    assert "donor" not in found, "the split says so itself"


def test_numbers_are_binned_and_missing_labels_are_a_group(donors):
    test = donors.adata.obs_names.isin(donors.split.test)
    rng = np.random.default_rng(0)
    donors.adata.obs["depth"] = rng.normal(0, 1, len(test)) + 6 * test
    donors.adata.obs["note"] = np.where(test, None, "x")
    found = look(donors, "depth", "note")
    assert found["depth"].value > 0.99
    assert found["depth"].verdict == "amber", "donors whose cells all are deep"
    assert found["note"].value == 1


def test_a_split_that_claims_nothing_may_not_be_the_batch(donors):
    test = donors.adata.obs["batch"].eq("b1").to_numpy()
    cells = donors.adata.obs_names
    donors.split = pp.Split(cells[~test], cells[:0], cells[test], "random cells")
    donors.adata.obs["mark"] = test.astype(str)
    found = look(donors, "mark")
    assert (found["batch"].verdict, found["mark"].verdict) == ("red", "amber")
    donors.split = pp.Split(cells[~test], cells[:0], cells[test], "another batch")
    assert "batch" not in look(donors)


def test_actions_of_one_plate(donors):
    test = donors.adata.obs["drug"].eq("B").to_numpy()
    donors.adata.obs["plate"] = np.where(test, "p1", "p0")
    cells = donors.adata.obs_names
    donors.split = pp.Split(cells[~test], cells[:0], cells[test], "new target", {"splitter": "target"})
    case = Case(donors.adata, view(donors.adata), donors.split, donors.keys)
    found = {finding.check: finding for finding in covariates(case)}["split told by plate"]
    assert found.verdict == "amber"
    assert "What is new of actions cannot be told from what is new of 'plate'" in found.says


def test_few_cells_tell_nothing(donors):
    cells = donors.adata.obs_names
    donors.split = pp.Split(cells[:50], cells[:0], cells[50:53], "other cells")
    assert not look(donors)

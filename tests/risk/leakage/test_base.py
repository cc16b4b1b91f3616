"""What splits claim, by their splitter or by their words; and cases."""

import numpy as np
import pandas as pd
import pytest

from scvcell import PerturbationKeys, pp
from scvcell._containers import view
from scvcell.risk.leakage import Case, Finding, audit
from scvcell.risk.leakage._base import CLAIMS, OF_ACTIONS, claims, kind_of, share

GROUPS = ("donor", "batch", "cell_type", "sex")
KEYS = PerturbationKeys("drug", control="no", dose="dose", time="hours", context="cell_type")


@pytest.fixture(scope="module")
def screen(make):
    """Targets and pairs of them at three doses and times in three contexts, and places."""
    adata, rng = make(0, 700, 60), np.random.default_rng(5)
    adata.obs["drug"] = rng.choice(["no", "A", "B", "C", "D", "A+B", "B+C", "C+D", "A+D"], 700)
    adata.obs["dose"] = np.where(adata.obs["drug"] == "no", 0.0, rng.choice([0.1, 1.0, 10.0], 700))
    adata.obs["hours"] = rng.choice([3, 8, 24], 700)
    adata.obsm["spatial"] = rng.uniform(0, 100, (700, 2))
    return adata


@pytest.mark.parametrize("by", [*(name for name in pp.splits.SPLITTERS if name != "group"), *GROUPS])
def test_no_splitter_raises_an_alarm_and_each_may_say_what_is_new(screen, by):
    options = {} if by in ("cell", "block", *GROUPS) else {"perturbation": KEYS}
    if by in OF_ACTIONS:
        options["classes"] = {"A": "x", "B": "y", "C": "z", "D": "w"}
    split = pp.split(screen, by, seed=1, **options)
    found = audit(screen, split, perturbation=KEYS)
    assert set(found.table["verdict"]) == {"green"}, found
    kinds = claims(split, screen.obs.columns).kinds
    assert by in CLAIMS or by in GROUPS, "a splitter whose claim is not known"
    allowed = " ".join(phrase for phrase, why in found.words.items() if why.startswith("allowed"))
    for kind in kinds - {"higher dose", "lower dose", "later", "earlier"}:
        assert kind in allowed
    assert ("unseen donor" in allowed) == (by in ("donor", "sex"))


def split(reason, **how):
    cells = pd.Index(["a", "b"])
    return pp.Split(cells[:1], cells[:0], cells[1:], reason, how)


@pytest.mark.parametrize(
    ("given", "columns", "kinds"),
    [
        (split("another patient_id", splitter="group", by="patient_id"), ("patient_id",), {"donor"}),
        (split("hospitals of the north", by=["hospital", "arm"]), ("hospital", "arm"), {"site", "arm"}),
        (split("unseen donor"), (), {"donor"}),
        (split("an unseen cell type"), (), {"cell type"}),
        (split("new drugs"), (), {"target"}),
        (split("held-out scaffolds"), (), {"scaffold"}),
        (split("another arm"), ("arm",), {"arm"}),
        (split("other cells of the same donor and drug"), (), set()),
        (split("a random fifth"), (), set()),
        (split("new pair of action and context", splitter="pair", by="pair"), (), {"pair"}),
        (split("new target", splitter="target", by="target"), (), {"target"}),
        (split("unseen time", splitter="later"), (), {"time", "later"}),
    ],
)
def test_claims(given, columns, kinds):
    found = claims(given, ["patient_id", "hospital", "arm", "target", "drug"])
    assert found.columns == columns
    assert found.kinds == kinds


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        *(("donor", "donor"), ("Patient ID", "donor"), ("subject_name", "donor"), ("celltype", "cell type")),
        *(("cell-line", "cell line"), ("center", "site"), ("orig.ident", "orig.ident"), ("batches", "batches")),
        *(("gem_group", "batch"), ("moa", "mechanism"), ("run_time", "run_time")),
    ],
)
def test_kinds_of_columns(column, kind):
    assert kind_of(column) == kind


def test_a_case_finds_its_cells(donors):
    case = Case(donors.adata, view(donors.adata), donors.split, donors.keys)
    obs = donors.adata.obs
    assert set(obs["donor"].iloc[case.test]) == {"d1", "d5"}
    assert len(case.train) + len(case.test) == len(obs)
    assert len(case.calibration) == 0
    assert (obs["drug"].iloc[case.treated(case.test)] != "no").all()
    assert case.groups == ["donor"]
    plain = Case(donors.adata, view(donors.adata), donors.split)
    assert plain.design is None
    np.testing.assert_array_equal(plain.treated(plain.test), plain.test)


def test_labels_are_compared_without_capitals_and_blanks(donors):
    donors.adata.obs["donor"] = [" D1" if name == "d1" else name for name in donors.adata.obs["donor"]]
    case = Case(donors.adata, view(donors.adata), donors.split)
    assert set(case.text("donor")) == {f"d{i}" for i in range(8)}


def test_a_value_without_a_limit_is_never_over_it():
    assert not Finding("x", 3.0, np.nan, "green", "").over
    assert not Finding("x", np.nan, 0.0, "green", "").over
    assert not Finding("x", 0.0, 0.0, "green", "").over
    assert Finding("x", 0.1, 0.0, "green", "").over
    assert share(np.zeros(0, bool)) == 0

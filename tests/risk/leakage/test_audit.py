"""Twelve planted leaks are found, and clean data raise no alarm."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from scvcell import PerturbationKeys, risk
from scvcell.risk import Split
from scvcell.risk.leakage import CHECKS, WORDS, Audit, Finding, audit


def barcode(it):
    """Five test cells are training cells under another suffix, sequenced anew."""
    names = it.adata.obs_names.to_numpy().copy()
    test, train = (it.adata.obs_names.get_indexer(part)[:5] for part in (it.split.test, it.split.train))
    names[test] = [f"{name[:-2]}-2" for name in names[train]]
    it.adata.obs_names = names
    it.split = risk.hold_out(it.adata, "donor", ["d1", "d5"])
    return "same barcode", "red"


def copies_with_noise(it):
    """Five test cells are training cells whose every count was drawn anew around what it was."""
    test, train = (it.adata.obs_names.get_indexer(part)[:5] for part in (it.split.test, it.split.train))
    x = it.adata.X.toarray()
    x[test] = np.random.default_rng(1).poisson(x[train])
    it.adata.X = sp.csr_matrix(x)
    return "near-duplicate cells", "red"


def copies(it):
    """Two test cells are training cells."""
    test, train = (it.adata.obs_names.get_indexer(part)[:2] for part in (it.split.test, it.split.train))
    x = it.adata.X.toarray()
    x[test] = x[train]
    it.adata.X = sp.csr_matrix(x)
    return "identical cells", "red"


def donor(it):
    """A donor is left out, and some of its cells are trained on, where the donor is written in capitals."""
    train = it.split.train.append(it.split.test[:20])
    names = it.adata.obs["donor"].astype(object)
    it.adata.obs["donor"] = names.where(~names.index.isin(it.split.test[:20]), names.str.upper() + " ")
    it.split = Split(train, it.split.calibration, it.split.test[20:], "another donor", it.split.how)
    return "same donor", "red"


def batch(it):
    """The split says that the batch is new, and leaves out cells by chance."""
    names = it.adata.obs_names
    it.split = Split(names[:200], names[:0], names[200:], "unseen batch")
    return "same batch", "red"


def in_a_combination(it):
    """The target B is left out where it is given alone; with A it stays."""
    alone = it.adata.obs["drug"] == "B"
    it.split = by_target(it, alone)
    return "target in a combination", "red"


def scaffold(it):
    """A is left out as a new scaffold; C, which stays, has the same."""
    it.adata.obs["scaffold"] = it.adata.obs["drug"].map({"A": "s1", "C": "s1", "B": "s2", "A+B": "s3", "no": "none"})
    it.split = by_target(it, it.adata.obs["drug"] == "A", "scaffold")
    return "same scaffold", "red"


def scaffold_by_a_table(it):
    """The same, told by a table of targets."""
    it.split = by_target(it, it.adata.obs["drug"] == "A", "scaffold")
    it.options["declared"] = {"scaffold": {"A": "s1", "B": "s2", "C": ["s1", "s3"]}}
    return "same scaffold of target", "red"


def another_dose(it):
    """A new drug is asked about at one dose; it is trained on at the others."""
    it.split = by_target(it, (it.adata.obs["drug"] == "C") & (it.adata.obs["dose"] == 10))
    return "same target", "red"


def another_dose_in_the_name(it):
    """The same where the dose stands in the name of the drug."""
    drug = it.adata.obs["drug"].astype(object)
    named = drug + "_" + it.adata.obs["dose"].astype(str) + "uM"
    it.adata.obs["drug"] = drug.where(drug != "C", named)
    it.options["perturbation"] = PerturbationKeys("drug", control="no")
    it.split = by_target(it, it.adata.obs["drug"] == "C_10.0uM")
    return "target under another dose's name", "red"


def features_of_all(it):
    """Variable features of all cells, with their means as scanpy writes them."""
    x = it.adata.X.toarray()
    it.adata.var["highly_variable"] = x.var(0) > np.median(x.var(0))
    it.adata.var["means"] = np.log1p((x / x.sum(1, keepdims=True) * 1e4).mean(0))
    return "features chosen on all cells", "amber"


def components_of_all(it):
    """Principal components of all cells."""
    x = np.log1p(it.adata.X.toarray())
    u, s, _ = np.linalg.svd(x - x.mean(0), full_matrices=False)
    it.adata.obsm["X_pca"] = (u * s)[:, :5].astype(np.float32)
    return "components of all cells", "amber"


def components_said_to_be_of_training_cells(it):
    """The same, and it is declared that they are of training cells."""
    components_of_all(it)
    it.options["declared"] = {"pca": "train"}
    return "components of all cells", "red"


def calibration(it):
    """Cells of a donor that is left out set the intervals."""
    some = it.split.test[:20]
    it.split = Split(it.split.train, some, it.split.test[20:], it.split.reason, it.split.how)
    return "calibrated on the tested donor", "red"


def calibrated_model(it):
    """Test cells set the intervals of a fitted model."""
    split_ = {"train": list(it.split.train), "validation": list(it.split.test[:10])}
    it.options["predictors"] = [SimpleNamespace(name="fitted", split_=split_)]
    return "calibrated on test cells", "red"


def trained_model(it):
    """Test cells are among those that a model was fitted to."""
    model = SimpleNamespace(split_={"train": [*it.split.train, *it.split.test[:1]], "validation": []})
    it.options["predictors"] = [risk.ModelPredictor(model)]
    return "trained on test cells", "red"


def split_is_batch(it):
    """Cells that are left out at random, it is said, are those of one batch."""
    test = (it.adata.obs["batch"] == "b2").to_numpy()
    names = it.adata.obs_names
    it.split = Split(names[~test], names[:0], names[test], "a random fifth")
    return "split told by batch", "red"


def donors_are_batch(it):
    """The donors that are left out, and only these, were measured in one batch."""
    it.adata.obs["batch"] = np.where(it.adata.obs["donor"].isin(["d1", "d5"]), "b1", "b0")
    return "split told by batch", "amber"


def by_target(it, test, kind="target"):
    """A split that leaves out some treated cells and says that the target (or scaffold) is new."""
    names, test = it.adata.obs_names, np.asarray(test)
    return Split(names[~test], names[:0], names[test], f"new {kind}", {"splitter": kind, "by": kind})


PLANTS = (
    *(barcode, copies_with_noise, copies, donor, batch, in_a_combination, scaffold, scaffold_by_a_table, another_dose),
    *(another_dose_in_the_name, features_of_all, components_of_all, components_said_to_be_of_training_cells),
    *(calibration, calibrated_model, trained_model, split_is_batch, donors_are_batch),
)


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_planted_leaks_are_found(donors, plant):
    donors.options = {"perturbation": donors.keys}
    clean = audit(donors.adata, donors.split, **donors.options)
    assert set(clean.table["verdict"]) == {"green"}
    check, verdict = plant(donors)
    found = audit(donors.adata, donors.split, **donors.options)
    told = found.table.set_index("check")["verdict"]
    assert told[check] == verdict
    assert found.red == (verdict == "red")
    others = set(told.index[told == "red"]) - {check}
    assert len(others) <= 1, "the leak is named, not everything else with it"


def test_clean_splits_raise_no_alarm(make):
    alarms = []
    for seed in range(50):
        adata, rng = make(seed, 160, 60), np.random.default_rng([seed, 5])
        left = [f"d{i}" for i in rng.choice(8, 2, replace=False)]
        split = risk.hold_out(adata, "donor", left, calibration=0.1, seed=seed)
        found = audit(adata, split, perturbation=PerturbationKeys("drug", control="no", dose="dose"), seed=seed)
        alarms += [seed] if (found.table["verdict"] != "green").any() else []
        assert len(found.table) > 15
        assert found.words["unseen donor"].startswith("allowed")
    assert len(alarms) <= 2


def test_what_an_audit_shows(donors):
    found = audit(donors.adata, donors.split)
    assert repr(found).startswith(f"Audit: 0 red, 0 amber, {len(found.table)} green")
    assert "unseen donor: allowed" in repr(found)
    assert not found.red
    assert found.blocks("any") == ""
    features_of_all(donors)
    donor(donors)
    found = audit(donors.adata, donors.split)
    assert list(found.table["verdict"][:2]) == ["red", "amber"]
    assert "red   same donor: The split says that the donor is new" in repr(found)
    assert found.blocks("any").startswith("same donor: ")
    page = found._repr_html_()
    assert page.count("<tr>") == len(found.table) + 1
    assert "var[&#x27;highly_variable&#x27;]" in page


def test_red_of_one_predictor_blocks_that_one(donors):
    trained, other = (
        SimpleNamespace(name=name, split_={"train": cells})
        for name, cells in (("seen", donors.split.test), ("blind", donors.split.train))
    )
    found = audit(donors.adata, donors.split, predictors=[trained, other])
    assert found.red
    assert found.blocks("seen").startswith("trained on test cells: seen was trained on")
    assert not found.blocks("blind")
    assert not found.blocks()


def test_order_of_cells_and_storage_change_nothing(donors):
    components_of_all(donors)
    copies_with_noise(donors)
    first = audit(donors.adata, donors.split, perturbation=donors.keys)
    other = donors.adata[::-1].copy()
    other.X = other.X.toarray()
    again = audit(other, donors.split, perturbation=donors.keys)
    for part in ("table", "similarity"):
        one, two = (getattr(each, part).drop(columns="says", errors="ignore") for each in (first, again))
        pd.testing.assert_frame_equal(one, two, atol=1e-6)
    assert first.words.keys() == again.words.keys()


def test_data_stay_as_they_were(donors):
    before = donors.adata.copy()
    audit(donors.adata, donors.split, perturbation=donors.keys)
    assert (donors.adata.X != before.X).nnz == 0
    pd.testing.assert_frame_equal(donors.adata.obs, before.obs)


def test_keys_of_the_split_are_taken(donors):
    how = {"splitter": "target", "by": "target", "perturbation": {"target": "drug", "control": "no", "context": []}}
    told = by_target(donors, donors.adata.obs["drug"] == "B")
    split = Split(told.train, told.calibration, told.test, told.reason, how)
    assert "target in a combination" in set(audit(donors.adata, split).table["check"])


def test_a_check_of_another_package_is_one_function(donors, monkeypatch):
    monkeypatch.setattr(CHECKS, "_items", dict(CHECKS._items))

    @CHECKS.register("moon")
    def moon(case):
        yield Finding("full moon", 1.0, 0.5, "red", "The moon was full.", "moon")

    monkeypatch.setitem(WORDS, "new moon", ("moon",))
    found = audit(donors.adata, donors.split)
    assert found.table["check"].iloc[0] == "full moon"
    assert found.words["new moon"] == "not allowed: The moon was full."


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"split": ["cell"]}, TypeError, "split must be a Split, not list"),
        ({"perturbation": "drug"}, TypeError, "perturbation must be a PerturbationKeys, not str"),
        ({"covariates": "bach"}, KeyError, "No obs column 'bach'. Did you mean 'batch'"),
        ({"seed": -1}, ValueError, "seed must be a whole number >= 0"),
        ({"predictors": 3}, TypeError, "predictors takes predictors, not 3"),
    ],
)
def test_bad_input(donors, options, error, message):
    split = options.pop("split", donors.split)
    with pytest.raises(error, match=message):
        audit(donors.adata, split, **options)


def test_cells_that_are_not_there(donors):
    with pytest.raises(ValueError, match="names 1 cells that the data lack"):
        audit(donors.adata[1:].copy(), donors.split)


def test_an_audit_needs_no_similarity():
    found = Audit(pd.DataFrame({"verdict": []}), {})
    assert found.similarity.empty

"""Similarity to the nearest training unit, against formulas by hand."""

import numpy as np
import pandas as pd
import pytest

from scvcell import PerturbationKeys, pp
from scvcell._containers import view
from scvcell.prior import TargetKernel
from scvcell.risk.leakage import Case, audit, contexts, targets

KEYS = PerturbationKeys("drug", control="no")
PRINTS = pd.DataFrame([[1, 1, 1, 0, 0], [1, 1, 0, 1, 0], [0, 0, 0, 1, 1]], index=list("ABC"))


@pytest.fixture
def new_drug(donors):
    """A is left out, and all that holds it."""
    test = donors.adata.obs["drug"].isin(["A", "A+B"]).to_numpy()
    cells = donors.adata.obs_names
    donors.split = pp.Split(cells[~test], cells[:0], cells[test], "new drug", {"splitter": "target"})
    return donors


def look(it, similarity, check=targets):
    return list(check(Case(it.adata, view(it.adata), it.split, KEYS, similarity=similarity)))


def test_tanimoto_of_fingerprints(new_drug):
    (found,) = look(new_drug, PRINTS)
    assert found.value == pytest.approx(2 / 4)
    assert found.verdict == "green"
    assert found.units.to_dict("records") == [{"unit": "A", "nearest": "B", "similarity": 0.5}]
    assert "A and B in training: Tanimoto 0.50" in found.says
    close = PRINTS.copy()
    close.loc["B"] = close.loc["A"]
    (found,) = look(new_drug, close)
    assert (found.value, found.verdict, found.over) == (1.0, "amber", True)


def test_cosine_of_features_kernels_and_a_square_table(new_drug):
    features = PRINTS * [1.0, 2, 1, 1, 3]
    a, b = (features.loc[name].to_numpy() for name in "AB")
    cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    for given in (features, TargetKernel(features), features.iloc[::-1]):
        assert look(new_drug, given)[0].value == pytest.approx(cosine)
    square = pd.DataFrame([[1, 0.2, 0.59], [0.2, 1, 0], [0.59, 0, 1]], index=list("ABC"), columns=list("ABC"))
    (found,) = look(new_drug, square.iloc[[2, 0, 1]])
    assert (found.value, found.over) == (0.59, False)
    assert found.units["nearest"].tolist() == ["C"]
    square.loc["A", "C"] = 0.6
    assert look(new_drug, square)[0].over, "six tenths are too much"


def test_a_target_without_features_is_not_known_to_be_new(new_drug):
    (found,) = look(new_drug, PRINTS.rename(index={"A": "Z"}))
    assert (np.isnan(found.value), found.verdict) == (True, "amber")


def test_words_about_drugs(new_drug):
    without = audit(new_drug.adata, new_drug.split, perturbation=KEYS)
    assert without.words["unseen target"].startswith("allowed")
    assert without.words["unseen drug"] == (
        "not allowed: it was not said how alike targets are; give similarity=, such as fingerprints."
    )
    assert audit(new_drug.adata, new_drug.split, perturbation=KEYS, similarity=PRINTS).words["unseen drug"] == (
        "allowed: nothing found by 'same target', 'target in a combination', \"target under another dose's name\", "
        "'similar target'."
    )
    near = PRINTS.assign(more=0)
    near.loc["C"] = near.loc["A"]
    said = audit(new_drug.adata, new_drug.split, perturbation=KEYS, similarity=near).words["unseen drug"]
    assert said == "not allowed: The most similar pair is A and C in training: Tanimoto 1.00."


@pytest.mark.parametrize(
    ("similarity", "error", "message"),
    [
        ({"A": 1}, TypeError, "similarity must be a DataFrame"),
        (pd.concat([PRINTS, PRINTS]), ValueError, "one row for each target"),
        (PRINTS.replace(1, np.nan), ValueError, "finite numbers only"),
    ],
)
def test_bad_tables(new_drug, similarity, error, message):
    with pytest.raises(error, match=message):
        look(new_drug, similarity)


def test_profiles_of_groups(donors):
    x = donors.adata.X.toarray()
    d1, d2 = (np.flatnonzero(donors.adata.obs["donor"] == name) for name in ("d1", "d2"))
    x[d1] = x[np.resize(d2, len(d1))]
    donors.adata.X = x
    (found,) = look(donors, None, contexts)
    log = pd.DataFrame(np.log1p(x / x.sum(1, keepdims=True) * 1e4), donors.adata.obs_names)
    mean = log.groupby(donors.adata.obs["donor"]).mean()
    told = found.units.set_index("unit")
    assert told.loc["d1", "nearest"] == "d2"
    others = mean.drop(index=["d1", "d5"]).index
    expected = max(np.corrcoef(mean.loc["d5"], mean.loc[name])[0, 1] for name in others)
    assert told.loc["d5", "similarity"] == pytest.approx(expected, abs=1e-6)
    assert found.verdict == "green"
    assert not found.over
    donors.split = pp.Split(donors.split.train, donors.split.calibration, donors.split.test, "other cells")
    assert not look(donors, None, contexts)

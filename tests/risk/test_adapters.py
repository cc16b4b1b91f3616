"""Simple predictors and a cell-state latent answer the same questions."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.decomposition import PCA
from sklearn.linear_model import RidgeCV

import scvcell
from scvcell import risk
from scvcell.risk import LinearMatch, ModelPredictor, Place, Translate, Translator
from scvcell.risk.axes import Modality
from scvcell.risk.baselines import TRANSLATORS


@pytest.fixture(scope="module")
def world():
    mdata = scvcell.datasets.simulate(700, n_genes=80, n_proteins=12, paired=0.6, seed=0)
    return mdata, risk.hide_pairing(mdata, "rna", "adt", share=0.3, seed=1), Modality("rna", "adt")


@pytest.fixture(scope="module")
def fitted(world, quick):
    train = replace(quick, max_epochs=30, validation=0.25)
    return ModelPredictor(options={"batch_key": "batch", "train": train})


@pytest.fixture(scope="module")
def found(world, fitted):
    """Scores of all of them, metric by metric."""
    mdata, split, axis = world
    each = [fitted, LinearMatch(), *map(Translator, TRANSLATORS)]
    return {p.name: risk.ask(p, axis, mdata, split, seed=0).set_index(["test", "metric"])["value"] for p in each}


def test_a_latent_finds_hidden_pairs_and_translates(found):
    ours = found["scvcell"]
    assert ours["match rna and adt", "foscttm"] < 0.2
    assert ours["rna to adt", "pearson"] > 0.4
    assert ours["rna to adt", "answered"] == ours["adt to rna", "answered"] == 1
    assert 0.8 < ours["rna to adt", "coverage"] < 0.98, "intervals at 90 %"


def test_simple_predictors_answer_what_they_can(found):
    assert found["CCA"]["match rna and adt", "foscttm"] < 0.35
    assert found["CCA"]["rna to adt", "answered"] == 0
    for name in TRANSLATORS:
        assert found[name]["match rna and adt", "answered"] == 0
        assert found[name]["rna to adt", "answered"] == 1
    assert found["mean profile"]["rna to adt", "pearson"] == pytest.approx(0, abs=1e-9)
    assert found["PCA + ridge"]["rna to adt", "rmse"] < 0.9 * found["mean profile"]["rna to adt", "rmse"]


def test_a_translation_by_hand(world):
    mdata, split, axis = world
    seen = axis.hide(mdata, split)
    predictor = Translator("PCA + ridge")
    predictor.fit(seen, split, 0)
    cells = seen["rna"].obs_names[:5]
    point = predictor.predict(Translate("rna", "adt", cells)).point
    pairs = seen["rna"].obs_names[seen["rna"].obs_names.isin(seen["adt"].obs_names)]
    counts = seen["rna"].to_df()
    x = np.log1p(1e4 * counts.div(np.maximum(counts.sum(axis=1), 1), axis=0))
    y = np.log1p(seen["adt"].to_df().loc[pairs])
    pca = PCA(30, random_state=0).fit(x.loc[pairs].to_numpy())
    model = RidgeCV(np.logspace(0, 4, 9)).fit(pca.transform(x.loc[pairs].to_numpy()), y)
    np.testing.assert_allclose(point, np.expm1(model.predict(pca.transform(x.loc[cells].to_numpy()))), rtol=1e-5)
    assert point.index.equals(cells)
    assert predictor.predict(Place({"rna": cells})) is None


def test_without_pairs_linear_methods_abstain(world):
    mdata, _, axis = world
    split = risk.hide_pairing(mdata, "rna", "adt", share=1.0)
    for predictor in (LinearMatch(), Translator()):
        answered = risk.ask(predictor, axis, mdata, split).query("metric == 'answered'")["value"]
        assert (answered == 0).all()


def test_what_is_hidden_changes_nothing_that_a_latent_learns(world, quick):
    """The held-out half of the audit: other measurements of the test cells' proteins, the same predicted proteins."""
    mdata, _, _ = world
    cells = mdata["rna"].obs_names.intersection(mdata["adt"].obs_names)[:60]
    split = risk.hide_pairing(mdata, "rna", "adt", cells=cells)
    answers = []
    for noise in (0, 1):
        other = mdata.copy()
        hidden = other["adt"].obs_names.isin(cells)
        other["adt"].X = sp.csr_matrix(other["adt"].X.toarray() + 50 * noise * hidden[:, None])
        predictor = ModelPredictor(options={"train": quick})
        predictor.fit(other, split, 0)
        values = predictor.predict(Translate("rna", "adt", cells))
        answers.append(values.point.to_numpy())
    np.testing.assert_array_equal(*answers)


def test_a_model_that_has_seen_test_cells_is_refused(world, quick):
    mdata, split, axis = world
    seen = scvcell.tl.fit(mdata.copy(), train=quick)
    with pytest.raises(ValueError, match=r"The model was fitted on \d+ test cells, e\.g\. 'cell\d+'"):
        risk.ask(ModelPredictor(seen), axis, mdata, split)
    blind = scvcell.tl.fit(mdata.copy(), train=quick, split=split)
    scores = risk.ask(ModelPredictor(blind, name="blind"), axis, mdata, split)
    assert (scores.loc[scores["metric"] == "answered", "value"] == 1).all()
    assert set(scores["predictor"]) == {"blind"}


def test_each_question_round_is_a_new_fit(world, fitted, quick):
    mdata, split, axis = world
    predictor = ModelPredictor(options={"train": quick})
    first, again = (risk.ask(predictor, axis, mdata, split, seed=s)["value"] for s in (0, 0))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, risk.ask(predictor, axis, mdata, split, seed=1)["value"])

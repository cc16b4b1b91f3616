"""CSL on scvi-tools' lifecycle: set up, construct, train, represent; stores nothing in the data."""

import numpy as np
import pytest

import scvcell
from scvcell import CSL


def test_by_hand_as_in_scvi_tools(mosaic, quick, fingerprint):
    mdata = mosaic(90)
    before = fingerprint(mdata)
    CSL.setup_mudata(mdata, batch_key="batch")
    model = CSL(mdata, n_latent=4)
    assert "not trained" in repr(model)
    assert not model.is_trained_
    model.train(quick)
    assert model.is_trained_
    assert model.get_latent_representation().shape == (mdata.n_obs, 4)
    assert fingerprint(mdata) == before, "setup, training and representation write nothing"


def test_by_hand_equals_the_verb(mosaic, quick):
    mdata, other = mosaic(90), mosaic(90)
    CSL.setup_mudata(mdata, batch_key="batch")
    model = CSL(mdata)
    model.train(quick, seed=3)
    scvcell.tl.fit(other, batch_key="batch", train=quick, seed=3)
    np.testing.assert_array_equal(model.get_latent_representation(), other.obsm["X_csl"])


def test_setup_anndata(mosaic, quick):
    adata = mosaic(90)["rna"]
    CSL.setup_anndata(adata, batch_key="batch")
    model = CSL(adata)
    model.train(quick)
    assert model.get_latent_representation().shape[0] == adata.n_obs


def test_without_setup(mosaic):
    with pytest.raises(ValueError, match=r"Set up the data first: CSL.setup_mudata\(data\).*scvcell.tl.fit"):
        CSL(mosaic(60))


def test_the_last_setup_counts(mosaic):
    mdata = mosaic(60)
    CSL.setup_mudata(mdata)
    CSL.setup_mudata(mdata, batch_key="batch")
    assert CSL(mdata).schema.batch_key == "batch"


def test_two_models_of_the_same_data(mosaic, quick):
    mdata = mosaic(90)
    CSL.setup_mudata(mdata)
    one = CSL(mdata)
    CSL.setup_mudata(mdata, batch_key="batch")
    two = CSL(mdata)
    for model in (one, two):
        model.train(quick)
    assert one.schema.batch_key is None
    assert two.schema.batch_key == "batch"
    assert one.get_latent_representation().shape == two.get_latent_representation().shape


def test_untrained_model_says_what_to_run(mosaic):
    mdata = mosaic(60)
    CSL.setup_mudata(mdata)
    with pytest.raises(RuntimeError, match=r"not trained. Run `model.train\(\)` or scvcell.tl.fit"):
        CSL(mdata).get_latent_representation()


def test_repr_and_parameters(small):
    assert repr(small.model) == "CSL with 32 dimensions on rna (60, counts), adt (6, protein); 2 batches; trained."
    parameters = small.model.parameters()
    assert parameters["modalities"] == {"rna": "counts", "adt": "protein"}
    assert parameters["weights"]["align"] == 1


def test_latent_separates_types_and_not_batches(small):
    from sklearn.neighbors import KNeighborsClassifier

    z, obs = small.mdata.obsm["X_csl"], small.mdata.obs
    half = np.arange(len(z)) % 2 == 0

    def accuracy(key):
        y = obs[key].astype(str).to_numpy()
        return (KNeighborsClassifier(10).fit(z[half], y[half]).predict(z[~half]) == y[~half]).mean()

    assert accuracy("celltype") > 0.85
    assert accuracy("batch") < 0.7


def test_adopting_other_data(mosaic, quick):
    mdata = mosaic(90)
    model = scvcell.tl.fit(mdata, batch_key="batch", train=quick)
    part = mdata[:30].copy()
    model.adopt(part)
    assert model.adata is part
    assert model.get_latent_representation().shape[0] == 30
    other = part.copy()
    other.obs["batch"] = "b9"
    with pytest.raises(ValueError, match="categories the model does not know"):
        model.adopt(other)
    assert model.adata is part

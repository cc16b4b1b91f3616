"""Models of scvi-tools answer by their own methods, for the cells that are asked for, whatever the order."""

import logging
import warnings

import numpy as np
import pandas as pd
import pytest
import scvi

import scvcell
from scvcell import risk
from scvcell.risk import Place, ScviPredictor, Split, Translate
from scvcell.risk._scvi import padded
from scvcell.risk.axes import Modality

SMALL = {"n_latent": 4, "n_hidden": 16}


def trained(model):
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.train(max_epochs=1, accelerator="cpu", enable_progress_bar=False)
    return model


def totalvi(mdata, seed):
    scvi.settings.seed = seed
    mdata = mdata[mdata["rna"].obs["measured"] != "adt"].copy()
    layers = {"rna_layer": "rna", "protein_layer": "adt", "batch_key": "rna"}
    scvi.model.TOTALVI.setup_mudata(mdata, batch_key="measured", modalities=layers)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Some proteins have all 0 counts")
        warnings.filterwarnings("ignore", message="Initializing zero-element tensors")
        model = scvi.model.TOTALVI(mdata, **SMALL, empirical_protein_background_prior=False)
    return trained(model)


def multivi(mdata, seed):
    scvi.settings.seed = seed
    scvi.model.MULTIVI.setup_mudata(mdata, modalities={"rna_layer": "rna", "protein_layer": "adt"})
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Initializing zero-element tensors")
        model = scvi.model.MULTIVI(mdata, **SMALL)
    return trained(model)


def plain(mdata, seed):
    scvi.settings.seed = seed
    rna = mdata["rna"][mdata["rna"].obs["measured"] != "adt"].copy()
    scvi.model.SCVI.setup_anndata(rna)
    return trained(scvi.model.SCVI(rna, **SMALL))


@pytest.fixture(scope="module")
def world():
    mdata = scvcell.datasets.simulate(120, n_genes=25, n_proteins=6, paired=0.8, seed=0)
    split, axis = risk.hide_pairing(mdata, "rna", "adt", share=0.3, seed=1), Modality("rna", "adt")
    return axis.hide(mdata, split), split, axis, mdata


@pytest.fixture(scope="module")
def fitted(world):
    seen, split, _, _ = world
    each = {train.__name__: ScviPredictor(train, train.__name__) for train in (totalvi, multivi, plain)}
    for predictor in each.values():
        predictor.fit(seen, split, 0)
    return each


def test_every_modality_has_all_cells_with_zeros_where_it_was_not_measured(world):
    seen, *_ = world
    found = padded(seen)
    for m in ("rna", "adt"):
        assert list(found[m].obs_names) == list(seen.obs_names)
        table = found[m].to_df()
        pd.testing.assert_frame_equal(table.loc[seen[m].obs_names], seen[m].to_df(), check_dtype=False)
        assert (table.drop(seen[m].obs_names) == 0).all(axis=None)
        has = found[m].obs["measured"].str.split("+").apply(lambda names, m=m: m in names)
        assert list(found[m].obs_names[has]) == [name for name in seen.obs_names if name in seen[m].obs_names]
        assert {"batch", "cell_type"} & set(found[m].obs)
    assert isinstance(found["adt"].X, np.ndarray), "TOTALVI takes proteins dense"


def test_states_are_those_of_the_model_by_name(world, fitted):
    seen, *_ = world
    cells = {m: seen[m].obs_names[::-3] for m in ("rna", "adt")}
    for name, latents in (("multivi", ("expression", "protein")), ("plain", (None,))):
        model = fitted[name]._asked
        found = fitted[name].predict(Place(cells)).of
        for m, latent in zip(cells, latents, strict=False):
            z = model.get_latent_representation(**({"modality": latent} if latent else {}))
            expected = pd.DataFrame(z, model.adata.obs_names).loc[cells[m]]
            pd.testing.assert_frame_equal(found[m], expected, check_names=False, atol=1e-5)
    there = fitted["totalvi"].predict(Place(cells)).of["adt"].index
    assert set(there) == set(cells["adt"]) & set(seen["rna"].obs_names), "without genes it places no cell"


def test_values_are_those_of_the_model_by_name(world, fitted):
    seen, split, axis, mdata = world
    cells = seen["rna"].obs_names[::-2]
    adt = fitted["totalvi"].predict(Translate("rna", "adt", cells)).point
    assert adt.index.equals(cells)
    assert list(adt.columns) == list(seen["adt"].var_names)
    assert (adt.to_numpy() > 0).all()
    assert fitted["totalvi"]._batches() == ["rna+adt"], "proteins as where they were measured"
    assert fitted["multivi"].predict(Translate("rna", "adt", cells)) is None
    lone = seen["adt"].obs_names.difference(seen["rna"].obs_names)
    assert len(fitted["totalvi"].predict(Translate("adt", "rna", lone)).point) == 0
    rna = fitted["multivi"].predict(Translate("adt", "rna", lone)).point
    assert rna.index.equals(lone)
    depth = seen["rna"].X.sum() / seen["rna"].n_obs
    np.testing.assert_allclose(rna.sum(axis=1), depth, rtol=1e-3)
    share = fitted["plain"].predict(Translate("rna", "rna", cells)).point / depth
    model = fitted["plain"]._asked
    rows = model.adata.obs_names.get_indexer(cells)
    expected = model.get_normalized_expression(indices=rows, n_samples=50, return_mean=True, return_numpy=True)
    assert np.corrcoef(share.to_numpy().ravel(), expected.ravel())[0, 1] > 0.9
    np.testing.assert_array_equal(fitted["totalvi"].predict(Translate("rna", "adt", cells)).point, adt)
    assert fitted["plain"].predict(Translate("rna", "atac", cells)) is None
    found = risk.ask(ScviPredictor(totalvi, "TOTALVI"), axis, mdata, split).set_index(["test", "metric"])["value"]
    assert found["rna to adt", "answered"] == 1
    assert np.isfinite(found["rna to adt", "pearson"])


def test_a_model_that_has_seen_test_cells_is_refused(world, fitted):
    seen, split, *_ = world
    given = ScviPredictor(fitted["plain"]._asked)
    given.fit(seen, split, 0)
    cells = seen["rna"].obs_names[:9]
    theirs = fitted["plain"].predict(Place({"rna": cells})).of["rna"]
    pd.testing.assert_frame_equal(given.predict(Place({"rna": cells})).of["rna"], theirs)
    with pytest.raises(ValueError, match=r"The model has seen 1 test cells, e\.g\. .*Give a function that fits one"):
        given.fit(seen, Split(seen["rna"].obs_names[9:], split.calibration[:0], cells[:1]), 0)
    with pytest.raises(TypeError, match=r"model must be a fitted model of scvi-tools, or a function .*, not NoneType"):
        ScviPredictor(lambda mdata, seed: None).fit(seen, split, 0)
    with pytest.raises(TypeError, match="not str"):
        ScviPredictor("TOTALVI").fit(seen, split, 0)

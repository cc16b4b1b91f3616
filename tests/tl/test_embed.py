"""tl.embed: any subset of modalities, any cells, NaN where nothing is known."""

import numpy as np
import pytest
from mudata import MuData

import scvcell


def test_fitted_data_get_what_fit_wrote(small):
    mdata = small.mdata.copy()
    del mdata.obsm["X_csl"], mdata.obs["csl_uncertainty"]
    assert scvcell.tl.embed(mdata, small.model) is None
    np.testing.assert_allclose(mdata.obsm["X_csl"], small.mdata.obsm["X_csl"], atol=1e-5)
    np.testing.assert_allclose(mdata.obs["csl_uncertainty"], small.mdata.obs["csl_uncertainty"], rtol=1e-5)


@pytest.mark.parametrize(
    "how", ["shuffled", "subset", "rows of modalities shuffled", "features shuffled", "modalities swapped"]
)
def test_a_cells_embedding_does_not_depend_on_the_table_around_it(small, how):
    mdata = small.mdata.copy()
    rng = np.random.default_rng(0)
    if how == "shuffled":
        mdata = mdata[rng.permutation(mdata.n_obs)].copy()
    elif how == "subset":
        mdata = mdata[rng.random(mdata.n_obs) < 0.2].copy()
    else:
        mods = dict(mdata.mod)
        if how == "rows of modalities shuffled":
            mods = {m: a[rng.permutation(a.n_obs)].copy() for m, a in mods.items()}
        elif how == "features shuffled":
            mods = {m: a[:, rng.permutation(a.n_vars)].copy() for m, a in mods.items()}
        else:
            mods = dict(reversed(mods.items()))
        new = MuData(mods)
        new.obs = mdata.obs.loc[new.obs_names]
        mdata = new
    scvcell.tl.embed(mdata, small.model)
    where = small.mdata.obs_names.get_indexer(mdata.obs_names)
    np.testing.assert_allclose(mdata.obsm["X_csl"], small.mdata.obsm["X_csl"][where], atol=1e-4)


def test_one_modality_leaves_the_others_nan(small):
    mdata = small.mdata.copy()
    scvcell.tl.embed(mdata, small.model, modalities=["adt"], key_added="X_adt")
    has = small.model.view(mdata).present("adt")
    assert np.isnan(mdata.obsm["X_adt"][~has]).all()
    assert np.isfinite(mdata.obsm["X_adt"][has]).all()
    np.testing.assert_array_equal(mdata.obs["X_adt_uncertainty"].isna(), ~has)
    np.testing.assert_array_equal(mdata.obsm["X_csl"], small.mdata.obsm["X_csl"])


def test_uncertainty_shrinks_with_every_modality(small):
    mdata = small.mdata.copy()
    for name in ("rna", "adt"):
        scvcell.tl.embed(mdata, small.model, modalities=[name], key_added=f"X_{name}")
    for name in ("rna", "adt"):
        has = mdata.obs[f"X_{name}_uncertainty"].notna()
        assert (mdata.obs["csl_uncertainty"] <= mdata.obs[f"X_{name}_uncertainty"])[has].all()
        assert (mdata.obs["csl_uncertainty"] < 1).all()


def test_an_anndata_is_rna(small):
    adata = small.mdata["rna"].copy()
    scvcell.tl.embed(adata, small.model)
    rows = small.mdata.obs_names.get_indexer(adata.obs_names)
    alone = small.model.posterior(small.mdata, modalities=["rna"]).mean.numpy()[rows]
    np.testing.assert_allclose(adata.obsm["X_csl"], alone, atol=1e-4)


def test_a_string_is_one_modality(small):
    one, other = small.mdata.copy(), small.mdata.copy()
    scvcell.tl.embed(one, small.model, modalities="rna")
    scvcell.tl.embed(other, small.model, modalities=["rna"])
    np.testing.assert_array_equal(one.obsm["X_csl"], other.obsm["X_csl"])


@pytest.mark.parametrize("form", ["csc_matrix", "csr_array", "int32", "h5ad csr", "zarr dense"])
def test_new_data_in_any_form(small, stored, form):
    mdata = stored(small.mdata, form)
    scvcell.tl.embed(mdata, small.model)
    where = small.mdata.obs_names.get_indexer(mdata.obs_names)
    np.testing.assert_allclose(mdata.obsm["X_csl"], small.mdata.obsm["X_csl"][where], atol=1e-4)


def test_one_cell(small):
    mdata = small.mdata[:1].copy()
    scvcell.tl.embed(mdata, small.model)
    np.testing.assert_allclose(mdata.obsm["X_csl"], small.mdata.obsm["X_csl"][:1], atol=1e-4)


def test_only_documented_keys_are_written(small, fingerprint):
    mdata = small.mdata.copy()
    written = (".obsm/keys", ".obsm/X_new", ".obs/X_new_uncertainty")
    before = fingerprint(mdata, without=written)
    scvcell.tl.embed(mdata, small.model, key_added="X_new")
    assert fingerprint(mdata, without=written) == before


def test_mistakes_change_nothing(small, fingerprint):
    mdata = small.mdata.copy()
    before = fingerprint(mdata)
    with pytest.raises(ValueError, match=r"no modality 'atac'; it has \['rna', 'adt'\]"):
        scvcell.tl.embed(mdata, small.model, modalities=["rna", "atac"])
    other = mdata.copy()
    other.obs["batch"] = "b9"
    with pytest.raises(ValueError, match=r"\['b9'\].*load_query_data"):
        scvcell.tl.embed(other, small.model)
    assert fingerprint(mdata) == before

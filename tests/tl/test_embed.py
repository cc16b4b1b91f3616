"""tl.embed: any subset of modalities, any cells, NaN where nothing is known."""

import anndata
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


@pytest.fixture(scope="module")
def files(tmp_path_factory, mosaic):
    """Counts of one modality in two files, genes of the second in another order, and all of it in memory."""
    pytest.importorskip("dask")
    folder = tmp_path_factory.mktemp("files")
    whole = mosaic(200)["rna"].copy()
    whole.layers["counts"] = whole.X.copy()
    half = whole.n_obs // 2
    whole[:half].copy().write_h5ad(folder / "a.h5ad")
    whole[half:, ::-1].copy().write_zarr(folder / "b.zarr")
    return folder, whole


@pytest.mark.parametrize("layers", [None, "counts"])
def test_files_are_fitted_and_embedded_as_the_data_in_memory(files, quick, tmp_path, layers):
    folder, whole = files
    model = scvcell.tl.fit(folder, batch_key="batch", layers=layers, train=quick)
    memory = whole.copy()
    same = scvcell.tl.fit(memory, batch_key="batch", layers=layers, train=quick)
    assert sorted(model.split_["train"]) == sorted(same.split_["train"])
    assert model.split_["validation"] == same.split_["validation"]
    assert scvcell.tl.embed([folder / "a.h5ad", folder / "b.zarr"], model, out=tmp_path / "z.zarr") is None
    found = anndata.read_zarr(tmp_path / "z.zarr")
    assert list(found.obs_names) == list(whole.obs_names)
    np.testing.assert_allclose(found.obsm["X_csl"], memory.obsm["X_csl"], atol=1e-5)
    np.testing.assert_allclose(found.obs["csl_uncertainty"], memory.obs["csl_uncertainty"], atol=1e-5)
    model.save(tmp_path / "model")
    assert sorted(scvcell.CSL.load(tmp_path / "model").split_["train"]) == sorted(same.split_["train"])
    parts = [scvcell.tl.translate(memory, each, to="rna").obs["split"] for each in (model, same)]
    assert (parts[0] == parts[1]).all()
    assert set(parts[0]) == {"train", "validation"}


def test_states_of_any_data_go_to_a_file_and_leave_the_data_alone(small, tmp_path, fingerprint, monkeypatch):
    monkeypatch.setattr("scvcell.tl._embed.CELLS_PER_BLOCK", 37)
    mdata = small.mdata.copy()
    before = fingerprint(mdata)
    scvcell.tl.embed(mdata, small.model, modalities=["adt"], key_added="proteins", out=tmp_path / "z.zarr")
    assert fingerprint(mdata) == before
    found = anndata.read_zarr(tmp_path / "z.zarr")
    scvcell.tl.embed(mdata, small.model, modalities=["adt"], key_added="proteins")
    np.testing.assert_allclose(found.obsm["proteins"], mdata.obsm["proteins"], atol=1e-5)
    assert list(found.obs) == ["proteins_uncertainty"]
    assert np.isnan(found.obsm["proteins"]).any()


def test_files_need_a_place_for_their_states(files, small, tmp_path):
    folder, _ = files
    with pytest.raises(ValueError, match=r"out='states\.zarr'"):
        scvcell.tl.embed(folder, small.model)
    (tmp_path / "z.zarr").mkdir()
    with pytest.raises(FileExistsError, match=r"z\.zarr"):
        scvcell.tl.embed(folder, small.model, out=tmp_path / "z.zarr")

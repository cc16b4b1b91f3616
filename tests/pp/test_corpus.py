"""Many files are one container: the same answers as from one table in memory, and errors that name the file."""

import warnings

import anndata
import mudata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import scvcell
from scvcell.pp import read_corpus

pytest.importorskip("dask")

GENES = np.array([f"g{i}" for i in range(30)])
KINDS = {
    "a": lambda x: sp.csr_matrix(x.astype(np.int32)),
    "b": lambda x: x.astype(np.uint16),
    "c": lambda x: sp.csr_matrix(x.astype(np.float64)),
}
LACKS = {"a": [3, 7], "b": [], "c": [7, 11, 12]}


def table(name, n=40, seed=0):
    rng = np.random.default_rng(seed)
    genes = rng.permutation(np.setdiff1d(np.arange(30), LACKS[name]))
    x = rng.poisson(1.5, (n, len(genes)))
    obs = pd.DataFrame({"donor": name.upper(), "age": 3}, index=[f"cell{i}" for i in range(n)])
    if name == "b":
        obs["extra"] = "x"
    return anndata.AnnData(KINDS[name](x), obs, pd.DataFrame(index=GENES[genes]))


@pytest.fixture
def folder(tmp_path):
    for seed, name in enumerate(KINDS):
        one = table(name, seed=seed)
        one.write_zarr(tmp_path / "c.zarr") if name == "c" else one.write_h5ad(tmp_path / f"{name}.h5ad")
    return tmp_path


def test_values_are_those_of_each_file_and_absent_features_are_masked(folder):
    corpus = read_corpus(folder)
    assert corpus.shape == (120, 30)
    values = corpus.X.compute()
    assert values.dtype == np.float32
    dense = pd.DataFrame(values.toarray(), corpus.obs_names, corpus.var_names)
    for seed, name in enumerate(KINDS):
        one = table(name, seed=seed)
        at = [f"{name}:{cell}" for cell in one.obs_names]
        found = dense.loc[at]
        np.testing.assert_array_equal(found[one.var_names], one.to_df())
        assert (corpus.obs.loc[at, "file"] == name).all()
        absent = corpus.var_names.difference(one.var_names)
        assert set(absent) == set(GENES[LACKS[name]])
        assert not corpus.varm["observed"].loc[absent, name].any()
        assert corpus.varm["observed"].loc[one.var_names, name].all()
    assert corpus.obs["extra"].isna().sum() == 80


def test_names_stay_where_they_are_unique_and_columns_can_be_chosen(tmp_path):
    for seed, name in enumerate("ab"):
        one = table(name, seed=seed)
        one.obs_names = [f"{name}{i}" for i in range(one.n_obs)]
        one.write_h5ad(tmp_path / f"{name}.h5ad")
    corpus = read_corpus([tmp_path / "b.h5ad", tmp_path / "a.h5ad"], columns=["donor"], batch_key="donor")
    assert list(corpus.obs_names[[0, 40]]) == ["b0", "a0"]
    assert list(corpus.obs) == ["donor"]
    assert list(corpus.varm["observed"]) == ["B", "A"]


def test_a_batch_measured_what_each_of_its_files_has(folder):
    one = anndata.read_h5ad(folder / "a.h5ad")
    one.obs["donor"], one.obs_names = "B", [f"other{i}" for i in range(one.n_obs)]
    one.write_h5ad(folder / "a.h5ad")
    observed = read_corpus(folder / "*.h5ad", batch_key="donor").varm["observed"]
    assert list(observed) == ["B"]
    assert set(observed.index[~observed["B"]]) == set(GENES[LACKS["a"]])


def test_a_fit_and_its_states_are_those_of_the_data_in_memory(folder):
    corpus = read_corpus(folder)
    memory = anndata.AnnData(corpus.X.compute(), corpus.obs.copy(), corpus.var.copy(), varm=dict(corpus.varm))
    model = scvcell.tl.fit(corpus, batch_key="file", max_epochs=2)
    scvcell.tl.embed(memory, model, key_added="again")
    np.testing.assert_allclose(memory.obsm["again"], corpus.obsm["X_csl"], atol=1e-5)
    assert model.schema.batches == ["a", "b", "c"]


def test_modalities_of_several_files(tmp_path):
    names = {"a": ("rna", "adt"), "b": ("rna",)}
    for seed, (name, mods) in enumerate(names.items()):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            mudata.MuData({m: table(name, seed=seed) for m in mods}).write_h5mu(tmp_path / f"{name}.h5mu")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        corpus = read_corpus(tmp_path)
    assert corpus.n_obs == 80
    assert corpus["adt"].n_obs == 40
    assert set(corpus["adt"].obs_names) <= set(corpus["rna"].obs_names)


def broken(folder, what):
    one = anndata.read_h5ad(folder / "b.h5ad")
    if what == "csc":
        one.X = sp.csc_matrix(one.X)
    elif what == "empty":
        one = one[:0].copy()
    elif what == "other names":
        one.var_names = [f"ENSG{i}" for i in range(one.n_vars)]
    elif what == "not whole":
        one.X = np.log1p(one.X.astype(float))
    elif what == "truncated":
        (folder / "b.h5ad").write_bytes((folder / "b.h5ad").read_bytes()[:2000])
        return
    one.write_h5ad(folder / "b.h5ad")


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("csc", "by columns"),
        ("empty", "is empty"),
        ("other names", "shares no feature"),
        ("not whole", "are not whole"),
        ("truncated", "cannot be read"),
    ],
)
def test_an_unlike_file_is_refused_by_its_name(folder, what, says):
    broken(folder, what)
    with pytest.raises(ValueError, match=rf"b\.h5ad.*{says}"):
        read_corpus(folder)


def test_what_is_not_there_is_named(folder):
    with pytest.raises(FileNotFoundError, match="nothing"):
        read_corpus(folder / "nothing.h5ad")
    with pytest.raises(ValueError, match=r"'donr'.*donor"):
        read_corpus(folder, columns=["donr"])
    with pytest.raises(ValueError, match="has no layer 'counts'"):
        read_corpus(folder, layer="counts")
    with pytest.raises(ValueError, match=r"extra.*'a', 'c'"):
        read_corpus(folder, batch_key="extra")


def test_a_file_that_vanishes_ends_a_training_with_its_name(folder, monkeypatch):
    from scvcell.model import _fit

    kept = _fit.run

    def run(*args, **options):
        (folder / "a.h5ad").unlink()
        return kept(*args, **options)

    monkeypatch.setattr(_fit, "run", run)
    with pytest.raises(FileNotFoundError, match=r"a\.h5ad' is gone"):
        scvcell.tl.fit(folder, batch_key="file", max_epochs=1)

"""Many files are one container: the same answers as from one table in memory, and errors that name the file."""

import shutil
import warnings

import anndata
import mudata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import scvcell
from scvcell._containers import find
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


def test_a_file_that_vanishes_within_an_epoch_leaves_a_checkpoint_to_go_on_from(tmp_path, monkeypatch):
    from scvcell.model import _loader
    from scvcell.model._optimise import TrainingPlan

    monkeypatch.setattr(_loader, "CELLS_PER_BUFFER", 512)
    for seed, name in enumerate("ab"):
        one = table("b", 800, seed)
        one.obs_names = [f"{name}{i}" for i in range(one.n_obs)]
        one.write_h5ad(tmp_path / f"{name}.h5ad")
    given = {"batch_key": "file", "seed": 1}
    config = {"max_epochs": 2, "progress": False, "accelerator": "cpu"}
    files = [tmp_path / "a.h5ad", tmp_path / "b.h5ad"]
    whole = scvcell.tl.fit(files, train=scvcell.TrainConfig(**config), **given)
    step, aside, kept = [], tmp_path / "b.gone", TrainingPlan.training_step

    def training_step(plan, *args):
        step.append(1)
        if len(step) == 2:
            files[1].rename(aside)
        return kept(plan, *args)

    train = scvcell.TrainConfig(**config, checkpoint=tmp_path / "kept", minutes=0)
    with monkeypatch.context() as patch:
        patch.setattr(TrainingPlan, "training_step", training_step)
        with pytest.raises(FileNotFoundError, match=r"b\.h5ad' is gone"):
            scvcell.tl.fit(files, train=train, **given)
    assert [path.name for path in (tmp_path / "kept").glob("*.step.pt")] == ["round-0.step.pt"]
    aside.rename(files[1])
    again = scvcell.tl.fit(files, train=train, **given)
    for one, two in zip(whole.module.parameters(), again.module.parameters(), strict=True):
        np.testing.assert_array_equal(one.detach().numpy(), two.detach().numpy())


def test_a_modality_that_is_something_else_in_another_file_is_refused_by_name(tmp_path):
    for name, prefix in (("a", "chr1-"), ("b", "gene")):
        rna, atac = table(name), table(name)
        atac.var_names = [f"{prefix}{i}" for i in range(atac.n_vars)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            mudata.MuData({"rna": rna, "atac": atac}).write_h5mu(tmp_path / f"{name}.h5mu")
    with pytest.raises(ValueError, match=r"b\.h5mu' shares no feature.*gene0.*chr1-0"):
        scvcell.tl.fit(tmp_path, batch_key="file")


def collection(path, n=12):
    """Tables side by side in one zarr folder, as annbatch has them: cells of all files shuffled."""
    zarr = pytest.importorskip("zarr")
    whole = anndata.concat(
        [table("a", 60, seed) for seed in range(4)], keys=list("wxyz"), index_unique="-", label="plate"
    )
    whole = whole[np.random.default_rng(0).permutation(whole.n_obs)].copy()
    group = zarr.open_group(path, mode="w")
    group.attrs.update({"encoding-type": "annbatch-preshuffled", "encoding-version": "0.1.0"})
    for number, rows in enumerate(np.array_split(np.arange(whole.n_obs), n)):
        anndata.io.write_elem(group, f"dataset_{number}", whole[rows].copy())
    return whole


def test_a_shuffled_collection_is_a_corpus_of_its_parts(tmp_path):
    whole = collection(tmp_path / "all.zarr")
    corpus = read_corpus({"mine": tmp_path / "all.zarr"})
    assert list(corpus.obs_names) == list(whole.obs_names)
    assert list(corpus.obs["file"].unique()[1:3]) == ["mine:dataset_1", "mine:dataset_2"]  # and not 10
    np.testing.assert_array_equal(corpus.X.compute().toarray(), whole.X.toarray())
    assert list(find(tmp_path / "*.zarr").values()) == list(find(tmp_path).values())
    assert len(read_corpus(tmp_path / "all.zarr" / "dataset_3")) == 20
    model = scvcell.tl.fit(tmp_path / "all.zarr", batch_key="plate", max_epochs=1)
    scvcell.tl.embed(tmp_path / "all.zarr", model, out=tmp_path / "states.zarr")
    scvcell.tl.embed(whole, model)
    np.testing.assert_allclose(
        anndata.read_zarr(tmp_path / "states.zarr").obsm["X_csl"], whole.obsm["X_csl"], atol=1e-5
    )


def test_a_part_of_a_collection_that_vanishes_is_named(tmp_path):
    collection(tmp_path / "all.zarr", 3)
    corpus = read_corpus(tmp_path / "all.zarr")
    shutil.rmtree(tmp_path / "all.zarr" / "dataset_1")
    with pytest.raises(FileNotFoundError, match="dataset_1' is gone"):
        corpus.X.compute()

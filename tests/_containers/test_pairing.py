"""Cells of several modalities are matched as their file says, without names; a file that says it wrongly, by names."""

import warnings

import anndata
import h5py
import mudata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from scvcell._containers import MuCorpus, open_corpus, view
from scvcell.pp import split

pytest.importorskip("dask")


def mosaic(name, seed):
    rng = np.random.default_rng(seed)
    whole = [f"{name}{i}" for i in range(30)]
    parts = {"rna": whole[:25], "adt": list(rng.permutation(whole[8:]))}
    tables = {
        m: anndata.AnnData(
            sp.csr_matrix(rng.poisson(2, (len(cells), 6)).astype(np.float32)),
            pd.DataFrame(index=cells),
            pd.DataFrame(index=[f"{m}{i}" for i in range(6)]),
        )
        for m, cells in parts.items()
    }
    out = mudata.MuData(tables)
    out.obs["site"] = pd.Categorical([f"{name}{int(cell[1:]) % 2}" for cell in out.obs_names])
    return out


@pytest.fixture
def folder(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mosaic("a", 0).write_h5mu(tmp_path / "a.h5mu")
        mosaic("b", 1).write_zarr(tmp_path / "b.zarr")
    return tmp_path


def check(seen):
    names = list(seen.names(np.arange(seen.n_obs)))
    assert sorted(names) == sorted(f"{name}{i}" for name in "ab" for i in range(30))
    site = dict(zip(names, seen.column("site"), strict=True))
    for seed, name in enumerate("ab"):
        truth = mosaic(name, seed)
        for cell in truth.obs_names:
            at = names.index(cell)
            assert site[cell] == truth.obs.loc[cell, "site"]
            for m in ("rna", "adt"):
                row = seen.rows[m][at]
                assert (row >= 0) == (cell in truth[m].obs_names)
                if row >= 0:
                    own = truth[m].X[truth[m].obs_names.get_loc(cell)].toarray()
                    np.testing.assert_array_equal(seen.matrix(m).dense(np.array([row])), own)


def test_cells_are_matched_without_names(folder):
    corpus = open_corpus(folder, batch_key="site")
    assert isinstance(corpus, MuCorpus)
    assert isinstance(corpus.obs_names, pd.RangeIndex)
    check(view(corpus))


@pytest.mark.parametrize("wrong", ["lacking", "swapped"])
def test_a_file_that_does_not_say_it_is_matched_by_names(folder, wrong):
    with h5py.File(folder / "a.h5mu", "r+") as file:
        if wrong == "lacking":
            del file["obsmap"]
        else:
            rows = file["obsmap"]["rna"][:]
            rows[:2] = rows[:2][::-1]
            file["obsmap"]["rna"][:] = rows
    corpus = open_corpus(folder, batch_key="file")
    assert not isinstance(corpus, MuCorpus)
    assert len(set(corpus.obs_names)) == 60


def test_a_split_finds_cells_whose_names_are_in_files(folder):
    seen = view(open_corpus(folder, batch_key="site"))
    names = pd.Index(["b3", "nobody", "a29", "b3"])
    at = seen.find(names)
    assert at[1] == -1
    assert list(seen.names(at[[0, 2, 3]])) == ["b3", "a29", "b3"]
    named = mudata.MuData({m: anndata.concat([mosaic(n, i)[m] for i, n in enumerate("ab")]) for m in ("rna", "adt")})
    made = split(named, "cell", test=0.2)
    made.check(seen)
    assert set(seen.names(np.flatnonzero(seen.among(made.test)))) == set(made.test)

"""Names of a corpus stay in its files, and are those of the files when they are asked for."""

import pickle

import anndata
import numpy as np
import pandas as pd
import pytest

from scvcell._containers import _corpus, view
from scvcell._containers._corpus import Corpus, StoredNames

pytest.importorskip("zarr")
OWN = [[f"a{i}" for i in range(7)], [f"b{i}" for i in range(4)], [f"c{i}" for i in range(5)]]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("names")
    out = []
    for number, names in enumerate(OWN):
        data = anndata.AnnData(obs=pd.DataFrame(index=names))
        path = folder / f"{number}.{'zarr' if number == 1 else 'h5ad'}"
        data.write_zarr(path) if number == 1 else data.write_h5ad(path)
        out.append((path, "obs", len(names)))
    return out


@pytest.mark.parametrize("prefixes", [None, ["x:", "y:", "z:"]])
def test_names_are_those_of_the_files(files, monkeypatch, prefixes):
    monkeypatch.setattr(_corpus, "NAMES_PER_BLOCK", 3)
    truth = [p + name for p, names in zip(prefixes or [""] * 3, OWN, strict=True) for name in names]
    names = StoredNames(files, prefixes)
    assert len(names) == 16
    assert list(names) == truth == names[:].tolist()
    assert (names[8], names[-1]) == (truth[8], truth[-1])
    at = np.array([12, 0, 9, 3])
    some = names.subset(at)
    assert list(some) == [truth[i] for i in at] == some[:].tolist()
    assert some[1] == truth[0]
    assert list(some.subset(np.array([2, 0]))) == [truth[9], truth[12]]
    assert len(np.unique(names.hashes())) == 16
    assert list(pickle.loads(pickle.dumps(some))) == list(some)


def test_cells_are_found_by_name_and_by_number(files, monkeypatch):
    monkeypatch.setattr(_corpus, "NAMES_PER_BLOCK", 3)
    names = StoredNames(files)
    assert np.flatnonzero(names.mask(["b1", "c4", "nobody"])).tolist() == [8, 15]
    assert np.flatnonzero(names.mask(names.subset(np.array([9, 2])))).tolist() == [2, 9]
    assert np.flatnonzero(names.subset(np.array([9, 5, 2])).mask(names.subset(np.array([2, 9])))).tolist() == [0, 2]
    assert names.mask(names).all()
    assert not names.mask([]).any()
    assert pd.Index(["b1", "x"]).isin(names).tolist() == [True, False]


def test_a_view_of_a_corpus_knows_names_that_obs_does_not_hold(files):
    obs = pd.DataFrame({"kind": pd.Categorical(["k"] * 16)})
    for layer in (None, "counts"):
        corpus = Corpus(np.ones((16, 2), np.float32), layer, obs.copy(), pd.Index(["g", "h"]), StoredNames(files))
        seen = view(corpus)
        assert isinstance(corpus.obs_names, pd.RangeIndex)
        assert list(seen.names(np.array([7, 0]))) == ["b0", "a0"]
        part = seen.subset(np.array([8, 0, 15]))
        assert part.among(["c4", "b0"]).tolist() == [False, False, True]
        assert list(seen.names_with(np.array([0]), [])) == ["a0"]
        assert list(seen.names_with(np.array([0]), ["a0", "zz"])) == ["a0", "zz"]
        assert part.matrix("rna", layer).dense(np.array([0])).tolist() == [[1, 1]]
        other = corpus.with_counts(np.zeros((16, 1), np.float32), layer, pd.Index(["i"]))
        assert (other.shape, list(view(other).names(np.array([3])))) == ((16, 1), ["a3"])

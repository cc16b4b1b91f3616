"""Rows of a matrix are the same wherever it lives."""

import numpy as np
import pytest
import scipy.sparse as sp

from scvcell._matrix import Matrix

ON_DISK = ("h5ad-csr", "h5ad-dense", "zarr-csr", "zarr-dense")


@pytest.fixture
def truth(mosaic):
    return mosaic(60)["rna"]


def index(kind, n):
    rng = np.random.default_rng(0)
    return {
        "all": np.arange(n),
        "shuffled": rng.permutation(n),
        "repeated": np.array([3, 3, 1, 0, 3, n - 1]),
        "gaps": np.array([0, 1, 2, 10, 11, n - 1]),
        "one": np.array([5]),
        "none": np.array([], dtype=np.int64),
    }[kind]


def test_rows_in_any_order(truth, stored, form):
    matrix = Matrix(stored(truth, form).X)
    assert matrix.shape == truth.shape
    for kind in ("all", "shuffled", "repeated", "gaps", "one", "none"):
        at = index(kind, truth.n_obs)
        expected = truth.X.toarray()[at]
        block = matrix.rows(at)
        assert block.dtype == np.float32
        if sp.issparse(block):
            assert block.format == "csr"
            block = block.toarray()
        np.testing.assert_array_equal(block, expected, err_msg=kind)
        np.testing.assert_array_equal(matrix.dense(at), expected, err_msg=kind)


def test_chunks_cover_the_rows_once(truth, stored, form):
    matrix = Matrix(stored(truth, form).X)
    at = index("shuffled", truth.n_obs)
    chunks = list(matrix.chunks(at, size=7))
    assert [c.shape[0] for c in chunks] == [7] * (truth.n_obs // 7) + [truth.n_obs % 7][: truth.n_obs % 7]
    got = np.concatenate([c.toarray() if sp.issparse(c) else c for c in chunks])
    np.testing.assert_array_equal(got, truth.X.toarray()[at])


def test_on_disk_is_known_and_rows_in_memory_are_not_copied_whole(truth, stored, form):
    x = stored(truth, form).X
    matrix = Matrix(x)
    assert matrix.on_disk == (form.replace(" ", "-") in ON_DISK)
    if isinstance(x, np.ndarray) or (sp.issparse(x) and x.format == "csr"):
        assert matrix._x is x


def test_only_the_wanted_rows_are_read_from_disk(truth, stored, monkeypatch):
    x = stored(truth, "h5ad dense").X
    matrix = Matrix(x)
    read = []
    original = type(x).__getitem__
    monkeypatch.setattr(
        type(x), "__getitem__", lambda self, key, *a, **k: (read.append(key), original(self, key, *a, **k))[1]
    )
    matrix.rows(np.array([30, 2, 3]))
    assert [(k.start, k.stop) for k in read] == [(2, 4), (30, 31)]


def test_views_of_an_anndata(truth):
    view = truth[::3, ::2]
    np.testing.assert_array_equal(Matrix(view.X).dense(np.arange(view.n_obs)), truth.X.toarray()[::3, ::2])

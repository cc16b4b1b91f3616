"""Rows of a matrix are the same wherever it lives."""

import numpy as np
import pytest
import scipy.sparse as sp

from scvcell._containers._matrix import Matrix

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


def test_blocks_end_where_stored_chunks_end():
    da = pytest.importorskip("dask.array")

    def starts(chunks, size=512):
        return Matrix(da.zeros((sum(chunks), 3), chunks=(chunks, 3))).blocks(size).tolist()

    assert starts((4096, 4096, 100)) == [*range(0, 4096 * 2, 512), 8192]
    assert starts((400, 400, 400, 50)) == [0, 800]
    assert starts((1100, 700)) == [0, 512, 1100]
    assert Matrix(np.zeros((1100, 2))).blocks(512).tolist() == [0, 512, 1024]


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
    assert [(k.start, k.stop) for k in read] == [(2, 31)]
    monkeypatch.setattr("scvcell._containers._stack.MAX_GAP_ROWS", 5)
    read.clear()
    matrix.rows(np.array([30, 2, 3]))
    assert [(k.start, k.stop) for k in read] == [(2, 4), (30, 31)]


def test_views_of_an_anndata(truth):
    view = truth[::3, ::2]
    np.testing.assert_array_equal(Matrix(view.X).dense(np.arange(view.n_obs)), truth.X.toarray()[::3, ::2])


def in_parts(x, kind, dtype, seed=0):
    """The same counts as a compressed matrix in which each is the sum of up to three entries, in any order."""
    rng = np.random.default_rng(seed)
    whole = x.tocoo()
    data, row, col = whole.data, whole.row, whole.col
    for _ in range(2):
        part = np.floor(data * rng.random(len(data)))
        data, row, col = np.append(data - part, part), np.append(row, row), np.append(col, col)
    row, col = (row, col) if "csr" in kind else (col, row)
    order = np.lexsort((rng.random(len(row)), row))
    shape = x.shape if "csr" in kind else x.shape[::-1]
    indptr = np.searchsorted(row[order], np.arange(shape[0] + 1))
    return getattr(sp, kind)(
        (data[order].astype(dtype), col[order].astype(np.int32), indptr.astype(np.int32)), shape=x.shape
    )


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.uint8])
@pytest.mark.parametrize("kind", ["csr_matrix", "csr_array", "csc_matrix", "csc_array"])
def test_entries_of_one_value_are_summed_in_what_is_read(truth, kind, dtype):
    x = in_parts(truth.X, kind, dtype)
    before = [part.copy() for part in (x.data, x.indices, x.indptr)]
    assert x.nnz > truth.X.nnz
    for at in (index(kind, truth.n_obs) for kind in ("all", "shuffled", "repeated", "none")):
        block = Matrix(x).rows(at)
        assert block.has_canonical_format
        assert block.dtype == np.float32
        expected = truth.X[at]
        np.testing.assert_array_equal(block.toarray(), expected.toarray())
        np.testing.assert_array_equal(block.log1p().toarray(), expected.log1p().toarray())
    for part, old in zip((x.data, x.indices, x.indptr), before, strict=True):
        np.testing.assert_array_equal(part, old, err_msg="the user's matrix does not change")


class Lazy:
    """What is read of dask's arrays: a shape, an index, and values once they are computed; each of which is counted."""

    dask = None

    def __init__(self, x, read):
        self.x, self.read, self.shape, self._meta = x, read, x.shape, x[:0]

    def __getitem__(self, at):
        return Lazy(self.x[at], self.read)

    def compute(self):
        self.read.append(self.shape[0])
        return self.x


@pytest.mark.parametrize("kind", ["csr_matrix", "csr_array", "csc_matrix", "dense"])
def test_lazy_arrays_are_read_by_the_rows_that_are_asked_for(truth, kind):
    x, read = truth.X.toarray() if kind == "dense" else getattr(sp, kind)(truth.X), []
    matrix = Matrix(Lazy(x, read))
    for kind in ("shuffled", "repeated", "none"):
        at = index(kind, truth.n_obs)
        np.testing.assert_array_equal(matrix.dense(at), truth.X[at].toarray())
    if matrix.on_disk:
        assert read == [truth.n_obs, 4, 0], "each read takes the rows it needs, once"


@pytest.mark.parametrize("kind", ["csr_matrix", "csc_matrix", "dense"])
def test_dask_arrays(truth, kind):
    dask = pytest.importorskip("dask.array")
    x = truth.X.toarray() if kind == "dense" else getattr(sp, kind)(truth.X)
    chunks = (7, truth.n_vars) if kind != "csc_matrix" else (truth.n_obs, 11)
    matrix = Matrix(dask.from_array(x, chunks=chunks, asarray=False))
    for kind in ("all", "shuffled", "repeated", "gaps", "none"):
        at = index(kind, truth.n_obs)
        np.testing.assert_array_equal(matrix.dense(at), truth.X[at].toarray())
        assert matrix.rows(at).dtype == np.float32


@pytest.mark.parametrize(("gap", "span"), [(0, 5), (3, 8), (256, 16_384)])
def test_reads_bridge_gaps_and_are_bounded(truth, stored, form, gap, span, monkeypatch):
    monkeypatch.setattr("scvcell._containers._stack.MAX_GAP_ROWS", max(gap, 1))
    monkeypatch.setattr("scvcell._containers._stack.MAX_READ_ROWS", span)
    matrix, dense, rng = Matrix(stored(truth, form).X), truth.X.toarray(), np.random.default_rng(0)
    for n in (1, 7, 40, truth.n_obs):
        at = rng.choice(truth.n_obs, n, replace=False)
        np.testing.assert_array_equal(matrix.dense(at), dense[at])


def test_few_reads_for_many_rows(truth):
    class Counted:
        shape, reads = truth.shape, 0

        def __getitem__(self, rows):
            Counted.reads += 1
            return truth.X[rows]

    Matrix(Counted()).rows(np.arange(0, truth.n_obs, 2))
    assert Counted.reads == 1

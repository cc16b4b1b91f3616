"""Tables that are written by blocks: the same table on disk, and nothing where that failed."""

import anndata
import mudata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData

from scvcell._containers import _blocks, blocks, check_store, write_arrays, write_blocks

N = 300
X = np.random.default_rng(0).random((N, 5)).astype(np.float32)


def whole():
    obs = pd.DataFrame(
        {"kind": pd.Categorical(["a", "b"] * (N // 2)), "n": range(N), "ok": np.arange(N) % 3 == 0},
        index=[f"c{i}" for i in range(N)],
    )
    var = pd.DataFrame({"w": range(5)}, index=list("abcde"))
    layers, obsm = {"lower": -X}, {"X_csl": X[:, :2].astype(np.float64)}
    return AnnData(X, obs=obs, var=var, uns={"first": 1}, layers=layers, obsm=obsm)


def about():
    return AnnData(var=whole().var, uns={"q": {"level": 0.9, "of": ["x"]}})


def parts(cuts):
    for cells in cuts:
        part = whole()[cells].copy()
        part.obs = whole().obs.iloc[cells]  # a copy of a view loses categories that it does not have
        yield part


@pytest.mark.parametrize("width", [1, 50, 2000, 100_000, 5_000_000])
def test_blocks_are_all_rows_in_their_order_and_small(width):
    cuts = blocks(20_000, width)
    np.testing.assert_array_equal(np.concatenate(cuts), np.arange(20_000))
    size = len(cuts[0])
    assert size * width <= _blocks.MAX_BLOCK_VALUES or size == _blocks.MIN_BLOCK_ROWS
    assert {len(cells) for cells in cuts[:-1]} == {size}
    assert blocks(0, width) == []


@pytest.mark.parametrize("size", [1, 64, 299, 300])
def test_the_table_is_the_same_on_disk(tmp_path, size):
    cuts = np.split(np.arange(N), range(size, N, size)) if size > 1 else np.split(np.arange(N), [1, 2, 4])
    table = write_blocks(check_store(tmp_path / "a.zarr"), parts(cuts), about)
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]
    for read in (anndata.read_zarr(tmp_path / "a.zarr"), table.to_memory()):
        np.testing.assert_array_equal(read.X, X)
        np.testing.assert_array_equal(read.layers["lower"], -X)
        np.testing.assert_array_equal(read.obsm["X_csl"], X[:, :2])
        assert read.obsm["X_csl"].dtype == np.float64
        pd.testing.assert_frame_equal(read.obs, whole().obs, check_index_type=False, check_categorical=False)
        assert list(read.var_names) == list("abcde")
        assert read.uns["q"]["level"] == 0.9
        assert read.uns["first"] == 1
    assert not isinstance(table.X, np.ndarray), "it stays on disk"
    some = table[table.obs["n"] % 7 == 3, ["d", "a"]].to_memory()
    np.testing.assert_array_equal(some.X, X[3::7][:, [3, 0]])


def test_a_table_without_features(tmp_path):
    states = AnnData(obs=whole().obs[["n"]], obsm={"X_csl": X})
    write_blocks(tmp_path / "z.zarr", (states[i : i + 70].copy() for i in range(0, N, 70)))
    found = anndata.read_zarr(tmp_path / "z.zarr")
    np.testing.assert_array_equal(found.obsm["X_csl"], X)
    assert found.shape == (N, 0)


@pytest.mark.parametrize("fails", ["a block", "about", "nothing"])
def test_what_fails_leaves_nothing(tmp_path, fails):
    def given():
        yield from parts(np.split(np.arange(N), [64])[: 0 if fails == "nothing" else 2])
        if fails == "a block":
            raise KeyboardInterrupt

    def wrong():
        raise ValueError("about")

    with pytest.raises((KeyboardInterrupt, ValueError), match=r"about|no table|^$"):
        write_blocks(tmp_path / "a.zarr", given(), wrong if fails == "about" else about)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a", "a.h5ad", "a.zarr.zip", 3])
def test_what_is_no_store_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match=r"out= takes the folder of a zarr store, such as 'answers.zarr'"):
        check_store(tmp_path / name if isinstance(name, str) else name)


def test_what_is_there_stays(tmp_path):
    (tmp_path / "a.zarr").mkdir()
    with pytest.raises(FileExistsError, match=r"a\.zarr exists already"):
        check_store(str(tmp_path / "a.zarr"))


def test_others_than_the_first_process_write_nothing_and_wait_for_it(tmp_path, monkeypatch):
    path = tmp_path / "a.zarr"
    first = write_blocks(path, parts(np.split(np.arange(N), [64])), about)
    monkeypatch.setattr(_blocks, "rank", lambda: 1)
    checked, before = check_store(path), path.stat().st_mtime_ns
    found = write_blocks(checked, iter(()), about)
    np.testing.assert_array_equal(found.to_memory().X, first.to_memory().X)
    assert path.stat().st_mtime_ns == before
    monkeypatch.setattr(_blocks, "MAX_SECONDS", 0.0)
    with pytest.raises(TimeoutError, match="has written no"):
        write_blocks(tmp_path / "b.zarr", iter(()), about)


def rows_of(where, table, size):
    for start in range(0, N, size):
        yield f"{where}X", table.X[start : start + size]
    for start in range(0, N, size):
        yield f"{where}layers/lower", table.layers["lower"][start : start + size]


def without_arrays(table):
    light = AnnData(obs=table.obs, var=table.var, uns=table.uns)
    light.obsm.update(table.obsm)
    return light


@pytest.mark.parametrize("size", [77, N])
@pytest.mark.parametrize("several", [False, True])
def test_arrays_of_a_table_are_those_of_the_table(tmp_path, size, several):
    one, two = whole(), whole()
    one.X = sp.csr_matrix(np.floor(3 * X))
    table = MuData({"a": one, "b": two}) if several else one
    light = MuData({"a": without_arrays(one), "b": without_arrays(two)}) if several else without_arrays(one)
    if several:
        light.obsm["z"] = table.obsm["z"] = X[:, :1]
        parts = [*rows_of("mod/a/", one, size), *rows_of("mod/b/", two, size)]
    found = write_arrays(tmp_path / "a.zarr", light, parts if several else rows_of("", one, size))
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]
    read = (mudata if several else anndata).read_zarr(tmp_path / "a.zarr")
    for got in (read, found):
        for name, true in {"a": one, "b": two}.items() if several else {"": one}.items():
            own = (got[name] if several else got).to_memory()
            assert type(own.X) is type(true.X)
            np.testing.assert_array_equal(sp.csr_matrix(own.X).toarray(), sp.csr_matrix(true.X).toarray())
            np.testing.assert_array_equal(own.layers["lower"], true.layers["lower"])
            np.testing.assert_array_equal(own.obsm["X_csl"], true.obsm["X_csl"])
            assert own.obs["kind"].tolist() == true.obs["kind"].tolist()
        if several:
            np.testing.assert_array_equal(got.obsm["z"], table.obsm["z"])
    assert not isinstance((found["b"] if several else found).layers["lower"], np.ndarray), "it stays on disk"


def test_arrays_that_fail_leave_nothing(tmp_path):
    def broken():
        yield "X", X[:5]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_arrays(tmp_path / "a.zarr", without_arrays(whole()), broken())
    assert list(tmp_path.iterdir()) == []

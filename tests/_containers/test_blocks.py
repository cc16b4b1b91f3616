"""Tables that are written by blocks: the same table on disk, and nothing where that failed."""

import anndata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from scvcell._containers import _blocks, blocks, check_store, write_blocks

N = 300
X = np.random.default_rng(0).random((N, 5)).astype(np.float32)


def about():
    obs = pd.DataFrame(
        {"kind": pd.Categorical(["a", "b"] * (N // 2)), "n": range(N)}, index=[f"c{i}" for i in range(N)]
    )
    return AnnData(
        obs=obs, var=pd.DataFrame({"w": range(5)}, index=list("abcde")), uns={"q": {"level": 0.9, "of": ["x"]}}
    )


def parts(cuts):
    for cells in cuts:
        yield {"X": X[cells], "layers/lower": -X[cells], "obsm/X_csl": X[cells, :2].astype(np.float64)}


@pytest.mark.parametrize("width", [1, 50, 2000, 100_000, 5_000_000])
def test_blocks_are_all_rows_in_their_order_and_small(width):
    cuts = blocks(20_000, width)
    np.testing.assert_array_equal(np.concatenate(cuts), np.arange(20_000))
    size = len(cuts[0])
    assert size * width <= _blocks.MAX_BLOCK_VALUES or size == _blocks.MIN_BLOCK_ROWS
    assert {len(cells) for cells in cuts[:-1]} == {size}
    assert blocks(0, width) == []


def test_the_table_is_the_same_on_disk(tmp_path):
    cuts = np.split(np.arange(N), [64, 128, 250])
    table = write_blocks(check_store(tmp_path / "a.zarr"), N, parts(cuts), about)
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]
    for read in (anndata.read_zarr(tmp_path / "a.zarr"), table.to_memory()):
        np.testing.assert_array_equal(read.X, X)
        np.testing.assert_array_equal(read.layers["lower"], -X)
        np.testing.assert_array_equal(read.obsm["X_csl"], X[:, :2])
        assert read.obsm["X_csl"].dtype == np.float64
        pd.testing.assert_frame_equal(read.obs, about().obs, check_index_type=False, check_categorical=False)
        assert list(read.var_names) == list("abcde")
        assert read.uns["q"]["level"] == 0.9
    assert not isinstance(table.X, np.ndarray), "it stays on disk"
    some = table[table.obs["n"] % 7 == 3, ["d", "a"]].to_memory()
    np.testing.assert_array_equal(some.X, X[3::7][:, [3, 0]])


@pytest.mark.parametrize("fails", ["a block", "about", "too few rows"])
def test_what_fails_leaves_nothing(tmp_path, fails):
    def given():
        yield from parts(np.split(np.arange(N), [64])[: 1 if fails == "too few rows" else 2])
        if fails == "a block":
            raise KeyboardInterrupt

    def wrong():
        raise ValueError("about")

    with pytest.raises((KeyboardInterrupt, ValueError, RuntimeError), match=r"about|64 of 300 rows|^$"):
        write_blocks(tmp_path / "a.zarr", N, given(), wrong if fails == "about" else about)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a", "a.h5ad", "a.zarr.zip", 3])
def test_what_is_no_store_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match=r"out= takes the folder of a zarr store, such as 'answers.zarr'"):
        check_store(tmp_path / name if isinstance(name, str) else name)


def test_what_is_there_stays(tmp_path):
    (tmp_path / "a.zarr").mkdir()
    with pytest.raises(FileExistsError, match=r"a\.zarr exists already"):
        check_store(str(tmp_path / "a.zarr"))

"""A table written by blocks is the table."""

import anndata
import numpy as np
import pandas as pd
import pytest

from scvcell._containers import _by_blocks
from scvcell._containers._by_blocks import check_out, cut, open_table, write_blocks

pytest.importorskip("zarr")


def table(n=23):
    rng = np.random.default_rng(0)
    obs = pd.DataFrame({"value": rng.random(n), "n": np.arange(n)}, index=[f"cell{i}" for i in range(n)])
    return anndata.AnnData(obs=obs, obsm={"X_csl": rng.random((n, 3), dtype=np.float32)})


@pytest.mark.parametrize("size", [1, 7, 23, 40])
def test_blocks_make_the_whole(tmp_path, size):
    whole = table()
    write_blocks(tmp_path / "z.zarr", (whole[i : i + size].copy() for i in range(0, whole.n_obs, size)))
    found = anndata.read_zarr(tmp_path / "z.zarr")
    pd.testing.assert_frame_equal(found.obs, whole.obs)
    np.testing.assert_array_equal(found.obsm["X_csl"], whole.obsm["X_csl"])
    assert found.shape == (23, 0)


@pytest.mark.parametrize("size", [1, 7, 23])
def test_values_layers_and_categories_too(tmp_path, size):
    whole, rng = table(), np.random.default_rng(1)
    whole = anndata.AnnData(rng.random((23, 4), dtype=np.float32), obs=whole.obs, obsm=dict(whole.obsm))
    whole.layers["lower"] = -whole.X
    whole.layers["lower"][3] = np.nan
    whole.obs["trusted"] = whole.obs["value"] > 0.5
    whole.obs["split"] = pd.Categorical(["train", "test", "train"] * 7 + ["test"] * 2, ["train", "held", "test"])

    def about():
        return anndata.AnnData(var=pd.DataFrame({"w": [1.0, 2, 3, 4]}, list("abcd")), uns={"q": {"level": 0.9}})

    rows = [np.arange(i, min(i + size, 23)) for i in range(0, 23, size)]
    parts = [
        anndata.AnnData(
            whole.X[r], obs=whole.obs.iloc[r], obsm={"X_csl": whole.obsm["X_csl"][r]}, layers={"lower": -whole.X[r]}
        )
        for r in rows
    ]
    for part, r in zip(parts, rows, strict=True):
        part.layers["lower"] = whole.layers["lower"][r]
    write_blocks(tmp_path / "z.zarr", parts, about)
    opened = open_table(tmp_path / "z.zarr")
    assert not isinstance(opened.X, np.ndarray), "it stays on disk"
    assert not isinstance(opened.layers["lower"], np.ndarray)
    for found in (opened.to_memory(), anndata.read_zarr(tmp_path / "z.zarr")):
        np.testing.assert_array_equal(found.X, whole.X)
        np.testing.assert_array_equal(found.layers["lower"], whole.layers["lower"])
        np.testing.assert_array_equal(found.obsm["X_csl"], whole.obsm["X_csl"])
        pd.testing.assert_frame_equal(found.obs, whole.obs, check_categorical=False)
        assert found.obs["trusted"].dtype == bool
        pd.testing.assert_frame_equal(found.var, about().var)
        assert found.uns["q"]["level"] == 0.9
    some = opened[whole.obs["trusted"].to_numpy(), ["d", "a"]].to_memory()
    np.testing.assert_array_equal(some.X, whole.X[whole.obs["trusted"]][:, [3, 0]])


@pytest.mark.parametrize("width", [0, 1, 2000, 100_000, 5_000_000])
def test_blocks_are_all_cells_in_their_order_and_small(width):
    cuts = cut(20_000, width)
    np.testing.assert_array_equal(np.concatenate(cuts), np.arange(20_000))
    size = len(cuts[0])
    assert size * width <= _by_blocks.MAX_BLOCK_VALUES or size == _by_blocks.MIN_BLOCK_CELLS
    assert {len(cells) for cells in cuts[:-1]} == {size}
    assert [len(cells) for cells in cut(0, width)] == [0]


def test_what_fails_leaves_nothing(tmp_path):
    whole = table()

    def failing():
        yield whole[:5].copy()
        raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        write_blocks(tmp_path / "z.zarr", failing())
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_there_or_no_zarr_is_refused(tmp_path):
    (tmp_path / "z.zarr").mkdir()
    with pytest.raises(FileExistsError, match=r"z\.zarr"):
        check_out(tmp_path / "z.zarr")
    with pytest.raises(ValueError, match=r"states\.zarr"):
        check_out(tmp_path / "states.csv")
    assert check_out(str(tmp_path / "new.zarr")) == tmp_path / "new.zarr"

"""A table written by blocks is the table."""

import anndata
import numpy as np
import pandas as pd
import pytest

from scvcell._containers._by_blocks import check_out, write_blocks

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

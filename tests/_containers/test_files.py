"""Paths are told from data, and a file says what it holds."""

import warnings
from pathlib import Path

import anndata
import mudata
import numpy as np
import pandas as pd
import pytest

from scvcell._containers._files import find, is_paths, open_parts

pytest.importorskip("zarr")


def table(n=6, offset=0, **obs):
    x = np.arange(n * 3, dtype=np.int32).reshape(n, 3) + offset
    index = [f"c{i}" for i in range(n)]
    return anndata.AnnData(x, pd.DataFrame(obs, index=index), pd.DataFrame(index=list("xyz")), layers={"counts": x + 1})


def test_what_is_a_path():
    assert all(map(is_paths, ("a.h5ad", Path("a"), ["a", Path("b")], ("a",), {"one": "a.h5ad"})))
    assert not any(map(is_paths, ([], None, table(), {"rna": table()}, [table()], {})))


def test_files_of_folders_and_patterns_in_order(tmp_path):
    for name in ("b.h5ad", "a.h5ad", "notes.txt"):
        (tmp_path / name).write_text("")
    (tmp_path / "c.zarr").mkdir()
    assert list(find(tmp_path)) == ["a", "b", "c"]
    assert list(find(str(tmp_path / "*.h5ad"))) == ["a", "b"]
    assert list(find([tmp_path / "b.h5ad", tmp_path / "a.h5ad"])) == ["b", "a"]
    assert find({"mine": tmp_path / "b.h5ad"}) == {"mine": tmp_path / "b.h5ad"}
    with pytest.raises(ValueError, match=r"notes\.txt.*\.h5ad"):
        find(tmp_path / "notes.txt")
    with pytest.raises(FileNotFoundError, match="names no file"):
        find(tmp_path / "*.h5mu")


def test_a_part_has_the_columns_that_are_kept_and_its_names_where_they_are_wanted(tmp_path):
    table(kind="k", other=1).write_h5ad(tmp_path / "a.h5ad")
    part = open_parts(tmp_path / "a.h5ad", None, {"kind", "absent"})["rna"]
    assert list(part.obs) == ["kind"]
    assert part.obs["kind"].dtype == "category"
    assert list(part.obs.index) == [f"c{i}" for i in range(6)]
    assert part.columns == ["kind", "other"]
    lean = open_parts(tmp_path / "a.h5ad", "counts", set(), named=False)["rna"]
    assert isinstance(lean.obs.index, pd.RangeIndex)
    assert (lean.layer, list(lean.names[:2]), list(lean.var_names)) == ("counts", ["c0", "c1"], list("xyz"))


def test_one_layer_is_that_of_the_modalities_that_have_it(tmp_path):
    rna, adt = table(), table(offset=5)
    del adt.layers["counts"]
    adt.var_names = list("pqr")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mudata.MuData({"rna": rna, "adt": adt}).write_h5mu(tmp_path / "a.h5mu")
    for layers in ("counts", {"rna": "counts"}):
        parts = open_parts(tmp_path / "a.h5mu", layers, None)
        assert {m: part.layer for m, part in parts.items()} == {"rna": "counts", "adt": None}
    with pytest.raises(ValueError, match="has no layer 'twice'"):
        open_parts(tmp_path / "a.h5mu", "twice", None)


def test_a_spatialdata_is_no_file_of_a_corpus(tmp_path):
    (tmp_path / "s.zarr" / "tables").mkdir(parents=True)
    for folder in (tmp_path / "s.zarr", tmp_path / "s.zarr" / "tables"):
        (folder / "zarr.json").write_text('{"attributes": {}, "zarr_format": 3, "node_type": "group"}')
    with pytest.raises(ValueError, match=r"SpatialData.*spatialdata\.read_zarr"):
        open_parts(tmp_path / "s.zarr", None, None)

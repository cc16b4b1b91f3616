"""What is given on the command line is told apart before it is read."""

import pytest

from scvcell._cli_input import by_name, is_corpus, tables_of


def test_tables_by_modality():
    assert tables_of([]) is None
    assert tables_of(["a"]) == "a"
    assert tables_of(["a", "b"]) == ["a", "b"]
    assert tables_of(["rna=a", "adt=b"]) == {"rna": "a", "adt": "b"}
    with pytest.raises(ValueError, match="not both"):
        tables_of(["rna=a", "b"])


def test_what_is_a_corpus(tmp_path):
    (tmp_path / "s.zarr" / "tables").mkdir(parents=True)
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a[1].h5ad").write_text("")
    names = {name: str(tmp_path / name) for name in ("s.zarr", "a.zarr", "a[1].h5ad", "*.h5ad", "none.h5ad")}
    assert [name for name, path in names.items() if is_corpus([path])] == ["a.zarr", "*.h5ad"]
    assert is_corpus([str(tmp_path)])
    assert is_corpus([names["none.h5ad"], names["a.zarr"]])


def test_one_for_all_or_one_by_modality():
    assert by_name([], "--layers") is None
    assert by_name(["counts"], "--layers") == "counts"
    assert by_name(["rna=counts", "adt=raw"], "--layers") == {"rna": "counts", "adt": "raw"}
    with pytest.raises(ValueError, match="Give one --layers"):
        by_name(["counts", "adt=raw"], "--layers")

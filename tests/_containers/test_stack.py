"""Matrices of several files are one: rows as they are stored, columns by their place, files that vanish are named."""

import pickle
import shutil
from itertools import product

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from scvcell._containers import _stack
from scvcell._containers._matrix import Matrix
from scvcell._containers._stack import Stack, StoredRows, stack_of

pytest.importorskip("dask")
pytest.importorskip("zarr")

AT = [np.array([4, 0, 2, 1]), np.array([0, 1, 2, 3, 4]), np.array([3, 1, 0])]
ROWS = [700, 3, 520]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Three files of unlike kinds, and what they hold at the columns of the whole."""
    folder, rng, parts, whole = tmp_path_factory.mktemp("corpus"), np.random.default_rng(0), [], []
    for number, (n, at) in enumerate(zip(ROWS, AT, strict=True)):
        x = rng.poisson(1, (n, len(at)))
        x[n // 2] = 0
        held = (sp.csr_matrix(x.astype(np.int32)), x.astype(np.uint16), sp.csr_matrix(x.astype(np.float64)))[number]
        obs = pd.DataFrame(index=[f"c{i}" for i in range(n)])
        data = anndata.AnnData(held, obs, layers={"twice": held * 2})
        path = folder / f"{number}.{'zarr' if number == 2 else 'h5ad'}"
        data.write_zarr(path) if number == 2 else data.write_h5ad(path)
        parts.append(path)
        full = np.zeros((n, 5), np.float32)
        full[:, at] = x
        whole.append(full)
    return parts, np.concatenate(whole)


def stacked(paths, key="X"):
    return Stack([StoredRows(path, key) for path in paths], AT, 5)


def test_rows_of_all_files_in_any_order_at_their_columns(corpus, monkeypatch):
    paths, truth = corpus
    for gap, key in product((1, 256), ("X", "layers/twice")):
        monkeypatch.setattr(_stack, "MAX_GAP_ROWS", gap)
        factor = 1 if key == "X" else 2
        matrix = Matrix(stacked(paths, key).as_dask())
        assert matrix.on_disk
        for index in (np.arange(1223), np.random.default_rng(1).integers(1223, size=90), np.array([701]), np.array([])):
            block = matrix.rows(index.astype(np.int64))
            assert block.dtype == np.float32
            assert block.has_sorted_indices
            np.testing.assert_array_equal(block.toarray(), factor * truth[index.astype(np.int64)])


def test_a_dask_array_stands_for_it_and_parts_of_that_array_are_right_too(corpus, monkeypatch):
    monkeypatch.setattr(_stack, "ROWS_PER_CHUNK", 256)
    paths, truth = corpus
    x = stacked(paths).as_dask()
    assert x.chunks[0] == (256, 256, 188, 3, 256, 256, 8)
    assert stack_of(x).shape == x.shape == (1223, 5)
    assert Matrix(x).blocks(512).tolist() == [0, 700]
    np.testing.assert_array_equal(x.compute().toarray(), truth)
    part = x[100:900:7, [3, 0]]
    assert stack_of(part) is None
    np.testing.assert_array_equal(Matrix(part).dense(np.arange(part.shape[0])), truth[100:900:7, [3, 0]])


def test_what_is_open_does_not_travel_to_another_process_and_few_files_are_open(corpus, monkeypatch):
    monkeypatch.setattr(_stack, "MAX_OPEN_FILES", 1)
    paths, truth = corpus
    one = stacked(paths)
    np.testing.assert_array_equal(one.rows(np.arange(1223)).toarray(), truth)
    assert len(one._files) == 1
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(one)).rows(np.array([0, 701])).toarray(), truth[[0, 701]])
    monkeypatch.setattr(_stack.os, "getpid", lambda: -1)
    before = next(iter(one._files.values()))
    assert one.rows(np.array([1222])).shape == (1, 5)
    assert next(iter(one._files.values())) is not before


@pytest.mark.parametrize("chosen", [None, "of the user", "older zarr"])
def test_zarr_is_decoded_without_an_event_loop_unless_the_user_chose_how(corpus, monkeypatch, chosen):
    import zarr
    from zarr.core import codec_pipeline

    (_, _, path), truth = corpus

    class Own(codec_pipeline.BatchedCodecPipeline):
        """What a user may prefer."""

    if chosen == "older zarr":
        monkeypatch.setattr(_stack, "import_module", lambda name: object())
    zarr.registry.register_pipeline(Own)
    usual = zarr.config.get("codec_pipeline.path")
    own = {"codec_pipeline.path": f"{Own.__module__}.{Own.__qualname__}"} if chosen == "of the user" else {}
    with zarr.config.set(own):
        before = zarr.config.get("codec_pipeline.path")
        stack = Stack([StoredRows(path, "X")], [AT[2]], 5)
        np.testing.assert_array_equal(stack.rows(np.arange(520)).toarray(), truth[703:])
        assert zarr.config.get("codec_pipeline.path") == before
    ((_, arrays),) = stack._files.values()
    can = chosen is None and hasattr(codec_pipeline, "FusedCodecPipeline")
    used = {type(each._async_array.codec_pipeline).__name__ for each in arrays}
    assert used == {"FusedCodecPipeline" if can else before.rpartition(".")[2]}
    assert zarr.config.get("codec_pipeline.path") == usual


@pytest.mark.parametrize("number", [0, 2])
def test_a_file_that_vanishes_is_named_also_where_it_was_open(corpus, tmp_path, number):
    paths, _ = corpus
    own = tmp_path / paths[number].name
    shutil.copytree(paths[number], own) if own.suffix == ".zarr" else shutil.copy(paths[number], own)
    stack = Stack([StoredRows(own, "X")], [AT[number]], 5)
    assert stack.rows(np.array([3])).shape == (1, 5)
    shutil.rmtree(own) if own.suffix == ".zarr" else own.unlink()
    with pytest.raises(FileNotFoundError, match=f"{own.name}' is gone"):
        stack.rows(np.array([3]))


def test_a_file_that_was_cut_short_is_named(corpus, tmp_path):
    own = tmp_path / "own.h5ad"
    shutil.copy(corpus[0][0], own)
    stack = Stack([StoredRows(own, "X")], [AT[0]], 5)
    own.write_bytes(own.read_bytes()[:3000])
    with pytest.raises(OSError, match=r"own\.h5ad' cannot be read"):
        stack.rows(np.array([3]))

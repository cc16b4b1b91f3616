"""Rows of many files as one matrix: each file is opened when it is needed, and only what is asked for is read."""

from __future__ import annotations

import os
import threading
import uuid
from collections import OrderedDict
from contextlib import contextmanager, nullcontext
from importlib import import_module
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import numpy as np
import scipy.sparse as sp

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from scvcell._types import Rows

MAX_GAP_ROWS, MAX_READ_ROWS = 256, 16_384
"""Rows that are read though nobody asked for them, between two that were asked for, at most; and rows of one read: a
file gives thousands of neighbouring rows sooner than one row a hundred times."""
MAX_GAP_BYTES, MAX_READ_BYTES = 2**19, 2**27
"""The same in bytes, for dense rows."""
MAX_OPEN_FILES = 64
"""Files that are open at once; systems allow a thousand or so."""
ROWS_PER_OFFSET = 256
"""Rows of a sparse file whose common offset is kept; of each row it is its length."""
ROWS_PER_CHUNK = 4096
"""Rows of a chunk of the dask array that stands for a stack."""
HDF5 = (".h5ad", ".h5mu")
"""Files that are HDF5; all else is a zarr folder, or a group in one."""
PIPELINES = "zarr.core.codec_pipeline"
"""Where zarr keeps its ways to decode chunks."""
GROUPS = ("zarr.json", ".zgroup")
"""Files by which a zarr folder is known."""

_STACKS: WeakValueDictionary[str, Stack] = WeakValueDictionary()


class StoredRows:
    """A matrix of counts in a file, dense or csr, of which slices of rows are read as float32 csr.

    Parameters
    ----------
    path
        The file (``.h5ad``, ``.h5mu``) or zarr folder.
    key
        Where the matrix is in it, ``"layers/counts"`` for example.
    """

    format = "csr"

    def __init__(self, path: Path, key: str) -> None:
        self.path, self.key = path, key
        held = open_root(path)[key]
        self.sparse = not hasattr(held, "shape")
        if not self.sparse:
            self.shape: tuple[int, int] = tuple(held.shape)
            return
        n_rows, n_columns = held.attrs["shape"]
        self.shape = (int(n_rows), int(n_columns))
        ends = held["indptr"][:]
        lengths = np.diff(ends)
        most = int(lengths.max(initial=0))
        # 2 bytes for each cell and not 8; all cells of a corpus are held at once
        self._lengths = lengths.astype(np.uint16 if most < 2**16 else np.uint32)
        self._offsets = ends[:-1:ROWS_PER_OFFSET].astype(np.int64)

    def arrays(self, root: Any) -> tuple[Any, ...]:
        """Arrays of the open file that hold the matrix: to look them up costs more than to read some rows."""
        with nullcontext() if self.path.suffix in HDF5 else _decoded_here():
            held = root[self.key]
            return (held["data"], held["indices"]) if self.sparse else (held,)

    def read(self, arrays: tuple[Any, ...], start: int, stop: int) -> sp.csr_matrix:
        """Rows from `start` to `stop`, of the `arrays` of the open file."""
        if not self.sparse:
            return sp.csr_matrix(np.asarray(arrays[0][start:stop], dtype=np.float32))
        before = start - start % ROWS_PER_OFFSET
        first = int(self._offsets[start // ROWS_PER_OFFSET]) + int(self._lengths[before:start].sum(dtype=np.int64))
        ends = np.append(0, np.cumsum(self._lengths[start:stop], dtype=np.int64))
        at = slice(first, first + int(ends[-1]))
        parts = (np.asarray(each[at], dtype=kind) for each, kind in zip(arrays, (np.float32, np.int32), strict=True))
        return sp.csr_matrix((*parts, ends.astype(np.int32)), shape=(stop - start, self.shape[1]))


class Stack:
    """Stored matrices one below the other, their columns brought into one order.

    Parameters
    ----------
    parts
        The matrices.
    at
        Per matrix, the column of the whole that each of its columns is, -1 of those that are not in it, ``(its
        columns,)``.
    n_columns
        Columns of the whole; those that a matrix lacks are empty in its rows.

    Attributes
    ----------
    chunks
        Rows of each matrix, and columns, as dask writes them.
    """

    ndim, dtype, format = 2, np.dtype(np.float32), "csr"

    def __init__(self, parts: Sequence[StoredRows], at: Sequence[Rows], n_columns: int) -> None:
        self.parts, self.at = list(parts), list(at)
        self.starts = np.append(0, np.cumsum([part.shape[0] for part in self.parts]))
        self.shape = (int(self.starts[-1]), n_columns)
        self.chunks = (tuple(part.shape[0] for part in self.parts), (n_columns,))
        self._open_here()

    def _open_here(self) -> None:
        self._files: OrderedDict[Path, tuple[Any, tuple[Any, ...]]] = OrderedDict()
        self._lock, self._process = threading.RLock(), os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in ("_files", "_lock", "_process")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open_here()

    def __getitem__(self, key: Any) -> sp.csr_matrix:
        """A slice of rows, and of columns: what dask asks for."""
        rows, columns = key if isinstance(key, tuple) else (key, slice(None))
        start, stop, step = rows.indices(self.shape[0])
        block = self.rows(np.arange(start, stop, step))
        return block if columns == slice(None) else block[:, columns]

    def rows(self, index: NDArray[np.integer]) -> sp.csr_matrix:
        """Some rows, sorted and each once."""
        blocks = [sp.csr_matrix((0, self.shape[1]), dtype=np.float32)]
        edges = np.searchsorted(index, self.starts)
        for number in np.flatnonzero(np.diff(edges)).tolist():
            own = index[edges[number] : edges[number + 1]] - self.starts[number]
            row_bytes = None if self.parts[number].sparse else self.parts[number].shape[1] * 4
            blocks.append(self._placed(read_sorted(_Open(self, number), own, row_bytes), number))
        return blocks[1] if len(blocks) == 2 else sp.vstack(blocks, format="csr")

    def _placed(self, rows: sp.csr_matrix, number: int) -> sp.csr_matrix:
        """Rows of a file with their values at the columns of the whole."""
        at = self.at[number]
        if (at < 0).any():
            rows = rows[:, np.flatnonzero(at >= 0)]
            at = at[at >= 0]
        if len(at) == self.shape[1] and (at[:-1] < at[1:]).all():
            return rows
        placed = sp.csr_matrix((rows.data, at[rows.indices], rows.indptr), (rows.shape[0], self.shape[1]))
        placed.sort_indices()
        return placed

    def read(self, number: int, start: int, stop: int) -> sp.csr_matrix:
        """Rows of one file, in its own columns.

        Raises
        ------
        FileNotFoundError
            If it is gone.
        OSError
            If it cannot be read.
        """
        part = self.parts[number]
        with self._lock:
            if self._process != os.getpid():  # what was opened before a fork is of no use after it
                self._open_here()
            try:
                block = part.read(self._arrays(part), start, stop)
            except Exception as error:
                _gone(part.path)
                raise OSError(f"{str(part.path)!r} cannot be read: {error}") from error
            # zarr gives zeros for what is not there, and an open file outlives its name
            _gone(part.path)
        return block

    def _arrays(self, part: StoredRows) -> tuple[Any, ...]:
        if part.path not in self._files:
            root = open_root(part.path)
            self._files[part.path] = root, part.arrays(root)
            if len(self._files) > MAX_OPEN_FILES:
                _, (oldest, _) = self._files.popitem(last=False)
                if hasattr(oldest, "close"):
                    oldest.close()
        self._files.move_to_end(part.path)
        return self._files[part.path][1]

    def select(self, columns: Rows) -> Stack:
        """The same rows with some of the columns, in an order of their own; empty ones where it is -1."""
        place = np.full(self.shape[1], -1)
        place[columns[columns >= 0]] = np.flatnonzero(columns >= 0)
        return Stack(self.parts, [place[at] for at in self.at], len(columns))

    def as_dask(self) -> Any:
        """A dask array that reads this; `stack_of` finds the stack behind it."""
        import dask.array as da

        name = f"scvcell-stack-{uuid.uuid4().hex}"
        _STACKS[name] = self
        rows = tuple(
            n
            for of_file in self.chunks[0]
            for n in [ROWS_PER_CHUNK] * (of_file // ROWS_PER_CHUNK) + [of_file % ROWS_PER_CHUNK]
            if n
        )
        meta = sp.csr_matrix((0, 0), dtype=np.float32)
        return da.from_array(self, (rows, self.chunks[1]), name, asarray=False, fancy=False, meta=meta)


class _Open:
    """One file of a stack, of which slices are read."""

    def __init__(self, stack: Stack, number: int) -> None:
        self.stack, self.number = stack, number

    def __getitem__(self, rows: slice) -> sp.csr_matrix:
        stop = min(rows.stop, self.stack.parts[self.number].shape[0])
        return self.stack.read(self.number, rows.start, stop)


def read_sorted(x: Any, index: NDArray[np.integer], row_bytes: int | None = None) -> Any:
    """Rows of what gives slices, for a sorted, unique index; near ones are one slice, with what is between them.

    Parameters
    ----------
    x
        What is stored.
    index
        The rows.
    row_bytes
        Bytes of a dense row; None of sparse ones.
    """
    if len(index) == 0:
        return x[0:0]
    row, parts = row_bytes or 1, []
    gap, span = min(MAX_GAP_ROWS, max(MAX_GAP_BYTES // row, 1)), min(MAX_READ_ROWS, max(MAX_READ_BYTES // row, 1))
    for run in np.split(index, np.flatnonzero(np.diff(index) > gap) + 1):
        for some in np.split(run, np.flatnonzero(np.diff((run - run[0]) // span)) + 1):
            block = x[int(some[0]) : int(some[-1]) + 1]
            parts.append(block if len(some) == block.shape[0] else block[some - some[0]])
    if len(parts) == 1:
        return parts[0]
    return sp.vstack(parts, format="csr") if sp.issparse(parts[0]) else np.concatenate(parts)


def _gone(path: Path) -> None:
    there = path.exists() if path.suffix in HDF5 else any((path / name).exists() for name in GROUPS)
    if not there:
        raise FileNotFoundError(f"{str(path)!r} is gone: it was there when the corpus was opened. Put it back.")


def open_root(path: Path) -> Any:
    """The root group of a file or zarr folder, for reading."""
    if path.suffix in HDF5:
        import h5py

        return h5py.File(path, "r")
    import zarr

    return zarr.open_group(path, mode="r")


@contextmanager
def _decoded_here() -> Iterator[None]:
    """Arrays of zarr that are opened meanwhile are decoded without an event loop, which costs more than small chunks.

    Where the user chose how zarr decodes, or zarr is older than 3.4, they are opened as ever.
    """
    import zarr

    chosen = zarr.config.get("codec_pipeline.path", None)
    if chosen != f"{PIPELINES}.BatchedCodecPipeline" or not hasattr(import_module(PIPELINES), "FusedCodecPipeline"):
        yield
        return
    with zarr.config.set({"codec_pipeline.path": f"{PIPELINES}.FusedCodecPipeline"}):
        yield


def stack_of(x: Any) -> Stack | None:
    """The stack that a dask array reads as it is; None of all else."""
    return _STACKS.get(str(getattr(x, "name", "")))

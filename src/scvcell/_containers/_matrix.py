"""Rows of a count matrix, wherever it lives: dense, sparse, or on disk; never loaded whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from scvcell._containers._stack import Stack, read_sorted, stack_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from anndata import AnnData
    from numpy.typing import NDArray

    from scvcell._types import Rows

ROWS_PER_CHUNK = 4096
"""Rows read at a time when a matrix is walked through."""
MAX_HELD_BYTES = 2**28
"""Bytes of rows that `Matrix.held` keeps in memory."""
SAMPLE_ROWS = 256
"""Rows that `Matrix.sample` takes."""


class Matrix:
    """Uniform access to the rows of any matrix that an AnnData can hold.

    Parameters
    ----------
    x
        numpy array, scipy sparse matrix or array of any format, ``h5py.Dataset``, ``zarr.Array``, anndata's
        on-disk sparse dataset, or a dask array of any of these. Column-compressed input is converted to rows once; on
        disk, it is read into memory. Entries of a sparse matrix that stand for one value are summed in what is read.
    check
        Called with each block of rows that is read; refuses values that cannot be used.
    depth
        Depth of each row where it is not to be read off its values, ``(rows,)``.

    Attributes
    ----------
    on_disk
        Whether rows come from a file.
    """

    def __init__(
        self, x: Any, check: Callable[[Any], None] | None = None, depth: NDArray[np.float32] | None = None
    ) -> None:
        self.on_disk = not (isinstance(x, np.ndarray) or sp.issparse(x))
        if self.on_disk and getattr(getattr(x, "_meta", x), "format", "csr") == "csc":
            x, self.on_disk = x.compute() if _is_dask(x) else x.to_memory(), False
        x = x if (stack := stack_of(x)) is None else stack
        if sp.issparse(x) and x.format != "csr":
            x = x.tocsr()
        self._x, self._check, self.depth = x, check, depth
        self.shape: tuple[int, int] = tuple(x.shape)  # type: ignore[assignment]

    def rows(self, index: NDArray[np.integer]) -> NDArray[np.float32] | sp.csr_matrix:
        """Rows `index`, in the order given (repeats allowed), as float32 dense or csr."""
        if not self.on_disk:
            block = self._x[index]
        else:
            unique, back = np.unique(index, return_inverse=True)
            block = self._read_sorted(unique)
            if len(unique) != len(index) or (np.diff(index) < 0).any():
                block = block[back]
        if sp.issparse(block):
            block = _summed(block.astype(np.float32, copy=False))
        else:
            block = np.asarray(block, dtype=np.float32)
        if self._check is not None:
            self._check(block)
        return block

    def _read_sorted(self, index: NDArray[np.integer]) -> Any:
        """Rows of an on-disk matrix for a sorted, unique index."""
        if isinstance(self._x, Stack):
            return self._x.rows(index)
        if _is_dask(self._x):  # dask itself reads the blocks that hold some of the rows, each once
            block = self._x[index].compute()
            return block if isinstance(block, np.ndarray) else sp.csr_matrix(block)
        return read_sorted(self._x, index, None if hasattr(self._x, "format") else self.shape[1] * 4)

    def depths(self, index: NDArray[np.integer], block: Any, size: Callable[[Any], Any]) -> NDArray[np.float32]:
        """Depth of rows `index`, ``(len(index),)``: the given one, else the `size` of their values, `block`."""
        return np.asarray(size(block) if self.depth is None else self.depth[index], dtype=np.float32).ravel()

    def all_depths(self, index: NDArray[np.integer], size: Callable[[Any], Any]) -> NDArray[np.float32]:
        """`depths` of rows that are not at hand; they are read only where they must be."""
        if self.depth is not None:
            return self.depth[index]
        parts = [np.asarray(size(block), dtype=np.float32).ravel() for block in self.chunks(index)]
        return np.concatenate([np.zeros(0, np.float32), *parts])

    def blocks(self, size: int) -> Rows:
        """First rows of blocks of about `size` neighbours that are stored together, ``(blocks,)``.

        What is stored in chunks of rows is cut at their borders, so that no chunk is read for two blocks unless it is
        larger than `size`.
        """
        chunks = getattr(self._x, "chunks", None)
        n = self.shape[0]
        if not chunks:
            return np.arange(0, n, size)
        per_chunk = chunks[0] if isinstance(chunks[0], tuple) else None
        ends = np.cumsum(per_chunk) if per_chunk else np.append(np.arange(chunks[0], n, chunks[0]), n)
        starts, first = [0], 0
        for end in ends[:-1].tolist():
            if end - first >= size:
                starts.append(end)
                first = end
        large = [np.arange(a, max(b - size, a) + 1, size) for a, b in zip(starts, [*starts[1:], n], strict=True)]
        return np.concatenate(large)

    def dense(self, index: NDArray[np.integer]) -> NDArray[np.float32]:
        """Rows `index` as a dense float32 array, shape ``(len(index), features)``."""
        block: Any = self.rows(index)
        return block.toarray() if sp.issparse(block) else block

    def chunks(
        self, index: NDArray[np.integer], size: int = ROWS_PER_CHUNK
    ) -> Iterator[NDArray[np.float32] | sp.csr_matrix]:
        """Walk through rows `index`, `size` rows at a time."""
        for start in range(0, len(index), size):
            yield self.rows(index[start : start + size])

    def held(self, index: Rows) -> tuple[Matrix, Rows]:
        """A matrix from which rows `index` can be read many times, and where they are in it.

        Rows on disk are read once and kept where they are no more than `MAX_HELD_BYTES` bytes.
        """
        if not self.on_disk or len(index) == 0:
            return self, index
        first: Any = self.rows(index[:ROWS_PER_CHUNK])
        size = (first.data.nbytes + first.indices.nbytes) if sp.issparse(first) else first.nbytes
        if size / min(len(index), ROWS_PER_CHUNK) * len(index) > MAX_HELD_BYTES:
            return self, index
        parts = [
            first,
            *(
                self.rows(index[start : start + ROWS_PER_CHUNK])
                for start in range(ROWS_PER_CHUNK, len(index), ROWS_PER_CHUNK)
            ),
        ]
        block = sp.vstack(parts, format="csr") if sp.issparse(first) else np.concatenate(parts)
        depth = None if self.depth is None else self.depth[index]
        return Matrix(block, None, depth), np.arange(len(index))

    def sample(self) -> NDArray[np.float32] | sp.csr_matrix:
        """Some evenly spaced rows; few of a matrix on disk."""
        n = min(self.shape[0], SAMPLE_ROWS // 8 if self.on_disk else SAMPLE_ROWS)
        return self.rows(np.unique(np.linspace(0, max(self.shape[0] - 1, 0), n).astype(np.int64)))


def _is_dask(x: Any) -> bool:
    return hasattr(x, "compute") and hasattr(x, "dask")


def _summed(block: sp.csr_matrix) -> sp.csr_matrix:
    """The same rows with one entry per value; what was given does not change."""
    if block.has_canonical_format:
        return block
    turned = block.tocsc()  # turning sorts in linear time
    turned.sum_duplicates()
    return turned.tocsr()


def count_layers(adata: AnnData) -> list[str]:
    """Layers that hold counts, as far as some of their rows tell."""
    return [key for key in adata.layers if key and not fault(Matrix(adata.layers[key]).sample(), counts=True)]


def fault(block: Any, *, counts: bool) -> str:
    """What is wrong with values: ``"not finite"``, or of `counts` ``"negative"`` or ``"not whole"``; else ``""``.

    Parameters
    ----------
    block
        Rows of a matrix, dense or sparse.
    counts
        Whether only non-negative whole numbers are right.
    """
    values: Any = block.data if sp.issparse(block) else block
    if not np.isfinite(values).all():
        return "not finite"
    if counts and values.size and values.min() < 0:
        return "negative"
    return "not whole" if counts and (values != np.floor(values)).any() else ""

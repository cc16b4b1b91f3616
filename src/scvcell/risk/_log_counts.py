"""Values of cells on a log scale, of which rows are made when they are asked for, and means that go by blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scvcell._containers import blocks
from scvcell.score import dense, log_cp10k

if TYPE_CHECKING:
    from collections.abc import Callable

    from scvcell._types import Array, Rows


class LogCounts:
    """``log1p`` of counts per 10,000, cells x features, read as an array is read: ``values[rows]``.

    Parameters
    ----------
    counts
        Raw counts, dense or sparse.

    Notes
    -----
    What is held are the counts as they are. All cells in double precision, 1.6 GB of 100,000 cells x 2,000 features,
    are made by ``numpy.asarray(values)`` alone.
    """

    def __init__(self, counts: Any) -> None:
        self.counts = counts if not hasattr(counts, "tocsr") else counts.tocsr()

    @property
    def shape(self) -> tuple[int, int]:
        """Cells and features."""
        return self.counts.shape  # type: ignore[no-any-return]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, at: Any) -> Array:
        """Values of some rows; ``[rows, features]`` as of an array."""
        rows, *features = at if isinstance(at, tuple) else (at,)
        if np.ndim(rows) == 0 and not isinstance(rows, slice):
            one = self[np.array([rows])][0]
            return one[features[0]] if features else one
        at = np.arange(len(self))[rows]
        values = np.empty((len(at), self.shape[1]))
        for block in small_blocks(*values.shape):
            values[block] = log_cp10k(self.counts[at[block]])
        return values[:, features[0]] if features else values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return self[:] if dtype is None else self[:].astype(dtype)

    def depth(self, rows: Rows) -> Array:
        """Counts of some cells, at least 1, ``(rows,)``."""
        return np.maximum(np.asarray(self.counts[rows].sum(1)).ravel(), 1.0)


def small_blocks(n_rows: int, n_columns: int) -> list[Rows]:
    """Numbers of rows in blocks of which several arrays may be in memory: a quarter of what is written at once."""
    return blocks(n_rows, 4 * n_columns)


def column_means(table: Any, rows: Any = None, of: Callable[[Array], Array] | None = None) -> Array:
    """Means over some rows, all by default, ``(features,)``.

    Parameters
    ----------
    table
        Values, ``(cells, features)``: an array, a sparse matrix, `LogCounts`.
    rows
        Numbers of rows, or a mask.
    of
        What is taken the mean of, a function of rows; by default the values.
    """
    at = np.arange(table.shape[0]) if rows is None else np.asarray(rows)
    at = np.flatnonzero(at) if at.dtype == bool else at
    total = np.zeros(table.shape[1])
    for block in small_blocks(len(at), table.shape[1]):
        values = dense(table[at[block]])
        total += (values if of is None else of(values)).sum(0)
    return total / len(at)

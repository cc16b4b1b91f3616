"""Front-end scores of a corpus: made of the rows that are read, instead of being kept for every cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scvcell._containers import Matrix

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scvcell._types import Mask, Rows
    from scvcell.state import FrontEnd

MAX_KEPT_ROWS = 100_000
"""Rows on disk whose scores are kept, some 200 bytes each; of more they are made each time that rows are read."""


class LaterScores:
    """Scores of the rows of a modality, which are read where they are not at hand.

    Parameters
    ----------
    front
        The front-end.
    matrix
        Raw values.
    rows, batch
        Row of every cell, -1 where it has none; and batch of every cell.
    panel
        Features that each batch of the data measured; None where all did.
    """

    def __init__(self, front: FrontEnd, matrix: Matrix, rows: Rows, batch: Rows, panel: Mask | None) -> None:
        self.front, self.matrix, self.rows, self.batch, self.panel = front, matrix, rows, batch, panel

    def of(self, values: Any, rows: Rows, batch: Rows) -> NDArray[np.float32]:
        """Scores of rows whose values were read, ``(rows, width)``; `batch` is that of a cell of each."""
        depth = None if self.matrix.depth is None else self.matrix.depth[rows]
        return self.front.scores(Matrix(values, None, depth), np.arange(len(rows)), batch, self.panel)

    def __getitem__(self, key: Any) -> NDArray[np.float32]:
        """Scores of some rows, and columns of these, as of an array of all of them; zero of rows that are no cell's."""
        rows, columns = key if isinstance(key, tuple) else (key, slice(None))
        wanted = np.arange(self.matrix.shape[0])[rows]
        batch = np.full(self.matrix.shape[0], -1)
        has = self.rows >= 0
        batch[self.rows[has]] = self.batch[has]
        out = np.zeros((len(wanted), self.front.width), np.float32)
        there = np.flatnonzero(batch[wanted] >= 0)
        out[there] = self.front.scores(self.matrix, wanted[there], batch[wanted[there]], self.panel)
        return out[:, columns]

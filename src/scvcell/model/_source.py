"""Mini-batches of a mosaic: each modality brings only the cells that have it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
import torch

from scvcell.measure import Context
from scvcell.state import Batch, Observed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from scvcell._containers import Matrix
    from scvcell._types import Mask, Rows
    from scvcell.measure import Measurement
    from scvcell.model._pairs import Matches

BUFFER = 16_384
"""Cells read from disk at once; they are shuffled among themselves."""
BLOCK = 256
"""Neighbouring cells that are read together from disk; a buffer mixes 64 such blocks."""


@dataclass
class Source:
    """Everything that mini-batches are cut from. X is referenced, never copied.

    Attributes
    ----------
    matrices, rows
        Per modality, its matrix and the row of every cell (-1: absent).
    scores
        Per modality that encoders see, front-end scores of its rows, shape ``(rows of the modality, width)``.
    operators
        Per modality, its operator, which says how values are handed over and what a depth is.
    design, batch
        Context of all cells.
    panels
        Per modality, measured features by batch, shape ``(batches, features)``; absent where all were.
    confidence
        How far each cell's assays can be relied on to be of one cell, shape ``(cells,)``; None where all can.
    """

    matrices: dict[str, Matrix]
    rows: dict[str, Rows]
    scores: dict[str, NDArray[np.float32]]
    operators: dict[str, type[Measurement]]
    design: NDArray[np.float32]
    batch: Rows
    panels: dict[str, Mask] = field(default_factory=dict)
    confidence: NDArray[np.float32] | None = None

    def paired(self, cells: Rows) -> float:
        """Share of some cells in which more than one assay was measured."""
        return float(np.mean(sum(self.rows[m][cells] >= 0 for m in self.scores) > 1))

    def matched(self, matches: Matches) -> Source:
        """The same data with the second cell of every pseudo-pair given to the first."""
        rows = {m: r.copy() for m, r in self.rows.items()}
        for mine in rows.values():
            given = mine[matches.other]
            mine[matches.one] = np.where(given >= 0, given, mine[matches.one])
        confidence = np.ones(len(self.batch), np.float32)
        confidence[matches.one] = matches.confidence
        return replace(self, rows=rows, confidence=confidence)

    @property
    def on_disk(self) -> bool:
        """Whether any modality is read from a file."""
        return any(matrix.on_disk for matrix in self.matrices.values())

    def cut(self, index: Rows, *, ahead: dict[str, tuple] | None = None) -> Batch:
        """The mini-batch of cells `index`; `ahead` holds rows that were read ahead, per modality."""
        observed, at_of = {}, {}
        nothing = np.zeros((len(index), 0), np.float32)
        for name, rows in self.rows.items():
            mine = rows[index]
            at = np.flatnonzero(mine >= 0)
            if len(at) == 0:
                continue
            mine, at_of[name] = mine[at], at
            if ahead is None:
                values = self.matrices[name].rows(mine)
            else:
                block, position = ahead[name]
                values = block[np.searchsorted(position, mine)]
            operator = self.operators[name]
            x = _tensor(values, sparse=operator.sparse)
            panel = self.panels.get(name)
            observed[name] = Observed(
                rows=torch.from_numpy(at),
                x=x,
                scores=torch.from_numpy(self.scores[name][mine] if name in self.scores else nothing[at]),
                depth=torch.from_numpy(self.matrices[name].depths(mine, values, operator.size)),
                mask=None if panel is None else torch.from_numpy(panel[self.batch[index[at]]]),
            )
        context = Context(torch.from_numpy(self.design[index]), torch.from_numpy(self.batch[index]))
        confidence = None if self.confidence is None else torch.from_numpy(self.confidence[index])
        host = at_of, [name for name in at_of if name in self.scores], self.batch[index]
        return Batch(torch.from_numpy(index), context, observed, confidence, host)


def _tensor(values: Any, *, sparse: bool) -> Tensor:
    """Rows of a matrix as a dense tensor, or as a sparse (COO) one."""
    if not sparse:
        return torch.from_numpy(values.toarray() if sp.issparse(values) else values)
    rows = sp.csr_matrix(values).tocoo()
    index = torch.from_numpy(np.stack([rows.row, rows.col]).astype(np.int64))
    return torch.sparse_coo_tensor(index, torch.from_numpy(rows.data), rows.shape, is_coalesced=True)


class Loader:
    """Iterate over mini-batches of some cells, shuffled or in order; one pass reads each row once.

    Parameters
    ----------
    source
        Where the data are.
    index
        Cells to walk through.
    batch_size
        Cells per mini-batch.
    shuffle
        Whether each pass has its own order. Data on disk are shuffled in blocks within a buffer.
    seed
        Seed of the orders.
    """

    def __init__(self, source: Source, index: Rows, batch_size: int, *, shuffle: bool = False, seed: int = 0) -> None:
        self.source = source
        self.index = np.asarray(index, dtype=np.int64)
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.rng = np.random.default_rng(seed)

    def release(self) -> None:
        """Let go of the data."""
        del self.source

    def __len__(self) -> int:
        """Mini-batches per pass; when shuffled, a remainder under a quarter of a batch joins the one before it."""
        return len(self._cuts(len(self.index)))

    def _cuts(self, n: int) -> list[tuple[int, int]]:
        starts = list(range(0, n, self.batch_size))
        if self.shuffle and len(starts) > 1 and n - starts[-1] < self.batch_size / 4:
            starts.pop()
        return list(zip(starts, [*starts[1:], n], strict=True))

    def __iter__(self) -> Iterator[Batch]:
        if not self.source.on_disk:
            order = self.rng.permutation(self.index) if self.shuffle else self.index
            for start, stop in self._cuts(len(order)):
                yield self.source.cut(order[start:stop])
            return
        order = self._block_order()
        buffer = max(BUFFER // self.batch_size, 1) * self.batch_size
        cuts = self._cuts(len(order))
        per_buffer = buffer // self.batch_size
        for first in range(0, len(cuts), per_buffer):
            group = cuts[first : first + per_buffer]
            cells = order[group[0][0] : group[-1][1]]
            if self.shuffle:
                cells = self.rng.permutation(cells)
            ahead = {}
            for name, rows in self.source.rows.items():
                wanted = np.unique(rows[cells])
                wanted = wanted[wanted >= 0]
                ahead[name] = (self.source.matrices[name].rows(wanted), wanted)
            for start, stop in group:
                yield self.source.cut(cells[start - group[0][0] : stop - group[0][0]], ahead=ahead)

    def _block_order(self) -> Rows:
        if not self.shuffle:
            return self.index
        ordered = np.sort(self.index)
        blocks = [ordered[i : i + BLOCK] for i in range(0, len(ordered), BLOCK)]
        return np.concatenate([blocks[i] for i in self.rng.permutation(len(blocks))])

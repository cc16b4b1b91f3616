"""Mini-batches of a mosaic: each modality brings only the cells that have it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
import torch

from scvcell._containers import Matrix
from scvcell.measure import Context
from scvcell.model._scores import LaterScores
from scvcell.state import Batch, Observed, Share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from scvcell._types import Mask, Rows
    from scvcell.measure import Measurement
    from scvcell.model._pairs import Matches
    from scvcell.model._schema import Design

CELLS_PER_READ = 512
"""Neighbouring cells that are read together from disk; a buffer mixes 32 such blocks."""

type Ahead = dict[str, tuple[Any, Rows, NDArray[np.float32] | None]]
"""Per modality, values that were read ahead, which rows they are, sorted, and their front-end scores."""


@dataclass
class Source:
    """Everything that mini-batches are cut from. X is referenced, never copied.

    Attributes
    ----------
    matrices, rows
        Per modality, its matrix and the row of every cell (-1: absent).
    scores
        Per modality that encoders see, front-end scores of its rows, shape ``(rows of the modality, width)``; or what
        makes them of the rows that are read.
    operators
        Per modality, its operator, which says how values are handed over and what a depth is.
    design, batch
        Context of all cells, and their batch.
    panels
        Per modality, measured features by batch, shape ``(batches, features)``; absent where all were.
    confidence
        How far each cell's assays can be relied on to be of one cell, shape ``(cells,)``; None where all can.
    """

    matrices: dict[str, Matrix]
    rows: dict[str, Rows]
    scores: dict[str, NDArray[np.float32] | LaterScores]
    operators: dict[str, type[Measurement]]
    design: Design
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

    def held(self, cells: Rows) -> tuple[Source, Rows]:
        """A source from which some cells can be read many times, and where they are in it.

        Cells on disk are read once and kept, so they should be few.
        """
        if not self.on_disk or len(cells) == 0:
            return self, cells
        matrices, rows = {}, {}
        scores: dict[str, NDArray[np.float32] | LaterScores] = {}
        for name, (values, wanted, told) in self.read(cells).items():
            mine, depth = self.rows[name][cells], self.matrices[name].depth
            matrices[name] = Matrix(values, None, None if depth is None else depth[wanted])
            rows[name] = np.where(mine >= 0, np.searchsorted(wanted, mine), -1)
            if told is not None:
                scores[name] = told
        confidence = None if self.confidence is None else self.confidence[cells]
        own = Source(
            matrices, rows, scores, self.operators, self.design.of(cells), self.batch[cells], self.panels, confidence
        )
        return own, np.arange(len(cells))

    @property
    def on_disk(self) -> bool:
        """Whether any modality is read from a file."""
        return any(matrix.on_disk for matrix in self.matrices.values())

    def blocks(self, index: Rows) -> tuple[Rows, Rows]:
        """Some cells in the order in which they are stored, and positions at which blocks of neighbours start."""
        place, ends, offset = np.zeros(0, np.int64), [], 0
        for name, matrix in self.matrices.items():
            rows = self.rows[name][index]
            if not offset:
                place = rows
            else:
                new = (place < 0) & (rows >= 0)
                place[new] = rows[new] + offset
            ends.append(matrix.blocks(CELLS_PER_READ) + offset)
            offset += matrix.shape[0]
        if (place[1:] < place[:-1]).any():
            by_place = np.argsort(place, kind="stable")
            index, place = index[by_place], place[by_place]
        starts = np.unique(np.searchsorted(place, np.concatenate(ends)))
        return index, starts[starts < len(index)]

    def reads(self, *, values: bool = True) -> bool:
        """Whether mini-batches are read from files: where scores are at hand, one without values is not."""
        return self.on_disk and (values or any(isinstance(held, LaterScores) for held in self.scores.values()))

    def cut(self, index: Rows, *, ahead: Ahead | None = None, ranks: Sequence[Rows] = (), values: bool = True) -> Batch:
        """The mini-batch of cells `index`; `ahead` holds rows that were read ahead, per modality.

        `ranks` are the cells of each rank, where `index` is the share of one of several. Without `values` it has what
        encoders need, and nothing else.
        """
        observed, at_of = {}, {}
        nothing = np.zeros((len(index), 0), np.float32)
        for name, rows in self.rows.items():
            mine = rows[index]
            at = np.flatnonzero(mine >= 0)
            if len(at) == 0 or not (values or name in self.scores):
                continue
            mine, at_of[name], held = mine[at], at, self.scores.get(name)
            if ahead is None:
                found = self.matrices[name].rows(mine) if values or isinstance(held, LaterScores) else None
                scores = nothing[at] if held is None else self._scores(name, found, mine, index[at])
            else:
                block, position, told = ahead[name]
                place = np.searchsorted(position, mine)
                found, scores = block[place] if values else None, nothing[at] if told is None else told[place]
            operator, panel = self.operators[name], self.panels.get(name) if values else None
            observed[name] = Observed(
                rows=torch.from_numpy(at),
                x=_tensor(found, sparse=operator.sparse) if values else torch.from_numpy(nothing[at]),
                scores=torch.from_numpy(scores),
                depth=torch.from_numpy(
                    self.matrices[name].depths(mine, found, operator.size) if values else np.zeros(len(at), np.float32)
                ),
                mask=None if panel is None else torch.from_numpy(panel[self.batch[index[at]]]),
            )
        context = Context(torch.from_numpy(self.design[index]), torch.from_numpy(self.batch[index]))
        confidence = None if self.confidence is None else torch.from_numpy(self.confidence[index])
        host = at_of, [name for name in at_of if name in self.scores], self.batch[index]
        n_global = sum(map(len, ranks)) if ranks else len(index)
        shares = tuple(self._share(cells) for cells in ranks)
        return Batch(torch.from_numpy(index), context, observed, confidence, host, n_global, shares)

    def _share(self, cells: Rows) -> Share:
        """What a rank's cells hold."""
        rows = {name: np.flatnonzero(at[cells] >= 0) for name, at in self.rows.items()}
        confidence = None if self.confidence is None else self.confidence[cells]
        return Share(rows, list(self.scores), self.batch[cells], confidence)

    def read(self, cells: Rows) -> Ahead:
        """Rows of some cells, each once, and their scores."""
        ahead = {}
        for name, rows in self.rows.items():
            wanted, first = np.unique(rows[cells], return_index=True)
            wanted, first = wanted[wanted >= 0], first[wanted >= 0]
            values = self.matrices[name].rows(wanted)
            scores = self._scores(name, values, wanted, cells[first]) if name in self.scores else None
            ahead[name] = (values, wanted, scores)
        return ahead

    def _scores(self, name: str, values: Any, rows: Rows, cells: Rows) -> NDArray[np.float32]:
        """Front-end scores of rows whose values were read, one cell of each."""
        held = self.scores[name]
        return held.of(values, rows, self.batch[cells]) if isinstance(held, LaterScores) else held[rows]


def _tensor(values: Any, *, sparse: bool) -> Tensor:
    """Rows of a matrix as a dense tensor, or as a sparse (COO) one."""
    if not sparse:
        return torch.from_numpy(values.toarray() if sp.issparse(values) else values)
    rows = sp.csr_matrix(values)
    index = np.empty((2, rows.nnz), np.int64)
    index[0], index[1] = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr)), rows.indices
    return torch.sparse_coo_tensor(torch.from_numpy(index), torch.from_numpy(rows.data), rows.shape, is_coalesced=True)

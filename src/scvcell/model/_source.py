"""Mini-batches of a mosaic: each modality brings only the cells that have it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
import torch

from scvcell._containers import Matrix
from scvcell.measure import Context
from scvcell.model._order import Order
from scvcell.model._scores import LaterScores
from scvcell.state import Batch, Observed, Share

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from scvcell._types import Mask, Rows
    from scvcell.measure import Measurement
    from scvcell.model._pairs import Matches
    from scvcell.model._schema import Design

CELLS_PER_BUFFER = 16_384
"""Cells read from disk at once; they are shuffled among themselves."""
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


class Loader:
    """Iterate over mini-batches of some cells, shuffled or in order; one pass reads each row once.

    The order depends on the seed and the number of the pass, and on nothing else: another rank, or another process
    that goes on from `state_dict`, sees the same mini-batches.

    Parameters
    ----------
    source
        Where the data are.
    index
        Cells to walk through.
    batch_size
        Cells per mini-batch, of all ranks together.
    shuffle
        Whether each pass has its own order. More data on disk than a buffer holds are shuffled in blocks of
        neighbours, and then within each buffer.
    seed
        Seed of the orders.
    rank, world
        Which share of each mini-batch this process gets, see `Order.share`, and of how many.
    values
        Whether mini-batches have what was measured; without it they are for encoders alone.

    Attributes
    ----------
    steps
        Mini-batches of an iteration: those of a pass, unless it is set. The next one goes on where it ended.
    epoch, position
        Pass, and mini-batch in it, that follow on the one that was handed out last.
    """

    def __init__(
        self,
        source: Source,
        index: Rows,
        batch_size: int,
        *,
        shuffle: bool = False,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        values: bool = True,
    ) -> None:
        if not 0 <= rank < world:
            raise ValueError(f"rank must be one of 0 to {world - 1}, not {rank}.")
        index, starts, per_buffer = np.asarray(index, dtype=np.int64), None, None
        self.reads = source.reads(values=values)
        if self.reads:
            per_buffer = max(CELLS_PER_BUFFER // batch_size, 1)
            if shuffle and len(index) > CELLS_PER_BUFFER:
                index, starts = source.blocks(index)
        self.source, self.values = source, values
        self.rank = rank
        self.order = Order(index, batch_size, seed if shuffle else None, world, per_buffer, starts)
        self.epoch = self.position = self._first = 0
        self.steps = len(self.order)

    def release(self) -> None:
        """Let go of the data."""
        del self.source

    def __len__(self) -> int:
        """Mini-batches of an iteration; a small remainder of a shuffled pass joins the one before it."""
        return self.steps

    def set_epoch(self, epoch: int) -> None:
        """The next pass is that of number `epoch`, from its start unless that is the one it is in."""
        if epoch != self.epoch:
            self.epoch, self.position, self._first = epoch, 0, 0

    def state_dict(self) -> dict[str, int]:
        """What follows on the mini-batch that was handed out last, and of which cells: plain numbers."""
        order = self.order
        seed = -1 if order.seed is None else order.seed
        of = {"seed": seed, "cells": len(order.index), "batch_size": order.batch_size}
        return {"epoch": self.epoch, "position": self.position, **of}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """The next pass goes on after the mini-batch of `state`, on any rank of any number of ranks.

        Raises
        ------
        ValueError
            If the state is one of other cells, mini-batches or orders.
        """
        for key, value in self.state_dict().items():
            if key not in ("epoch", "position") and value != state[key]:
                raise ValueError(f"This training has {key} {value}; what is to go on had {state[key]}.")
        self.epoch, self.position = int(state["epoch"]), int(state["position"])
        self._first = self.position

    def __iter__(self) -> Iterator[Batch]:
        epoch, first, self._first = self.epoch, self._first, 0
        n = len(self.order)
        left = self.steps - (epoch * n + first) % self.steps if n else 0
        world = self.order.world
        while left:
            stop = min(n, first + left)
            left -= stop - first
            for step, cells, whole, ahead in self._shares(epoch, first, stop):
                # before it is handed out: Lightning never asks for more than the last one
                self.epoch, self.position = (epoch + 1, 0) if step + 1 == n else (epoch, step + 1)
                if not left and step + 1 == stop:
                    self._first = self.position
                ranks = [self.order.share(whole, rank) for rank in range(world)] if world > 1 else ()
                yield self.source.cut(cells, ahead=ahead, ranks=ranks, values=self.values)
            epoch, first = epoch + 1, 0

    def _shares(self, epoch: int, first: int, stop: int) -> Iterator[tuple[int, Rows, Rows, Ahead | None]]:
        """Steps of a pass from `first` to `stop`: cells of this rank and of all, and rows that were read ahead."""
        if first >= stop:
            return
        last, _ = self.order.buffer_of(stop - 1)
        number, _ = self.order.buffer_of(first)
        if not self.reads:
            for step, cells, whole in self._cut(epoch, number, first, stop):
                yield step, cells, whole, None
            return
        # a thread, never a process: neither HDF5 nor zarr survives a fork
        with ThreadPoolExecutor(1, "scvcell-read") as thread:
            ahead = thread.submit(self._read, epoch, number, first, stop)
            for following in range(number + 1, last + 2):
                steps, rows = ahead.result()
                if following <= last:
                    ahead = thread.submit(self._read, epoch, following, first, stop)
                for step, cells, whole in steps:
                    yield step, cells, whole, rows

    def _cut(self, epoch: int, number: int, first: int, stop: int) -> list[tuple[int, Rows, Rows]]:
        """Steps of a buffer that are from `first` to `stop`, this rank's cells of each, and cells of all ranks."""
        _, steps = self.order.buffer_of(number * (self.order.per_buffer or 0))
        cells, start = self.order.buffer(epoch, number), self.order.bounds(steps[0])[0]
        out = []
        for step in steps[max(first - steps[0], 0) : stop - steps[0]]:
            a, b = self.order.bounds(step)
            whole = cells[a - start : b - start]
            out.append((step, self.order.share(whole, self.rank), whole))
        return out

    def _read(self, epoch: int, number: int, first: int, stop: int) -> tuple[list[tuple[int, Rows, Rows]], Ahead]:
        """A buffer, and the rows of its cells, per modality: values and which rows they are."""
        steps = self._cut(epoch, number, first, stop)
        return steps, self.source.read(np.concatenate([cells for _, cells, _ in steps]))

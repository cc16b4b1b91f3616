"""The order of cells in training: a function of (seed, epoch) alone, the same on every rank and after a restart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scvcell._types import Rows

MIN_REMAINDER = 0.25
"""Share of a mini-batch below which the last cells of a shuffled pass join the mini-batch before them."""


@dataclass(frozen=True)
class Order:
    """Mini-batches of a pass over some cells.

    Attributes
    ----------
    index
        Cells to walk through; where they are shuffled in blocks, sorted as they are stored.
    batch_size
        Cells per mini-batch, of all ranks together.
    seed
        Seed of the orders; None walks through the cells as they are.
    world
        Ranks among which a mini-batch is cut.
    per_buffer
        Mini-batches that are cut from one buffer; all by default.
    starts
        Positions in `index` at which blocks of neighbours start. Blocks are shuffled, and then the cells of each
        buffer. None shuffles all cells alike.
    """

    index: Rows
    batch_size: int
    seed: int | None = None
    world: int = 1
    per_buffer: int | None = None
    starts: Rows | None = None

    def __len__(self) -> int:
        """Mini-batches of a pass, the same for every rank. A small remainder joins the mini-batch before it."""
        steps, rest = divmod(len(self.index), self.batch_size)
        least = max(self.world, 0 if self.seed is None else MIN_REMAINDER * self.batch_size)
        return steps + (rest > 0 and (steps == 0 or rest >= least))

    def bounds(self, step: int) -> tuple[int, int]:
        """First and last position of a mini-batch in the order."""
        stop = len(self.index) if step + 1 == len(self) else (step + 1) * self.batch_size
        return step * self.batch_size, stop

    def buffer_of(self, step: int) -> tuple[int, range]:
        """Number of the buffer that holds a mini-batch, and all mini-batches of it."""
        size = self.per_buffer or max(len(self), 1)
        number = step // size
        return number, range(number * size, min((number + 1) * size, len(self)))

    def buffer(self, epoch: int, number: int) -> Rows:
        """Cells of a buffer in their order, `(cells,)`."""
        _, steps = self.buffer_of(number * (self.per_buffer or 0))
        if not steps:
            return self.index[:0]
        start, stop = self.bounds(steps[0])[0], self.bounds(steps[-1])[1]
        if self.seed is None:
            return self.index[start:stop]
        if self.starts is None:
            return np.random.default_rng([self.seed, epoch]).permutation(self.index)[start:stop]
        blocks = np.random.default_rng([self.seed, epoch]).permutation(len(self.starts))
        ends = np.append(self.starts[1:], len(self.index))
        edges = np.cumsum((ends - self.starts)[blocks])
        first, last = np.searchsorted(edges, [start, stop - 1], side="right")
        cells = np.concatenate([self.index[self.starts[b] : ends[b]] for b in blocks[first : last + 1]])
        before = edges[first] - (ends - self.starts)[blocks[first]]
        return np.random.default_rng([self.seed, epoch, number + 1]).permutation(cells[start - before : stop - before])

    def share(self, cells: Rows, rank: int) -> Rows:
        """Those cells of a mini-batch that are a rank's; where there are fewer cells than ranks, they are repeated.

        Cells that are read into buffers are shared by where they are stored, so that a rank reads few blocks of others.
        """
        if 0 < len(cells) < self.world:
            cells = np.resize(cells, self.world)
        if self.per_buffer is None or self.world == 1:
            return cells[rank :: self.world]
        return np.array_split(np.sort(cells), self.world)[rank]

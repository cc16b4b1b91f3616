"""The walk through mini-batches of some cells: shuffled or in order, read ahead, shared among ranks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from scvcell.model._order import Order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

    from scvcell._types import Rows
    from scvcell.model._source import Ahead, Source
    from scvcell.state import Batch

CELLS_PER_BUFFER = 16_384
"""Cells read from disk at once; they are shuffled among themselves."""
PINNED = ("cuda",)
"""Types of devices that copy page-locked memory while they compute."""


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
    device
        Where mini-batches will be moved. For one of `PINNED` a thread cuts them one ahead into page-locked memory, so
        that they are copied while it computes.

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
        device: torch.device | str = "cpu",
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
        self.rank, self.pinned = rank, torch.device(device).type in PINNED
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
        while left:
            stop = min(n, first + left)
            left -= stop - first
            for step, cut in self._cuts(epoch, first, stop):
                # before it is handed out: Lightning never asks for more than the last one
                self.epoch, self.position = (epoch + 1, 0) if step + 1 == n else (epoch, step + 1)
                if not left and step + 1 == stop:
                    self._first = self.position
                yield cut()
            epoch, first = epoch + 1, 0

    def _cuts(self, epoch: int, first: int, stop: int) -> Iterator[tuple[int, Callable[[], Batch]]]:
        """Steps of a pass from `first` to `stop`, and what gives the mini-batch of each; nothing is kept of it here."""
        world = self.order.world

        def cut(cells: Rows, whole: Rows, ahead: Ahead | None) -> Batch:
            ranks = [self.order.share(whole, rank) for rank in range(world)] if world > 1 else ()
            batch = self.source.cut(cells, ahead=ahead, ranks=ranks, values=self.values)
            return batch.pinned() if self.pinned else batch

        if not self.pinned:
            for step, cells, whole, ahead in self._shares(epoch, first, stop):
                yield step, partial(cut, cells, whole, ahead)
            return
        with ThreadPoolExecutor(1, "scvcell-cut") as thread:
            coming: tuple[int, Future[Batch]] | None = None
            for step, cells, whole, ahead in self._shares(epoch, first, stop):
                ready, coming = coming, (step, thread.submit(cut, cells, whole, ahead))
                if ready is not None:
                    yield ready[0], ready[1].result
            if coming is not None:
                yield coming[0], coming[1].result

    def _shares(self, epoch: int, first: int, stop: int) -> Iterator[tuple[int, Rows, Rows, Ahead | None]]:
        """Steps of a pass from `first` to `stop`: cells of this rank and of all, and rows that were read ahead."""
        if first >= stop:
            return
        last, _ = self.order.buffer_of(stop - 1)
        number, _ = self.order.buffer_of(first)
        if not self.reads:
            for step, cells, whole in self._steps(epoch, number, first, stop):
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

    def _steps(self, epoch: int, number: int, first: int, stop: int) -> list[tuple[int, Rows, Rows]]:
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
        steps = self._steps(epoch, number, first, stop)
        return steps, self.source.read(np.concatenate([cells for _, cells, _ in steps]))

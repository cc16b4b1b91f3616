"""Which cells of a mini-batch have which assays, as index tensors that are made on the host.

A device that had to be asked how many cells are alike would keep its host waiting, many times a step.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray
    from torch import Tensor

    from scvcell._types import Mask, Rows

type Positions = dict[str, Rows]
type Places = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Layout:
    """Positions among cells and among the rows of assays.

    Attributes
    ----------
    counts
        Number of assays of each cell, ``(cells,)``.
    whole
        The view of all cells that sees all of their assays.
    pairs
        Per two assays that share cells: their names, positions in either, and the cells.
    groups
        Per two assays, and batch that has cells of both: positions in either.
    """

    counts: Tensor
    whole: Sight
    pairs: list[tuple[str, str, Tensor, Tensor, Tensor]]
    groups: dict[tuple[str, str], list[Places]]


class Meeting(NamedTuple):
    """Cells of a view that have a modality.

    Attributes
    ----------
    rows, at
        Positions among the rows of the modality, and in the view.
    stands_for
        How many views each stands for, where one was drawn for it; None where all views are decoded.
    """

    rows: Tensor
    at: Tensor
    stands_for: Tensor | None = None


@dataclass(frozen=True)
class Sight:
    """Whom a view is of, what it sees of them, and what can be held against it.

    Attributes
    ----------
    name
        The assay; ``""`` for all together.
    cells
        The cells, sorted, ``(some,)``.
    keep
        Positions of the cells among the rows of the assay; None for all assays together.
    meets
        Per modality, the cells that have it.
    """

    name: str
    cells: Tensor
    keep: Tensor | None
    meets: dict[str, Meeting]


def layout(n_cells: int, rows: Positions, assays: list[str], batch: Rows, device: torch.device | str) -> Layout:
    """The layout of a mini-batch.

    Parameters
    ----------
    n_cells
        Cells of the mini-batch.
    rows
        Per modality, the cells that have it, sorted.
    assays
        Those modalities that tell of the state.
    batch
        Batch code of each cell, ``(cells,)``.
    device
        Where the positions are needed.
    """
    pairs, groups = [], {}
    for a, b in combinations(assays, 2):
        both, in_a, in_b = np.intersect1d(rows[a], rows[b], assume_unique=True, return_indices=True)
        if len(both):
            pairs.append((a, b, *_there(device, in_a, in_b, both)))
        code_a, code_b = batch[rows[a]], batch[rows[b]]
        shared = np.intersect1d(code_a, code_b)
        groups[a, b] = [_there(device, np.flatnonzero(code_a == v), np.flatnonzero(code_b == v)) for v in shared]
    (count,) = _there(device, _has(n_cells, rows, assays).sum(0))
    return Layout(count, _sight("", np.arange(n_cells), None, rows, device), pairs, groups)  # type: ignore[arg-type]


def single_views(
    n_cells: int, rows: Positions, assays: list[str], device: torch.device | str, drawn: Collection[str] = ()
) -> list[Sight]:
    """Views that see one assay of the cells that have several; one for every assay.

    Parameters
    ----------
    n_cells, rows, assays, device
        As in `layout`.
    drawn
        Modalities that meet each cell in one of its views only, drawn by torch's generator of the host, all as often;
        that one stands for all of them.
    """
    has = _has(n_cells, rows, assays)
    counts = has.sum(0)
    chosen = None
    if drawn and (counts > 1).any():
        among = (torch.rand(n_cells, dtype=torch.float64).numpy() * counts).astype(np.int64)
        chosen = (has.cumsum(0) > among).argmax(0)
    found = []
    for number, name in enumerate(assays):
        keep = np.flatnonzero(counts[rows[name]] > 1)
        cells = rows[name][keep]
        if len(cells):
            some = None if chosen is None else chosen[cells] == number
            found.append(_sight(name, cells, keep, rows, device, drawn, some, counts))
    return found


def _has(n_cells: int, rows: Positions, assays: list[str]) -> NDArray[np.bool]:
    """Which cells have which assay, ``(assays, cells)``."""
    has = np.zeros((len(assays), n_cells), bool)
    for number, name in enumerate(assays):
        has[number, rows[name]] = True
    return has


def _sight(
    name: str,
    cells: Rows,
    keep: Rows | None,
    rows: Positions,
    device: torch.device | str,
    drawn: Collection[str] = (),
    some: Mask | None = None,
    counts: Rows | None = None,
) -> Sight:
    """A view of `cells`; `drawn` modalities meet `some` of them, each for as many views as the `counts` of the cell."""
    meets = {}
    for modality, own in rows.items():
        _, at, there = np.intersect1d(cells, own, assume_unique=True, return_indices=True)
        stand: tuple[Rows, ...] = ()
        if some is not None and counts is not None and modality in drawn:
            at, there = at[some[at]], there[some[at]]
            stand = (counts[cells[at]],)
        if len(at):
            meets[modality] = Meeting(*_there(device, there, at, *stand))
    moved = _there(device, cells, *(() if keep is None else (keep,)))
    return Sight(name, moved[0], None if keep is None else moved[1], meets)


def _there(device: torch.device | str, *positions: Rows) -> tuple[Tensor, ...]:
    return tuple(torch.from_numpy(p.astype(np.int64, copy=False)).to(device, non_blocking=True) for p in positions)

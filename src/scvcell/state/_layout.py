"""Which cells of a mini-batch have which assays, as index tensors that are made on the host.

A device that had to be asked how many cells are alike would keep its host waiting, many times a step.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from scvcell._types import Rows

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


@dataclass(frozen=True)
class Sight:
    """What a view of some cells sees of them, and what can be held against it.

    Attributes
    ----------
    name
        The assay; ``""`` for all together, `DRAWN` for one that was drawn for each cell.
    cells
        The cells, sorted, ``(some,)``.
    sees
        Per assay: positions among its rows, and in the view, of the cells that the view sees it of.
    overlaps
        Per modality: positions among its rows, and in the view, of the cells that have it.
    """

    name: str
    cells: Tensor
    sees: dict[str, Places]
    overlaps: dict[str, Places]


DRAWN = "one drawn"
"""Name of the view that sees one assay of each cell, drawn at random."""


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
    every = {name: (np.arange(len(rows[name])), rows[name]) for name in assays}
    return Layout(count, _sight("", np.arange(n_cells), every, rows, device), pairs, groups)  # type: ignore[arg-type]


def single_views(
    n_cells: int, rows: Positions, assays: list[str], device: torch.device | str, *, drawn: bool
) -> list[Sight]:
    """Views that see one assay of the cells that have several.

    Parameters
    ----------
    n_cells, rows, assays, device
        As in `layout`.
    drawn
        Whether one assay is drawn for each cell, all alike, by torch's generator of the host. Otherwise there is a view
        for every assay.
    """
    has = _has(n_cells, rows, assays)
    counts = has.sum(0)
    several = np.flatnonzero(counts > 1)
    if len(several) == 0:
        return []
    if not drawn:
        found = []
        for name in assays:
            keep = np.flatnonzero(counts[rows[name]] > 1)
            if len(keep):
                found.append(_sight(name, rows[name][keep], {name: (keep, np.arange(len(keep)))}, rows, device))
        return found
    among = (torch.rand(len(several), dtype=torch.float64).numpy() * counts[several]).astype(np.int64)
    chosen = np.zeros(n_cells, np.int64)
    chosen[several] = (has[:, several].cumsum(0) > among).argmax(0)
    sees = {}
    for number, name in enumerate(assays):
        keep = np.flatnonzero((counts[rows[name]] > 1) & (chosen[rows[name]] == number))
        if len(keep):
            sees[name] = (keep, np.searchsorted(several, rows[name][keep]))
    return [_sight(DRAWN, several, sees, rows, device)]


def _has(n_cells: int, rows: Positions, assays: list[str]) -> NDArray[np.bool]:
    """Which cells have which assay, ``(assays, cells)``."""
    has = np.zeros((len(assays), n_cells), bool)
    for number, name in enumerate(assays):
        has[number, rows[name]] = True
    return has


def _sight(
    name: str, cells: Rows, sees: dict[str, tuple[Rows, Rows]], rows: Positions, device: torch.device | str
) -> Sight:
    overlaps = {}
    for modality, own in rows.items():
        _, at, keep = np.intersect1d(cells, own, assume_unique=True, return_indices=True)
        if len(keep):
            overlaps[modality] = _there(device, keep, at)
    (there,) = _there(device, cells)
    return Sight(name, there, {m: _there(device, *places) for m, places in sees.items()}, overlaps)  # type: ignore[misc, arg-type]


def _there(device: torch.device | str, *positions: Rows) -> tuple[Tensor, ...]:
    return tuple(torch.from_numpy(p.astype(np.int64, copy=False)).to(device, non_blocking=True) for p in positions)

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
    from torch import Tensor

    from scvcell._types import Rows

type Positions = dict[str, Rows]


@dataclass(frozen=True)
class Layout:
    """Positions among cells and among the rows of assays.

    Attributes
    ----------
    several
        Per assay, positions among its rows of the cells that have another assay, too, and these cells.
    counts
        Number of assays of each cell, ``(cells,)``.
    overlaps
        Per view (an assay, or ``""`` for all cells together) and modality: positions in the modality, and in the view,
        of the cells in both.
    pairs
        Per two assays that share cells: their names, positions in either, and the cells.
    groups
        Per two assays, and batch that has cells of both: positions in either.
    """

    several: dict[str, tuple[Tensor, Tensor]]
    counts: Tensor
    overlaps: dict[tuple[str, str], tuple[Tensor, Tensor]]
    pairs: list[tuple[str, str, Tensor, Tensor, Tensor]]
    groups: dict[tuple[str, str], list[tuple[Tensor, Tensor]]]


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

    def there(*positions: Rows) -> tuple[Tensor, ...]:
        return tuple(torch.from_numpy(p.astype(np.int64, copy=False)).to(device, non_blocking=True) for p in positions)

    counts = np.zeros(n_cells, np.int64)
    for name in assays:
        counts[rows[name]] += 1
    views = {"": np.arange(n_cells)}
    several: dict[str, tuple[Tensor, Tensor]] = {}
    for name in assays:
        keep = np.flatnonzero(counts[rows[name]] > 1)
        if len(keep):
            views[name] = rows[name][keep]
            several[name] = there(keep, views[name])  # type: ignore[assignment]
    overlaps: dict[tuple[str, str], tuple[Tensor, Tensor]] = {}
    for view, cells in views.items():
        for name, own in rows.items():
            _, at, keep = np.intersect1d(cells, own, assume_unique=True, return_indices=True)
            if len(keep):
                overlaps[view, name] = there(keep, at)  # type: ignore[assignment]
    pairs, groups = [], {}
    for a, b in combinations(assays, 2):
        both, in_a, in_b = np.intersect1d(rows[a], rows[b], assume_unique=True, return_indices=True)
        if len(both):
            pairs.append((a, b, *there(in_a, in_b, both)))
        code_a, code_b = batch[rows[a]], batch[rows[b]]
        shared = np.intersect1d(code_a, code_b)
        groups[a, b] = [there(np.flatnonzero(code_a == v), np.flatnonzero(code_b == v)) for v in shared]
    (count,) = there(counts)
    return Layout(several, count, overlaps, pairs, groups)  # type: ignore[arg-type]

"""A mini-batch of a mosaic: each modality brings only the cells that have it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import torch

from scvcell.measure import Context
from scvcell.state._layout import Layout, layout, single_views

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from scvcell._types import Rows
    from scvcell.state._layout import Positions, Sight


@dataclass(frozen=True)
class Observed:
    """What one modality contributes to a mini-batch.

    Attributes
    ----------
    rows
        Positions in the mini-batch of the cells that have the modality, shape ``(some,)``.
    x
        Raw values, shape ``(some, features)``; sparse (COO) for operators that take it so.
    scores
        Front-end scores, shape ``(some, width)``; without columns where encoders do not see the modality.
    depth
        Totals, shape ``(some,)``.
    mask
        Features on the panel, shape ``(some, features)``, or None where all are.
    """

    rows: Tensor
    x: Tensor
    scores: Tensor
    depth: Tensor
    mask: Tensor | None = None


class Share(NamedTuple):
    """What one rank's share of a mini-batch holds, on the host.

    Attributes
    ----------
    rows
        Per modality, positions in the share of the cells that have it.
    assays
        Those modalities that tell of the state.
    batch, confidence
        Batch code of each cell, and its confidence as in `Batch`.
    """

    rows: Positions
    assays: list[str]
    batch: Rows
    confidence: NDArray[np.float32] | None


@dataclass(frozen=True)
class Batch:
    """A mini-batch: context of every cell, and what each modality observed of some of them.

    Attributes
    ----------
    index
        Position of each cell in the data, shape ``(cells,)``.
    context
        Context without depth.
    observed
        One `Observed` per modality that any cell has.
    confidence
        How far each cell's assays can be relied on to be of one cell, shape ``(cells,)``; None where all can.
    host
        Kept on the host: the cells of each modality, which of these are assays, and the batch of each cell.
    n_global
        Cells of the mini-batch on all ranks together, of which these are a share.
    ranks
        Per rank, what its share holds; empty where one process trains alone.
    """

    index: Tensor
    context: Context
    observed: dict[str, Observed]
    confidence: Tensor | None
    host: tuple[Positions, list[str], Rows]
    n_global: int
    ranks: tuple[Share, ...] = ()

    def __len__(self) -> int:
        return len(self.index)

    @cached_property
    def layout(self) -> Layout:
        """Which cells have which assays, on the device of the batch."""
        return layout(len(self), *self.host, self.index.device)

    def single_views(self, drawn: Collection[str] = ()) -> list[Sight]:
        """Views that see one assay of the cells that have several; `drawn` modalities meet each cell in one of them."""
        rows, assays, _ = self.host
        return single_views(len(self), rows, assays, self.index.device, drawn)

    def to(self, device: torch.device | str) -> Batch:
        """The same mini-batch on another device; a GPU of CUDA copies what is `pinned` while it computes."""
        at_once = torch.device(device).type == "cuda"
        return self._each(lambda values: values.to(device, non_blocking=at_once))

    def pinned(self) -> Batch:
        """The same mini-batch in page-locked memory."""
        return self._each(lambda values: values.pin_memory())

    def _each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """The same mini-batch, its tensors changed; of a sparse one its indices and values."""

        def changed(values: Tensor) -> Tensor:
            if not values.is_sparse:
                return change(values)
            parts = change(values.indices()), change(values.values())
            return torch.sparse_coo_tensor(*parts, values.shape, is_coalesced=True, check_invariants=False)

        def moved(o: Observed) -> Observed:
            mask = None if o.mask is None else change(o.mask)
            return Observed(change(o.rows), changed(o.x), change(o.scores), change(o.depth), mask)

        context = Context(change(self.context.design), change(self.context.batch))
        confidence = None if self.confidence is None else change(self.confidence)
        observed = {m: moved(o) for m, o in self.observed.items()}
        return Batch(change(self.index), context, observed, confidence, self.host, self.n_global, self.ranks)

"""What inference yields for a mini-batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from scvcell.state._everywhere import Everywhere
    from scvcell.state._layout import Sight
    from scvcell.state._posterior import Posterior


@dataclass(frozen=True)
class Draw:
    """A posterior from some of the modalities, and a draw from it.

    Attributes
    ----------
    sight
        Which cells, what of them is seen, and what is held against it.
    posterior, z
        Posterior and draw of these cells.
    weight
        Share of each cell's loss that this view carries; a cell's views sum to 1.
    """

    sight: Sight
    posterior: Posterior
    z: Tensor
    weight: Tensor

    @property
    def name(self) -> str:
        """The assay, or ``""`` for all together."""
        return self.sight.name

    @property
    def rows(self) -> Tensor:
        """Sorted positions in the mini-batch, shape ``(some,)``."""
        return self.sight.cells


@dataclass(frozen=True)
class Inference:
    """What inference yields for a mini-batch.

    Attributes
    ----------
    experts
        Per modality, row positions and unimodal posterior.
    joint
        Fused posterior of all cells.
    views
        What is decoded.
    pairs
        For every two modalities: names, both posteriors of the cells that have both, and their positions.
    nodes
        Vectors of the guidance graph's nodes, where there is one.
    everywhere
        Means of the cells of all ranks, where several share the mini-batch.
    """

    experts: dict[str, tuple[Tensor, Posterior]]
    joint: Posterior
    views: list[Draw]
    pairs: list[tuple[str, str, Posterior, Posterior, Tensor]]
    nodes: Tensor | None = None
    everywhere: Everywhere | None = None

"""What is known of cells beside their values: context; and of the features of a modality: summary."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float, Int
    from numpy.typing import NDArray
    from torch import Tensor

    from scvcell._types import Rows


class Scale(StrEnum):
    """Scale s at which a measurement is taken."""

    CELL = "cell"
    SPOT = "spot"
    NICHE = "niche"
    SAMPLE = "sample"


@dataclass(frozen=True)
class Context:
    """c: what is known of a cell besides its state.

    Attributes
    ----------
    design
        One-hot batch, one-hot covariates and standardised continuous covariates, shape ``(cells, n_context)``.
    batch
        Batch code, shape ``(cells,)``.
    depth
        Observed depth (`Measurement.size`) of the modality at hand, shape ``(cells,)``; None where it was not measured,
        then operators use the median depth of the batch.
    """

    design: Float[Tensor, "cells context"]
    batch: Int[Tensor, " cells"]
    depth: Float[Tensor, " cells"] | None = None

    def at(self, rows: Int[Tensor, " some"]) -> Context:
        """Context of some of the cells."""
        return Context(self.design[rows], self.batch[rows], None if self.depth is None else self.depth[rows])

    def measured(self, depth: Float[Tensor, " cells"] | None) -> Context:
        """The same context with the depth of another modality."""
        return replace(self, depth=depth)


@dataclass(frozen=True)
class Summary:
    """What an operator may learn from the training cells before training, and what the model knows of its features.

    Attributes
    ----------
    n_features
        Number of features.
    n_context, n_batches
        Width of `Context.design`, and how many of its columns are batches.
    mean_log
        Mean of log1p counts (of the raw values where they are not counts) per batch and feature, shape ``(n_batches,
        n_features)``.
    sd_log
        Their standard deviation, same shape.
    depth
        Median depth per batch (`Measurement.size`), shape ``(n_batches,)``.
    mean
        Mean raw value per feature, shape ``(n_features,)``.
    cells
        Training cells per batch, shape ``(n_batches,)``.
    panel
        Which features each batch measured, shape ``(n_batches, n_features)``; None where every batch measured all.
    rest
        Mean of what a given depth holds beyond the features; None where the depth is that of the features.
    """

    n_features: int
    n_context: int
    n_batches: int
    mean_log: NDArray[np.float32]
    sd_log: NDArray[np.float32]
    depth: NDArray[np.float32]
    mean: NDArray[np.float32]
    cells: Rows
    panel: NDArray[np.bool] | None = None
    rest: float | None = None

"""One assay of some cells: operator, values and context; and what the assay is expected to show in a state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from scvcell._containers import Matrix
from scvcell._labels import label
from scvcell._registry import near_miss
from scvcell.measure import Context

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scvcell._containers import View
    from scvcell._types import Array, Mask, Rows
    from scvcell.measure import Measurement
    from scvcell.model._schema import Schema
    from scvcell.state import Posterior

CELLS_PER_BLOCK = 1024
"""Cells that are decoded at once."""


@dataclass(frozen=True)
class Decoded:
    """What a modality is expected to show.

    Attributes
    ----------
    point
        Point prediction on the raw scale, ``(cells, features)``.
    mean
        Mean of the predictive distribution, same shape.
    """

    point: NDArray[np.float32]
    mean: NDArray[np.float32]


@dataclass(frozen=True, repr=False, eq=False)
class Readout:
    """One assay of some cells. It knows no model. The data may lack the assay; then no cell has it.

    Attributes
    ----------
    name
        The modality.
    features
        Names of its features.
    operator
        Its measurement operator.
    matrix, rows
        Raw values, ``(rows, features)``, and the row of each cell in them, ``(cells,)``; -1 where a cell lacks the
        assay.
    ctx
        Context of every cell, without its depth.
    panel
        Which features each batch measured, ``(batches, features)``; None where all did.
    device
        Device of the operator.
    """

    name: str
    features: list[str]
    operator: Measurement
    matrix: Matrix
    rows: Rows
    ctx: Context
    panel: Mask | None
    device: torch.device

    @classmethod
    def of(
        cls,
        operator: Measurement,
        schema: Schema,
        data: View,
        name: str,
        *,
        matrix: Matrix | None,
        batch: Any,
        device: torch.device,
    ) -> Readout:
        """The readout of a modality of a view.

        Parameters
        ----------
        operator, schema
            Operator of the modality, and the schema of its model.
        data, name
            View of the data, with features in the model's order; and name of the modality.
        matrix
            Its values; None where the data lack it.
        batch
            Batch that all cells are taken to be of; None: each cell is of its own.
        device
            Device of the operator.

        Raises
        ------
        ValueError
            If the model knows no such batch.
        """
        contexts, code = schema.context(data)
        design = contexts[:]
        if batch is not None:
            batch = label(batch)
            if batch not in schema.batches:
                hint = near_miss(batch, schema.batches)
                raise ValueError(f"The model knows no batch {batch!r}; it has {schema.batches}.{hint}")
            number = schema.batches.index(batch)
            design[:, : len(schema.batches)] = 0
            design[:, number] = 1
            code[:] = number
        features = schema.modalities[name].features
        rows = np.full(data.n_obs, -1) if matrix is None else data.rows[name]
        values = Matrix(np.zeros((0, len(features)))) if matrix is None else matrix
        panel = data.panel(name, schema.batches) if name in data.modalities else None
        ctx = Context(torch.from_numpy(design), torch.from_numpy(code))
        return cls(name, features, operator, values, rows, ctx, panel, device)

    def __repr__(self) -> str:
        return f"Readout of {self.name!r}: {self.count()} of {len(self.rows)} cells, {len(self.features)} features."

    def count(self, cells: Rows | slice = slice(None)) -> int:
        """How many of the cells have the assay."""
        return int((self.rows[cells] >= 0).sum())

    def known(self, cells: Rows) -> Context:
        """Context of some cells on the device, without depth."""
        return self.operator.known(
            Context(self.ctx.design[cells].to(self.device), self.ctx.batch[cells].to(self.device))
        )

    def at(self, cells: Rows) -> Context:
        """Context of some cells with their measured depth; that typical of the batch for those that lack the assay."""
        ctx = self.known(cells)
        rows = self.rows[cells]
        depth = self.operator.typical_depth[ctx.batch].clone()
        here = np.flatnonzero(rows >= 0)
        if len(here):
            size = self.matrix.all_depths(rows[here], self.operator.size)
            depth[torch.from_numpy(here)] = torch.from_numpy(size).to(depth)
        return ctx.measured(depth)

    def depth(self) -> NDArray[np.float32]:
        """Measured depth of each cell, ``(cells,)``; NaN where it lacks the assay."""
        out = np.full(len(self.rows), np.nan, np.float32)
        at = np.flatnonzero(self.rows >= 0)
        out[at] = self.matrix.all_depths(self.rows[at], self.operator.size)
        return out

    def dense(self, cells: Rows) -> Array:
        """Measured values, 0 for cells that lack the assay, ``(cells, features)``."""
        rows = self.rows[cells]
        x = np.zeros((len(cells), self.matrix.shape[1]), np.float32)
        if (rows >= 0).any():
            x[rows >= 0] = self.matrix.dense(rows[rows >= 0])
        return x

    @torch.inference_mode()
    def decode(self, posterior: Posterior, *, own_depth: bool = False) -> Decoded:
        """What the modality is expected to show at the posterior mean of each cell.

        Parameters
        ----------
        posterior
            States of all cells of the readout, in their order.
        own_depth
            Whether cells that have the assay are read at their measured depth; by default all are at the expected one.
        """
        own = torch.from_numpy(self.depth()) if own_depth else None
        points, means = [], []
        for cells in torch.arange(len(self.rows)).split(CELLS_PER_BLOCK):
            here, z = self.known(cells.numpy()), posterior.mean[cells].to(self.device)
            if own is not None:
                deep = own[cells].to(self.device)
                here = here.measured(torch.where(deep.isnan(), self.operator.depth(here, z), deep))
            points.append(self.operator.predict(z, here).cpu().numpy())
            means.append(self.operator.predictive(z, here).mean.cpu().numpy())
        return Decoded(np.concatenate(points), np.concatenate(means))

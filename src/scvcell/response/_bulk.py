"""Means of one assay over groups, measured and expected, on the scale on which effects of actions are compared."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
import torch

from scvcell.measure import Shares, expected_log1p

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scvcell._types import Array, Rows
    from scvcell.model import Readout


COUNTS_PER_CELL = 1e4
"""Counts that a cell is brought to before the logarithm."""
FEWEST_CELLS = 10
"""Samples below which a mean says nothing of its own variance, and a condition teaches the flow nothing."""
CELLS_PER_BLOCK = 2048
"""Cells whose expectations are held at once."""
EXPECTED_CELLS = 500
"""Cells, evenly from a group, of which expectations are taken."""


class Bulk:
    """Means of one assay over groups of cells, measured and expected, on the scale on which effects are compared.

    The mean over cells of log(1 + counts per 10,000) where counts have a depth; log1p of the mean for other counts;
    else the mean.

    Parameters
    ----------
    readout
        The assay of the cells.

    Raises
    ------
    ValueError
        If features of the model were not measured in the data.
    """

    def __init__(self, readout: Readout) -> None:
        panel = readout.panel
        if panel is not None and not panel.any(0).all():
            raise ValueError(
                f"Effects of actions are compared with measured values; {(~panel.any(0)).sum()} features of the model "
                f"were not measured in {readout.name!r} of these data. Give data with all, or fit on features that "
                "both have."
            )
        self.readout = readout
        self.operator, self.matrix, self.rows = readout.operator, readout.matrix, readout.rows
        self.shares = self.operator.count_data and isinstance(self.operator, Shares)
        self.device, self.count, self.at = readout.device, readout.count, readout.at

    @property
    def per_log2(self) -> float:
        """What the effect scale is divided by to be told: logs of counts to base 2."""
        return math.log(2) if self.operator.count_data else 1.0

    def measured(self, cells: Rows) -> tuple[Array, Array]:
        """Mean of cells that have the assay, and the variance of one cell, both on the effect scale.

        Where counts have a depth, one more entry holds the log of its mean.
        """
        rows = self.rows[cells]
        n = max(int((rows >= 0).sum()), 1)
        total, square = np.zeros(self.matrix.shape[1]), np.zeros(self.matrix.shape[1])
        sizes = []
        for values, size in self._values(rows[rows >= 0]):
            total += _sum(values)
            square += _sum(values.power(2) if sp.issparse(values) else np.square(values))
            sizes.append(size)
        mean = total / n
        var = np.maximum(square / n - mean**2, 0) * n / max(n - 1, 1)
        if self.shares:
            size = np.concatenate(sizes)
            depth = max(float(size.mean()), 1.0)
            return np.append(mean, np.log(depth)), np.append(var, float(size.var()) / depth**2)
        return self._logged(mean), var / (1 + np.maximum(mean, 0)) ** 2 if self.operator.count_data else var

    def _values(self, rows: Rows) -> Iterator[tuple[Any, Array]]:
        """What is averaged over cells, block by block, and their depths."""
        block: Any
        rows, start = np.sort(rows), 0
        for block in self.matrix.chunks(rows):
            size = self.depths(rows[start : start + block.shape[0]], block)
            start += block.shape[0]
            if not self.shares:
                yield block, size
            elif sp.issparse(block):
                yield sp.csr_matrix(block.multiply(COUNTS_PER_CELL / size[:, None])).log1p(), size
            else:
                yield np.log1p(block * (COUNTS_PER_CELL / size[:, None])), size

    def depths(self, rows: Rows, block: Any) -> Array:
        """Depth of rows of the assay, of which `block` are the values, at least 1, ``(rows,)``."""
        return np.maximum(self.matrix.depths(rows, block, lambda x: _sum(x.T)).astype(float), 1.0)

    def _logged(self, mean: Array) -> Array:
        """Means of `_values` on the effect scale."""
        return np.log1p(np.maximum(mean, 0)) if self.operator.count_data and not self.shares else mean

    def replicates(self, cells: Rows, n: int, rng: np.random.Generator) -> Array:
        """Pseudobulks of cells that have the assay: of all, and without each of n groups of them, for the jackknife.

        Returns
        -------
        log(1 + counts per 10,000) of the summed counts, else means as of `measured`, ``(1 + n, features)``.
        """
        rows = rng.permutation(self.rows[cells][self.rows[cells] >= 0])
        groups = np.array_split(rows, n)
        part = np.zeros((n, self.matrix.shape[1]))
        for total, group in zip(part, groups, strict=True):
            for block in self.matrix.chunks(np.sort(group)):
                total += _sum(block)
        given = self.matrix.depth
        deep = part.sum(1) if given is None else np.array([given[group].sum(dtype=float) for group in groups])
        sums = np.concatenate([part.sum(0, keepdims=True), part.sum(0) - part])
        size = deep.sum() - np.array([0, *deep]) if self.shares else len(rows) - np.array([0, *map(len, groups)])
        return self.each(sums / np.maximum(size, 1)[:, None])

    @torch.inference_mode()
    def expected(self, cells: Rows, z: torch.Tensor) -> Array:
        """Mean expected of `cells` (of some, if many) in states `z`, ``(cells, latent)``, on the effect scale."""
        at = evenly(len(cells))
        ctx, z = self.at(cells[at]), z[at].to(self.device)
        found = self.operator.predictive(z, ctx)
        if not self.shares:
            return self._logged(_mean(found.mean))
        value = expected_log1p(
            found.mean, getattr(found, "theta", None), scale=COUNTS_PER_CELL / self.operator.depth(ctx, z)[:, None]
        )
        return np.append(_mean(value), 0.0)

    def each(self, values: Array) -> Array:
        """Values (or shares) of cells on the effect scale, ``(cells, features)``."""
        if self.shares:
            return np.log1p(COUNTS_PER_CELL * values)
        return self._logged(values)

    @torch.inference_mode()
    def level(self, cells: Rows, z: torch.Tensor) -> Array:
        """Values (or shares) expected of each of `cells` in states `z`, on the effect scale, ``(cells, features)``."""
        out = []
        for at in torch.arange(len(cells)).split(CELLS_PER_BLOCK):
            ctx, here = self.at(cells[at.numpy()]), z[at].to(self.device)
            value = self.operator.frequency(here, ctx) if self.shares else self.operator.predictive(here, ctx).mean  # type: ignore[operator]
            out.append(self.each(value.cpu().numpy()))
        return np.concatenate(out)

    def after(self, cells: Rows, residual: Array | None = None) -> Array:
        """Depth of cells after an action that leaves `residual` (default: of cells as they are), ``(cells,)``."""
        depth = self.at(cells).depth
        if depth is None or not self.shares:
            return np.ones(len(cells))
        return depth.cpu().numpy().astype(float) * (1.0 if residual is None else np.exp(residual[-1]))

    def pooled(self, values: Array, groups: list[Rows]) -> Array:
        """Bulk sample of each group of rows: the sum of counts, else the mean, ``(groups, features)``."""
        return np.stack([values[g].sum(0) if self.operator.count_data else values[g].mean(0) for g in groups])


def evenly(n: int, most: int = EXPECTED_CELLS) -> Rows:
    """Positions of at most `most` of n cells, evenly."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(np.int64))


def _mean(values: torch.Tensor) -> Array:
    """Mean over rows in double precision, which Apple's GPUs lack."""
    values = values.cpu() if values.device.type == "mps" else values
    return values.double().mean(0).cpu().numpy()


def _sum(values: Any) -> Array:
    """Sum over rows, dense or sparse."""
    return np.asarray(values.sum(0), dtype=float).ravel()

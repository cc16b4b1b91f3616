"""Pseudobulks of one assay, measured and expected, on the scale on which effects of actions are compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
import torch

from scvcell._matrix import Matrix
from scvcell.measure import Context
from scvcell.model._predict import context

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scvcell._containers import View
    from scvcell.model._csl import CSL

    Array = NDArray[np.floating]

PER = 1e4
"""Shares are compared as log(1 + share * per), with `per` at most this."""
MOST_SHIFT = 3.0
"""Natural log by which a feature is moved at most beyond what the flow does."""
FEWEST = 10
"""Samples below which a mean says nothing of its own variance, and a condition teaches the flow nothing."""
BLOCK = 2048


class Bulk:
    """Pseudobulks of one assay, measured and expected, on the scale on which effects are compared.

    Log of 1 + counts per 10,000 where counts have a depth, log1p of the mean for other counts, else the mean.

    Parameters
    ----------
    model, data, name
        Model, its view of data, and the modality, which the data may lack.
    """

    def __init__(self, model: CSL, data: View, name: str, per: float = PER) -> None:
        self.per = per
        self.operator = model._trained_module().operators[name]
        self.matrix, self.rows = Matrix(np.zeros((0, self.operator.n_features))), np.full(data.n_obs, -1)
        if name in data.modalities:
            self.matrix, self.rows = model._matrix(data, name), data.rows[name]
        self.ctx = context(model, data)
        self.shares = self.operator.count_data and hasattr(self.operator, "frequency")
        self.device = model._trained_module().device

    def count(self, cells: NDArray[np.int64]) -> int:
        """How many of the cells have the assay."""
        return int((self.rows[cells] >= 0).sum())

    def scale(self, total: Array) -> Array:
        """Mean (or, of shares, total) values on the effect scale."""
        if self.shares:
            return np.log1p(self.per * total / max(float(total.sum()), 1e-8))
        return np.log1p(np.maximum(total, 0)) if self.operator.count_data else total

    def depth(self, cells: NDArray[np.int64]) -> float:
        """Sum of all values of cells that have the assay."""
        rows = self.rows[cells]
        return float(sum(block.sum() for block in self.matrix.chunks(rows[rows >= 0])))

    def measured(self, cells: NDArray[np.int64]) -> tuple[Array, Array]:
        """Pseudobulk of cells that have the assay, on the effect scale, and its sampling variance.

        Where values are shares, one more entry holds the log of the mean depth.
        """
        rows = self.rows[cells]
        rows = rows[rows >= 0]
        n = max(len(rows), 1)
        total, square, crossed = (np.zeros(self.matrix.shape[1]) for _ in range(3))
        sizes = []
        block: Any
        for block in self.matrix.chunks(rows):
            size = np.asarray(block.sum(1), dtype=float).ravel()
            total += np.asarray(block.sum(0), dtype=float).ravel()
            square += np.asarray(
                (block.power(2) if sp.issparse(block) else np.square(block)).sum(0), dtype=float
            ).ravel()
            crossed += np.asarray(block.T @ size, dtype=float).ravel()
            sizes.append(size)
        if self.shares:
            size = np.concatenate(sizes)
            depth = max(float(size.sum()), 1.0)
            share = total / depth
            spread = np.maximum(square - 2 * share * crossed + share**2 * (size**2).sum(), 0) + 0.5
            slope = self.per / depth / (1 + self.per * share)
            noise = float(size.var()) * n / depth**2 + 1e-6
            return np.append(self.scale(total), np.log(depth / n)), np.append(slope**2 * spread, noise)
        mean = total / n
        var = np.maximum(square / n - mean**2, 0) / max(n - 1, 1) + 1e-6
        return self.scale(mean), var / (1 + np.maximum(mean, 0)) ** 2 if self.operator.count_data else var

    def replicates(self, cells: NDArray[np.int64], n: int, rng: np.random.Generator) -> Array:
        """Pseudobulks of cells that have the assay, on the effect scale: of all, and without each of n groups of them.

        Returns
        -------
        Values, ``(1 + n, features)``, for the jackknife.
        """
        rows = rng.permutation(self.rows[cells][self.rows[cells] >= 0])
        groups = np.array_split(rows, n)
        part = np.zeros((n, self.matrix.shape[1]))
        for total, group in zip(part, groups, strict=True):
            for block in self.matrix.chunks(np.sort(group)):
                total += np.asarray(block.sum(0), dtype=float).ravel()
        sums = np.concatenate([part.sum(0, keepdims=True), part.sum(0) - part])
        size = len(rows) - np.array([0, *map(len, groups)])
        return np.array([self.scale(x if self.shares else x / max(k, 1)) for x, k in zip(sums, size, strict=True)])

    @torch.inference_mode()
    def expected(self, cells: NDArray[np.int64], z: torch.Tensor) -> Array:
        """Pseudobulk expected of `cells` in states `z`, ``(cells, latent)``, on the effect scale."""
        total = self.total(cells, z)
        return np.append(self.scale(total), 0.0) if self.shares else self.scale(total)

    def each(self, values: Array) -> Array:
        """Values (or shares) of cells on the effect scale, ``(cells, features)``."""
        if self.shares:
            return np.log1p(self.per * values)
        return np.log1p(np.maximum(values, 0)) if self.operator.count_data else values

    @torch.inference_mode()
    def level(self, cells: NDArray[np.int64], z: torch.Tensor) -> Array:
        """Values (or shares) expected of each of `cells` in states `z`, on the effect scale, ``(cells, features)``."""
        out = []
        for at in torch.arange(len(cells)).split(BLOCK):
            ctx, here = self.at(cells[at.numpy()]), z[at].to(self.device)
            value = self.operator.frequency(here, ctx) if self.shares else self.operator.predictive(here, ctx).mean  # type: ignore[operator]
            out.append(self.each(value.cpu().numpy()))
        return np.concatenate(out)

    @torch.inference_mode()
    def total(self, cells: NDArray[np.int64], z: torch.Tensor) -> Array:
        """Sum of shares, or mean of values, expected of `cells` in states `z`."""
        total = np.zeros(self.matrix.shape[1])
        for at in torch.arange(len(cells)).split(BLOCK):
            ctx = self.at(cells[at.numpy()])
            here = z[at].to(self.device)
            if self.shares:
                value = self.operator.frequency(here, ctx)  # type: ignore[operator]
                depth = ctx.depth
                value = value if depth is None else value * depth[:, None]
            else:
                value = self.operator.predictive(here, ctx).mean
            total += value.sum(0).double().cpu().numpy()
        return total if self.shares else total / max(len(cells), 1)

    def at(self, cells: NDArray[np.int64]) -> Context:
        """Context of some cells with their own depth, typical where they lack the assay."""
        ctx = self.operator.known(
            Context(self.ctx.design[cells].to(self.device), self.ctx.batch[cells].to(self.device))
        )
        rows = self.rows[cells]
        depth = self.operator.typical_depth[ctx.batch].clone()
        here = np.flatnonzero(rows >= 0)
        if len(here):
            size = np.asarray(self.operator.size(self.matrix.rows(rows[here])), dtype=np.float32).ravel()
            depth[torch.from_numpy(here)] = torch.from_numpy(size).to(depth)
        return ctx.measured(depth)

    def shift(self, total: Array, residual: Array) -> tuple[Array, float]:
        """How far each feature is to be moved so that a group meets its effect, and the change of its log depth.

        Parameters
        ----------
        total
            What `total` expects of the group.
        residual
            What is to be added on the effect scale; one more entry for the depth of shares.

        Returns
        -------
        Shift for `Measurement.shifted`, ``(features,)``, and the change of the log depth.
        """
        if not self.operator.count_data:
            return residual, 0.0
        level = self.per * total / max(float(total.sum()), 1e-8) if self.shares else np.maximum(total, 1e-8)
        features = residual[: len(level)]
        wanted = np.maximum(np.expm1(np.log1p(level) + features), 1e-3 * level)
        shift = np.clip(np.log(np.maximum(wanted, 1e-12) / np.maximum(level, 1e-12)), -MOST_SHIFT, MOST_SHIFT)
        return np.where(features == 0, 0.0, shift), float(residual[-1]) if self.shares else 0.0

    @torch.inference_mode()
    def counterfactual(
        self,
        cells: NDArray[np.int64],
        before: torch.Tensor,
        after: torch.Tensor,
        residual: Array,
        rng: np.random.Generator,
    ) -> tuple[Array, Array]:
        r"""Values that cells would have after an action, from those that they have.

        .. math::
            x' = \mathrm{Binomial}\big(x, \min(1, \mu_1 / \mu_0)\big) +
                 \mathrm{Binomial}\big(y, \max(0, 1 - \mu_0 / \mu_1)\big), \quad y \sim p(\cdot \mid \mu_1)

        with :math:`\mu_0, \mu_1` what the operator expects before and after. Molecules are taken away or added, so that
        no action changes nothing and what the operator does not model of a cell stays with it. Continuous values move
        by :math:`\mu_1 - \mu_0`. A cell without the assay gets a draw.

        Parameters
        ----------
        cells
            Positions of the cells.
        before, after
            Their states, ``(cells, latent)``.
        residual
            See `shift`.
        rng
            Draws.

        Returns
        -------
        Values and expected values after the action, ``(cells, features)`` each.
        """
        move, deeper = self.shift(self.total(cells, after), residual)
        shift = torch.from_numpy(np.asarray(move, dtype=np.float32)).to(self.device)
        values, expected = [], []
        for at in torch.arange(len(cells)).split(BLOCK):
            here = cells[at.numpy()]
            ctx = self.at(here)
            deep = ctx if ctx.depth is None else ctx.measured(ctx.depth * float(np.exp(deeper)))
            old = self.operator.predictive(before[at].to(self.device), ctx).mean.cpu().numpy()
            new = self.operator.shifted(after[at].to(self.device), deep, shift)
            mean = new.mean.cpu().numpy()
            rows = self.rows[here]
            has = rows >= 0
            x = np.zeros(mean.shape, np.float32)
            if has.any():
                x[has] = self.matrix.dense(rows[has])
            if not self.operator.count_data:
                value = np.where(has[:, None], x + mean - old, rng.normal(mean, new.stddev.cpu().numpy()))
            else:
                with torch.random.fork_rng(devices=[]):
                    torch.manual_seed(int(rng.integers(2**31)))
                    fresh = new.sample().cpu().numpy().astype(np.int64)
                ratio = np.where(has[:, None], mean / np.maximum(old, 1e-12), np.inf)
                kept = rng.binomial(x.astype(np.int64), np.minimum(1, ratio))
                value = kept + rng.binomial(fresh, np.clip(1 - 1 / np.maximum(ratio, 1e-12), 0, 1))
            values.append(value.astype(np.float32))
            expected.append(mean.astype(np.float32))
        return np.concatenate(values), np.concatenate(expected)

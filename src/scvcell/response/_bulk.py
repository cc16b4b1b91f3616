"""Means of one assay over groups, measured and expected, on the scale on which effects of actions are compared."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
import torch

from scvcell._matrix import Matrix
from scvcell._random import seeded
from scvcell.measure import Context, Shares, expected_log1p
from scvcell.model import context

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch.distributions import Distribution

    from scvcell._containers import View
    from scvcell._types import Array, Rows
    from scvcell.model import CSL


PER = 1e4
"""Counts that a cell is brought to before the logarithm."""
MOST_SHIFT = 3.0
"""Natural log by which a feature is moved at most beyond what the flow does."""
FEWEST = 10
"""Samples below which a mean says nothing of its own variance, and a condition teaches the flow nothing."""
BLOCK = 2048
SOME = 500
"""Cells, evenly from a group, of which expectations are taken."""
ROUNDS, CLOSE = 6, 1e-3
"""Rounds in which a group is brought to its effect at most, and how near it then is."""


class Bulk:
    """Means of one assay over groups of cells, measured and expected, on the scale on which effects are compared.

    The mean over cells of log(1 + counts per 10,000) where counts have a depth; log1p of the mean for other counts;
    else the mean.

    Parameters
    ----------
    model, data, name
        Model, its view of data, and the modality, which the data may lack.
    """

    def __init__(self, model: CSL, data: View, name: str) -> None:
        self.operator = model._trained_module().operators[name]
        self.matrix, self.rows = Matrix(np.zeros((0, self.operator.n_features))), np.full(data.n_obs, -1)
        panel = data.panel(name, model.schema.batches) if name in data.modalities else None
        if panel is not None and not panel.any(0).all():
            raise ValueError(
                f"Effects of actions are compared with measured values; {(~panel.any(0)).sum()} features of the model "
                f"were not measured in {name!r} of these data. Give data with all, or fit on features that both have."
            )
        if name in data.modalities:
            self.matrix, self.rows = model._matrix(data, name), data.rows[name]
        self.ctx = context(model, data)
        self.shares = self.operator.count_data and isinstance(self.operator, Shares)
        self.device = model._trained_module().device

    @property
    def unit(self) -> float:
        """What the effect scale is divided by to be told: logs of counts to base 2."""
        return math.log(2) if self.operator.count_data else 1.0

    def count(self, cells: Rows) -> int:
        """How many of the cells have the assay."""
        return int((self.rows[cells] >= 0).sum())

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
                yield sp.csr_matrix(block.multiply(PER / size[:, None])).log1p(), size
            else:
                yield np.log1p(block * (PER / size[:, None])), size

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
            return self._logged(found.mean.double().mean(0).cpu().numpy())
        value = expected_log1p(
            found.mean, getattr(found, "theta", None), scale=PER / self.operator.depth(ctx, z)[:, None]
        )
        return np.append(value.double().mean(0).cpu().numpy(), 0.0)

    def each(self, values: Array) -> Array:
        """Values (or shares) of cells on the effect scale, ``(cells, features)``."""
        if self.shares:
            return np.log1p(PER * values)
        return self._logged(values)

    @torch.inference_mode()
    def level(self, cells: Rows, z: torch.Tensor) -> Array:
        """Values (or shares) expected of each of `cells` in states `z`, on the effect scale, ``(cells, features)``."""
        out = []
        for at in torch.arange(len(cells)).split(BLOCK):
            ctx, here = self.at(cells[at.numpy()]), z[at].to(self.device)
            value = self.operator.frequency(here, ctx) if self.shares else self.operator.predictive(here, ctx).mean  # type: ignore[operator]
            out.append(self.each(value.cpu().numpy()))
        return np.concatenate(out)

    def at(self, cells: Rows) -> Context:
        """Context of some cells with their own depth, typical where they lack the assay."""
        ctx = self.operator.known(
            Context(self.ctx.design[cells].to(self.device), self.ctx.batch[cells].to(self.device))
        )
        rows = self.rows[cells]
        depth = self.operator.typical_depth[ctx.batch].clone()
        here = np.flatnonzero(rows >= 0)
        if len(here):
            size = self.matrix.all_depths(rows[here], self.operator.size)
            depth[torch.from_numpy(here)] = torch.from_numpy(size).to(depth)
        return ctx.measured(depth)

    def after(self, cells: Rows, residual: Array | None = None) -> Array:
        """Depth of cells after an action that leaves `residual` (default: of cells as they are), ``(cells,)``."""
        depth = self.at(cells).depth
        if depth is None or not self.shares:
            return np.ones(len(cells))
        return depth.cpu().numpy().astype(float) * (1.0 if residual is None else np.exp(residual[-1]))

    @torch.inference_mode()
    def shift(self, cells: Rows, before: torch.Tensor, after: torch.Tensor, residual: Array) -> torch.Tensor:
        """How far `Measurement.shifted` is to move each feature so that the group meets its effect, ``(features,)``.

        Parameters
        ----------
        cells, before, after, residual
            As `counterfactual`.
        """
        if not self.operator.count_data:
            return self._tensor(residual)
        if self.shares:
            return self._tilt(cells, before, after, residual)
        level = np.expm1(self.expected(cells, after))
        wanted = np.maximum(np.expm1(np.log1p(level) + residual), 1e-3 * level)
        move = np.clip(np.log(np.maximum(wanted, 1e-12) / np.maximum(level, 1e-12)), -MOST_SHIFT, MOST_SHIFT)
        return self._tensor(np.where(residual == 0, 0.0, move))

    def _tilt(self, cells: Rows, before: torch.Tensor, after: torch.Tensor, residual: Array) -> torch.Tensor:
        """`shift` of shares, found by iteration: molecules are added and taken away cell by cell.

        Shares sum to one, so that not all effects can be met. Those are that are nearest by least squares, where a
        feature of which a change is worth more counts counts more, by the square root. Where the depth is given, the
        rest of the counts is one more feature, of which no effect is known; it gives what the others take.
        """
        at = evenly(len(cells))
        here, ctx = cells[at], self.at(cells[at])
        z0, z1 = before[at].to(self.device), after[at].to(self.device)
        deep = ctx.measured(self.operator.depth(ctx, z0) * float(np.exp(residual[-1])))
        old = self.operator.predictive(z0, ctx).mean
        x, has = self._tensor(self._dense(here)), torch.from_numpy(self.rows[here] >= 0).to(self.device)[:, None]
        rest = 0 if getattr(self.operator, "rest", None) is None else 1
        start = self.operator.depth(ctx, z0)[:, None]
        other = torch.where(has, (start - x.sum(1, keepdim=True)).clamp(min=0), 0.0)
        of_rest = (start - old.sum(1, keepdim=True)).clamp_min(1e-12)

        def changed(now: torch.Tensor, before: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            ratio = torch.where(has, now / before, math.inf)
            return ratio.clamp(max=1), now * (1 - 1 / ratio.clamp_min(1e-12)).clamp(min=0)

        def mean(found: Distribution, depth: torch.Tensor) -> torch.Tensor:
            kept, new = changed(found.mean, old.clamp_min(1e-12))
            size, beside = (x * kept + new).sum(1, keepdim=True), x[:, :0]
            if rest:
                kept_rest, more = changed((depth - found.mean.sum(1, keepdim=True)).clamp(min=0), of_rest)
                beside = other * kept_rest + more
                size = size + beside
            scale = PER / size.clamp_min(1)
            value = expected_log1p(new, getattr(found, "theta", None), scale=scale, count=x, kept=kept)
            return torch.cat([value, (scale * beside).log1p()], 1).mean(0)

        shift = x.new_zeros(x.shape[1] + rest)
        target = mean(self.operator.predictive(z0, ctx), start)
        if not torch.equal(before, after) or residual.any():
            moved = self.expected(cells, after) - self.expected(cells, before) + residual
            target = (target + self._tensor(np.append(moved[:-1], np.zeros(rest)))).clamp_min(0)
            worth, damp = self._answer(torch.cat([x, other[:, :rest]], 1))
            give = worth.sqrt()
            give[x.shape[1] :] = worth[x.shape[1] :]
            give = give / (worth * give).sum()
            for _ in range(ROUNDS):
                value = mean(self.operator.shifted(z1, deep, _beside(shift, rest)), self.operator.depth(deep)[:, None])
                short = target - value
                short = short - give * (worth @ short)
                if short.abs().max() < CLOSE:
                    break
                step = damp * ((value + short).expm1().clamp_min(1e-4) / value.expm1().clamp_min(1e-4)).log()
                shift = (shift + step).clamp(-MOST_SHIFT, MOST_SHIFT)
        return _beside(shift, rest)

    @staticmethod
    def _answer(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What more molecules do to features of some counts.

        Returns
        -------
        By how many counts per 10,000 the mean rises with the mean log; and how much less than one number of the mean
        log, the same in all cells, changes it, ``(features,)`` each.
        """
        one = PER / x.sum(1, keepdim=True).clamp_min(1)
        level = (one * x).log1p()
        rise = (x * (level - (one * (x - 1).clamp_min(0)).log1p())).mean(0)
        seen, level = rise > 0, level.mean(0)
        worth = torch.where(seen, (one * x).mean(0) / rise, one.mean() / one.log1p().mean())
        return worth, torch.where(seen, -(-level).expm1() / rise, 1.0).clamp(max=1)

    def _tensor(self, values: Array) -> torch.Tensor:
        return torch.from_numpy(np.asarray(values, dtype=np.float32)).to(self.device)

    def _dense(self, cells: Rows) -> Array:
        """Measured values, 0 for cells that lack the assay, ``(cells, features)``."""
        rows = self.rows[cells]
        x = np.zeros((len(cells), self.matrix.shape[1]), np.float32)
        if (rows >= 0).any():
            x[rows >= 0] = self.matrix.dense(rows[rows >= 0])
        return x

    @torch.inference_mode()
    def counterfactual(
        self,
        cells: Rows,
        before: torch.Tensor,
        after: torch.Tensor,
        residual: Array,
        rng: np.random.Generator,
        shift: torch.Tensor | None = None,
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
            What is to be added on the effect scale; one more entry for the log depth of shares.
        rng
            Draws.
        shift
            What `shift` says, if it has been asked.

        Returns
        -------
        Values and expected values after the action, ``(cells, features)`` each.
        """
        shift = self.shift(cells, before, after, residual) if shift is None else shift
        deeper = float(np.exp(residual[-1])) if self.shares else 1.0
        values, expected = [], []
        for at in torch.arange(len(cells)).split(BLOCK):
            here = cells[at.numpy()]
            ctx = self.at(here)
            deep = ctx if ctx.depth is None else ctx.measured(ctx.depth * deeper)
            old = self.operator.predictive(before[at].to(self.device), ctx).mean.cpu().numpy()
            new = self.operator.shifted(after[at].to(self.device), deep, shift)
            mean = new.mean.cpu().numpy()
            has, x = self.rows[here] >= 0, self._dense(here)
            if not self.operator.count_data:
                value = np.where(has[:, None], x + mean - old, rng.normal(mean, new.stddev.cpu().numpy()))
            else:
                with seeded(int(rng.integers(2**31))):
                    fresh = new.sample().cpu().numpy().astype(np.int64)
                ratio = np.where(has[:, None], mean / np.maximum(old, 1e-12), np.inf)
                kept = rng.binomial(x.astype(np.int64), np.minimum(1, ratio))
                value = kept + rng.binomial(fresh, np.clip(1 - 1 / np.maximum(ratio, 1e-12), 0, 1))
            values.append(value.astype(np.float32))
            expected.append(mean.astype(np.float32))
        return np.concatenate(values), np.concatenate(expected)

    def moved(self, cells: Rows, before: torch.Tensor, after: torch.Tensor, rng: np.random.Generator) -> Array:
        """Values of `counterfactual` where nothing but the states changes, ``(cells, features)``."""
        n = self.matrix.shape[1]
        return self.counterfactual(cells, before, after, np.zeros(n + 1), rng, self._tensor(np.zeros(n)))[0]

    def pooled(self, values: Array, groups: list[Rows]) -> Array:
        """Bulk sample of each group of rows: the sum of counts, else the mean, ``(groups, features)``."""
        return np.stack([values[g].sum(0) if self.operator.count_data else values[g].mean(0) for g in groups])


def _beside(shift: torch.Tensor, rest: int) -> torch.Tensor:
    """Shifts of the features, where that of the rest, if there is one, is none."""
    return shift[:-1] - shift[-1] if rest else shift


def evenly(n: int, most: int = SOME) -> Rows:
    """Positions of at most `most` of n cells, evenly."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(np.int64))


def _sum(values: Any) -> Array:
    """Sum over rows, dense or sparse."""
    return np.asarray(values.sum(0), dtype=float).ravel()

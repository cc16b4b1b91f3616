"""The cycle P o L: whether what spots were lifted to says genes that the lift has not seen, at spots left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from scvcell.objective import nb_deviance
from scvcell.scale import platform, shares, spot_weights
from scvcell.tissue._blocks import blocks, resampled
from scvcell.tissue._smooth import around, smoothed

if TYPE_CHECKING:
    from collections.abc import Sequence

    import scipy.sparse as sp

    from scvcell._containers import Space
    from scvcell._types import Array, Mask, Rows

P_OF_L, L_OF_P = "P o L", "L o P"
NULLS = ("permuted", "mean profile", "4 neighbours")
"""Compositions of other spots; the profile of all spots; the mean of the nearest spots. Each at the spot's depth."""
N_TILES = 25
"""Tiles of a section that are drawn anew for intervals."""
N_BOOT = 200
TAILS = (0.05, 0.95)
DISPERSION = 5.0
"""Inverse dispersion of all that are compared; one for each would favour those that are far off."""
LEAST = 1.0
"""Counts that are added to both sides of a factor, and so many over the number of genes to what is expected."""


class Scene(NamedTuple):
    """Spots as the cycle sees them: blocks, tiles and sections; neighbours of the null and of the lift, if any."""

    block: Rows
    tile: Rows
    section: Rows
    near: sp.csr_array | None
    around: sp.csr_array | None

    @classmethod
    def of(cls, space: Space | None, n: int, n_blocks: int) -> Scene:
        """From places; without them blocks are spots taken in turn, and there are no neighbours."""
        if space is None:
            turn, none = np.arange(n), np.zeros(n, np.int64)
            return cls(turn % min(n_blocks, n), turn % min(N_TILES, n), none, None, None)
        near = space.nearest(4, itself=False).shares().matrix
        return cls(blocks(space, n_blocks), blocks(space, N_TILES), space.section, near, around(space))


def cycle_scores(
    x: sp.csr_matrix,
    rates: Array,
    theta: Array,
    scene: Scene,
    *,
    smooth: float = 0.0,
    names: Sequence[str] = ("all",),
    n_folds: int = 5,
    seed: int = 0,
) -> pd.DataFrame:
    r"""Deviance and correlation of held-out genes at held-out spots, against what needs no lift.

    .. math:: E\; D_{NB}\big(x_{rg},\ m_g\, (W \rho)_{rg}\big), \qquad \mathrm{gain} = 1 - D / D_{null}

    Weights W are found by the genes of the other folds, factors m by the spots of the other blocks.

    Parameters
    ----------
    x
        Counts of spots, ``(spots, features)``.
    rates, theta
        Mean counts of a cell of each kind, ``(kinds, features)``; inverse dispersion in a spot.
    scene
        Where spots are.
    smooth
        How far the lift drew each composition to those around it.
    names
        Names of sections.
    n_folds
        Parts of the genes.
    seed
        Drives folds, permutation and draws of tiles.

    Returns
    -------
    One row per section, score and null: ``value``, ``null_value``, ``gain`` with ``lower`` and ``upper`` (90 %, tiles
    drawn anew), ``trusted`` (whether the section beats all nulls in deviance).
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(x.shape[1])
    depth = np.maximum(np.asarray(x.sum(1), dtype=float).ravel(), 1)[:, None]
    sums = [_Sums() for _ in names]
    for fold in range(n_folds):
        asked = np.sort(order[fold::n_folds])
        seen = np.setdiff1d(order, asked)
        given = np.asarray(x[:, seen].toarray(), dtype=float)
        true = np.asarray(x[:, asked].toarray(), dtype=float)
        weights = _weights(given, rates[:, seen], theta[seen])
        if scene.around is not None and smooth > 0:
            weights = smoothed(shares(weights), scene.around, smooth) * weights.sum(1, keepdims=True)
        expected = _expected(weights, rates[:, asked], given, true, scene, rng)
        for s, sum_ in enumerate(sums):
            here = np.flatnonzero((scene.section == s) & (scene.block >= 0))
            if len(np.unique(scene.block[here])) > 1:
                sum_.add(here, true, expected, depth, scene)
    rows = [row for name, sum_ in zip(names, sums, strict=True) for row in sum_.rows(name, rng)]
    return pd.DataFrame(rows)


def _weights(x: Array, rates: Array, theta: Array) -> Array:
    """Cells of each kind, with factors of features in one step."""
    first = spot_weights(x, rates, theta)
    return spot_weights(x, rates * platform(x, first, rates), theta)


def _expected(
    weights: Array, rates: Array, given: Array, true: Array, scene: Scene, rng: np.random.Generator
) -> dict[str, Array]:
    """What the lift and the nulls expect of genes, up to a factor of each gene."""
    own, depth = weights @ rates, np.maximum(given.sum(1, keepdims=True), 1)
    other = np.arange(len(own))
    for section in np.unique(scene.section):
        here = np.flatnonzero(scene.section == section)
        other[here] = rng.permutation(here)
    found = {
        "": own,
        NULLS[0]: (shares(weights)[other] * weights.sum(1, keepdims=True)) @ rates,
        NULLS[1]: np.broadcast_to(depth, own.shape),
    }
    if scene.near is not None:
        found[NULLS[2]] = (scene.near @ (true / depth)) * depth
    # a little of the mean profile in all of them, so that none is sure that a gene is silent
    flat = depth * true.sum(0) / depth.sum()
    return {name: mu * (true.sum(0) + LEAST) / (mu.sum(0) + LEAST) + LEAST * flat / depth for name, mu in found.items()}


class _Sums:
    """Sums over the spots of each tile, by predictor, from which scores and their draws follow."""

    def __init__(self) -> None:
        self.deviance: dict[str, Any] = {}
        self.count: Any = 0.0
        self.moments: dict[str, list[Array]] = {}

    def add(self, here: Rows, true: Array, expected: dict[str, Array], depth: Array, scene: Scene) -> None:
        """Add some genes of the spots of a section."""
        block, tile, x = scene.block[here], scene.tile[here], true[here]
        of_tile = np.equal.outer(np.arange(tile.max() + 1), tile).astype(float)
        typical = np.median(depth[here])
        log_x = np.log1p(x / depth[here] * typical)
        self.count = self.count + of_tile.sum(1) * x.shape[1]
        for name, mu in expected.items():
            scaled = _by_others(x, mu[here], block)
            found = of_tile @ _deviance(x, scaled).sum(1)
            self.deviance[name] = found + self.deviance.get(name, 0.0)
            log_mu = np.log1p(scaled / depth[here] * typical)
            products = (np.ones_like(x), log_x, log_mu, log_x**2, log_mu**2, log_x * log_mu)
            self.moments.setdefault(name, []).append(np.stack([of_tile @ each for each in products]))

    def rows(self, section: str, rng: np.random.Generator) -> list[dict[str, object]]:
        """Scores against each null."""
        if not self.deviance:
            return []
        drawn = np.vstack([np.ones(len(self.count)), resampled(np.arange(len(self.count)), N_BOOT, rng)])
        deviance = {name: (drawn @ total) / (drawn @ self.count) for name, total in self.deviance.items()}
        pearson = {name: _correlation(drawn, np.concatenate(parts, 2)) for name, parts in self.moments.items()}
        out: list[dict[str, object]] = []
        for null in [name for name in deviance if name]:
            own, other = deviance[""], deviance[null]
            out.append(_row(section, "deviance", null, own, other, 1 - own / np.maximum(other, 1e-12)))
            own, other = pearson[""], pearson[null]
            out.append(_row(section, "pearson", null, own, other, own - other))
        trusted = all(row["lower"] > 0 for row in out if row["score"] == "deviance")  # type: ignore[operator]
        return [row | {"trusted": trusted} for row in out]


def _row(section: str, score: str, null: str, own: Array, other: Array, gain: Array) -> dict[str, object]:
    lower, upper = np.quantile(gain[1:], TAILS)
    return {
        "section": section,
        "cycle": P_OF_L,
        "score": score,
        "null": null,
        "value": float(own[0]),
        "null_value": float(other[0]),
        "gain": float(gain[0]),
        "lower": float(lower),
        "upper": float(upper),
    }


def _by_others(x: Array, mu: Array, block: Rows) -> Array:
    """Expected counts with factors of genes by the spots of the other blocks."""
    out = np.empty_like(x)
    for b in np.unique(block):
        at: Mask = block == b
        out[at] = mu[at] * (x[~at].sum(0) + LEAST) / (mu[~at].sum(0) + LEAST)
    return out


def _deviance(x: Array, mu: Array) -> Array:
    theta = torch.full((x.shape[1],), DISPERSION, dtype=torch.float64)
    return nb_deviance(torch.from_numpy(x), torch.from_numpy(mu), theta).numpy()


def _correlation(drawn: Array, moments: Array) -> Array:
    """Mean over genes of the correlation, from sums over tiles ``(6, tiles, genes)``, for each draw."""
    n, x, y, xx, yy, xy = (drawn @ each for each in moments)
    n = np.maximum(n, 1)
    covariance = xy / n - x * y / n**2
    scale = np.sqrt(np.clip(xx / n - (x / n) ** 2, 0, None) * np.clip(yy / n - (y / n) ** 2, 0, None))
    return np.where(scale > 1e-9, covariance / np.maximum(scale, 1e-12), 0).mean(1)  # type: ignore[no-any-return]


def summary(scores: pd.DataFrame) -> dict[str, float]:
    """Gain over the best null, of the section where it is least; NaN where nothing could be scored."""
    found = scores[(scores["score"] == "deviance") & (scores["cycle"] == P_OF_L)] if len(scores) else scores
    if not len(found):
        return dict.fromkeys(("skill", "lower", "upper"), float("nan"))
    worst = found.iloc[int(found["lower"].to_numpy().argmin())]
    return {"skill": float(worst["gain"]), "lower": float(worst["lower"]), "upper": float(worst["upper"])}

"""What the panel's own features say of imputation: each is left out in turn and predicted from the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp
from sklearn.neighbors import NearestNeighbors

from scvcell._stats import Banded
from scvcell.score import correlation, inside
from scvcell.tissue._members import Cells, Ridge, by_rates, components, neighbours

if TYPE_CHECKING:
    from scvcell._types import Array, Mask

FOLDS = 5
"""Parts of the panel that are left out in turn."""
POOLED_CELLS = 30
"""Cells of one state over which errors are averaged, to see whether the reference has such cells."""
USUAL_SHARE = 0.99
"""Share of the reference's cells that count as explained."""
N_BANDS = 8
"""Bands of the prediction in which errors are standardised."""
FLOOR = 0.05
"""Least standard deviation of errors of log1p counts."""


@dataclass(frozen=True, eq=False, repr=False)
class PanelCheck:
    """How well left-out features of the panel are predicted.

    Attributes
    ----------
    log_factor
        Log of counts in the tissue over those expected from the reference, of each feature.
    skill, reference_skill
        Pearson correlation of predicted and true rates in the tissue, and in left-out cells of the reference.
    banded
        Intervals that left-out cells of the reference calibrate.
    predicted, truth
        log1p counts of the tissue's cells, ``(cells, features)``.
    state, unexplained
        States of the tissue's cells, and how far their pooled errors are from those usual in the tissue, over what is
        usual in the reference; above 1, the reference has hardly such cells.
    """

    log_factor: Array
    skill: Array
    reference_skill: Array
    banded: Banded
    predicted: Array
    truth: Array
    state: Array
    unexplained: Array

    def coverage(self, level: float) -> float:
        """Share of the tissue's counts in intervals that the reference's cells calibrate."""
        lower, upper = self.banded.interval(self.predicted, level)
        return float(inside(self.truth, lower, upper).mean())

    def explained(self, state: Array) -> Mask:
        """Whether cells lie among cells of the tissue whose panel the reference explains."""
        near = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(self.state)
        return self.unexplained[near.kneighbors(state, return_distance=False)[:, 0]] <= 1


def check_panel(
    reference: tuple[Array, Array],
    tissue: tuple[Array, Array],
    factor: Array,
    scale: float,
    rng: np.random.Generator,
) -> PanelCheck:
    """Predict each feature of the panel from the others, in left-out cells of the reference and in the tissue.

    Parameters
    ----------
    reference, tissue
        Counts of the panel ``(cells, features)`` and states ``(cells, latent)``.
    factor
        What the tissue's platform counts of a feature where the reference's counts one, ``(features,)``. Features that
        others are predicted from are divided by it, those that are predicted are not.
    scale
        Counts to which rates are brought.
    rng
        Draws the parts.
    """
    (ours, our_state), (theirs, their_state) = reference, tissue
    n, features = ours.shape
    part, half = rng.permutation(features) % min(FOLDS, features), rng.permutation(n) % 2
    found = np.zeros((2, n, features), np.float32), np.zeros((2, len(theirs), features), np.float32)
    for fold in range(min(FOLDS, features)):
        out = part == fold
        known, asked = panel_cells(ours[:, ~out], theirs[:, ~out] / factor[~out], scale)
        y = ours[:, out]
        for side in (0, 1):
            here = half == side
            rows, columns = np.ix_(here, out)
            found[0][:, rows, columns] = _predict(known.of(~here), known.of(here), y[~here], scale)
        found[1][:, :, out] = _predict(known, asked, y, scale)
    true = np.log1p(ours), np.log1p(theirs)
    free = _rates(ours, scale), _rates(theirs, scale)
    # the log of a mean is not the mean of logs: by as much as the reference's own sums are off
    seen, usual_sums = (_log_ratio(x, part[0]) for x, part in ((theirs, found[1]), (ours, found[0])))
    left = _standardised((found[0][0], found[1][0]), true)
    usual = _pooled(left[0], our_state)
    new = _pooled(left[1] - left[1].mean(0), their_state)
    limit = np.quantile(usual, USUAL_SHARE) / np.median(usual)
    return PanelCheck(
        seen - usual_sums,
        correlation(found[1][1], free[1]),
        correlation(found[0][1], free[0]),
        Banded.fit(found[0][0], true[0]),
        found[1][0],
        true[1],
        their_state,
        new / np.median(new) / limit,
    )


def panel_cells(ours: Array, theirs: Array, scale: float) -> tuple[Cells, Cells]:
    """Cells of reference and tissue by their panel alone, standardised as the reference's are."""
    log, other = _rates(ours, scale), _rates(theirs, scale)
    mean, sd = log.mean(0), log.std(0) + 1e-6
    axes = components((log - mean) / sd)

    def cells(counts: Array, value: Array) -> Cells:
        panel = (value - mean) / sd
        return Cells(panel if axes is None else panel @ axes, depth_of(counts), np.zeros((len(counts), 0)))

    return cells(ours, log), cells(theirs, other)


def depth_of(counts: Array) -> Array:
    """Counts of each cell, at least 1."""
    return np.maximum(counts.sum(1), 1).astype(float)


def _rates(counts: Array, scale: float) -> Array:
    return np.log1p(counts / depth_of(counts)[:, None] * scale)


def _log_ratio(counts: Array, predicted: Array) -> Array:
    """Log of sums over those of predicted log1p counts, ``(features,)``."""
    return np.log((counts.sum(0) + 1) / (np.expm1(predicted).sum(0) + 1))  # type: ignore[no-any-return]


def _predict(known: Cells, asked: Cells, y: Array, scale: float) -> Array:
    """log1p counts at the cell's own depth, and at `scale`; mean of both members, ``(2, cells, features)``."""
    near, held = neighbours(known, asked), sp.csr_matrix(y)
    rates = np.log1p(y / known.depth[:, None] * scale)
    ridge = [each(asked) for each in Ridge.fit(known, np.log1p(y), rates)]
    found = np.stack([by_rates(near, held, known.depth, asked.depth) + ridge[0], near @ rates + ridge[1]]) / 2
    return np.maximum(found, 0)  # type: ignore[no-any-return]


def _standardised(predicted: tuple[Array, Array], truth: tuple[Array, Array]) -> tuple[Array, Array]:
    """Errors over what is usual of the reference's cells with about the same prediction."""
    edges = np.quantile(predicted[0], np.arange(1, N_BANDS) / N_BANDS, axis=0)
    errors = tuple(p - t for p, t in zip(predicted, truth, strict=True))
    bands = tuple(sum((p > edge).astype(np.int64) for edge in edges) for p in predicted)
    out = tuple(np.zeros_like(e) for e in errors)
    for band in range(N_BANDS):
        here = bands[0] == band
        n = np.maximum(here.sum(0), 1)
        mean = np.where(here, errors[0], 0).sum(0) / n
        sd = np.sqrt(np.maximum(np.where(here, errors[0] ** 2, 0).sum(0) / n - mean**2, 0)) + FLOOR
        for each, error, at in zip(out, errors, bands, strict=True):
            np.copyto(each, ((error - mean) / sd).astype(each.dtype), where=at == band)
    return out[0], out[1]


def _pooled(errors: Array, state: Array) -> Array:
    """Mean over features of the squared mean error of cells in one state, times their number, ``(cells,)``."""
    k = min(POOLED_CELLS, len(state))
    near = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(state).kneighbors(state, return_distance=False)
    mean = sp.csr_matrix((np.full(near.size, 1 / k), near.ravel(), np.arange(0, near.size + 1, k))) @ errors
    return np.asarray((mean**2).mean(1) * k)

"""Log-logistic curves of many features that share one EC50 and slope, by marginal likelihood."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import chi2, t

from scvcell._stats._jackknife import jackknife_variance

if TYPE_CHECKING:
    from scvcell._types import Array, Rows

N_JACKKNIFE = 10
"""Groups of cells that are left out in turn."""

N_CANDIDATE_DOSES = 81
"""Candidates for the dose of half the effect, from a tenth of the lowest dose to ten times the highest."""

CANDIDATE_SLOPES = (0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0)

LOG_SLOPE_SD = 0.5
"""Standard deviation of the log slope before the data are seen."""

LOG_EC50_MISFIT = 0.2
"""Standard deviation of log EC50 for that the response of expression need not be log-logistic."""

CANDIDATE_VARIANCES = (0.3, 1.0, 3.0, 10.0)
"""Candidates for the variance of effects over features, as multiples of the mean square of those measured."""


def fit_curves(doses: Array, parts: list[tuple[Rows, Array]], level: float) -> dict[str, float]:
    """EC50, slope and Emax with their intervals, of replicates ``(1 + doses, 1 + folds, features)`` of each context."""
    noises = []
    for _, values in parts:
        own = np.array([jackknife_variance(replicates) for replicates in values])
        noises.append((own + own.mean(0)) / 2 + 1e-6)
    grid = np.linspace(np.log(doses[0] / 10), np.log(doses[-1] * 10), N_CANDIDATE_DOSES)
    estimates = np.array(
        [
            _maximum(
                np.log(doses), grid, [(at, v[:, r], noise) for (at, v), noise in zip(parts, noises, strict=True)], level
            )
            for r in range(1 + N_JACKKNIFE)
        ]
    )
    value, misfit = estimates[0, :3], np.array([LOG_EC50_MISFIT**2, 0, 0])
    half = t.ppf(0.5 + level / 2, N_JACKKNIFE - 1) * np.sqrt(jackknife_variance(estimates[:, :3]) + misfit)
    lower, upper = value - half, value + half
    # The jackknife sees one maximum, and how samples of cells move it; the likelihood sees others as high.
    lower[0], upper[0] = min(lower[0], estimates[0, 3]), max(upper[0], estimates[0, 4])
    lower[0] = -np.inf if estimates[:, 0].min() <= grid[0] else lower[0]
    upper[0] = np.inf if estimates[:, 0].max() >= grid[-1] else upper[0]
    with np.errstate(over="ignore"):
        lower, upper = np.exp(lower), np.exp(upper)
    ec50, slope, emax = np.exp(value)
    return {
        "ec50": ec50,
        "ec50_lower": lower[0],
        "ec50_upper": upper[0],
        "slope": slope,
        "emax": emax,
        "emax_lower": lower[2],
        "emax_upper": upper[2],
    }


def _maximum(log_doses: Array, grid: Array, parts: list[tuple[Rows, Array, Array]], level: float) -> tuple[float, ...]:
    """Logs of EC50, slope and Emax that maximise the marginal likelihood of values ``(1 + doses, features)``.

    Then the logs between which the profile likelihood has the EC50, infinite beyond the grid.
    """
    size = np.mean([((y[1:] - y[0]) ** 2 - noise[1:] - noise[0]).mean() for _, y, noise in parts])
    variances = max(float(size), 1e-6) * np.array(CANDIDATE_VARIANCES)
    score, emax = np.empty((len(grid), len(CANDIDATE_SLOPES))), np.empty((len(grid), len(CANDIDATE_SLOPES)))
    for j, slope in enumerate(CANDIDATE_SLOPES):
        for i, at_half in enumerate(grid):
            share = 1 / (1 + np.exp(slope * (at_half - log_doses)))
            each = [_information(np.append(0.0, share[at])[:, None], y, 1 / noise) for at, y, noise in parts]
            a, b = (np.concatenate(x) for x in zip(*each, strict=True))
            known = [(b**2 / (a + 1 / v) - np.log1p(v * a)).sum() for v in variances]
            score[i, j] = max(known) - (np.log(slope) / LOG_SLOPE_SD) ** 2
            effects = b / (a + 1 / variances[int(np.argmax(known))])
            emax[i, j] = np.log(max(float(np.sqrt((effects**2).mean())), 1e-12))
    i, j = map(int, np.unravel_index(score.argmax(), score.shape))
    best = grid[i]
    if 0 < i < len(grid) - 1:
        below, top, above = score[i - 1 : i + 2, j]
        best += 0.5 * (grid[1] - grid[0]) * (below - above) / min(below - 2 * top + above, -1e-12)
    likely = np.flatnonzero(score.max(1) > score.max() - chi2.ppf(level, 1))
    low, high = np.concatenate([[-np.inf], grid[1:-1], [np.inf]])[likely[[0, -1]]]
    return best, np.log(CANDIDATE_SLOPES[j]), emax[i, j], low, high


def _information(share: Array, y: Array, precision: Array) -> tuple[Array, Array]:
    """What the values of each feature say of its effect at saturation: information, and information times estimate."""
    total = precision.sum(0)
    mean = (precision * share).sum(0) / total
    return (precision * (share - mean) ** 2).sum(0), (precision * (share - mean) * y).sum(0)

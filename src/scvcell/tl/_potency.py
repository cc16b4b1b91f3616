"""tl.potency: the dose of half the effect and the effect at saturation, with intervals, from measured cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import chi2, t

from scvcell._checks import seed_of
from scvcell._labels import several
from scvcell.model import FEWEST, Bulk, conditions, jackknife_variance
from scvcell.tl._calibrate import check_level
from scvcell.tl._controls import compared, design_of, learned

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scvcell._containers import Container
    from scvcell._types import Array, Rows
    from scvcell.model import CSL, Unit


FOLDS = 10
"""Groups of cells that are left out in turn."""
FEWEST_DOSES = 3
DOSES = 81
"""Candidates for the dose of half the effect, from a tenth of the lowest dose to ten times the highest."""
SLOPES = (0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0)
SPREAD = 0.5
"""Standard deviation of the log slope before the data are seen."""
MISFIT = 0.2
"""Standard deviation of log EC50 for that the response of expression need not be log-logistic."""
SIZES = (0.3, 1.0, 3.0, 10.0)
"""Candidates for the variance of effects over features, as multiples of the mean square of those measured."""


def potency(
    data: Container,
    model: CSL,
    targets: str | Iterable[str] | None = None,
    *,
    pool: bool = False,
    level: float = 0.9,
    seed: int = 0,
) -> pd.DataFrame:
    r"""Dose of half the effect (EC50) and effect at saturation (Emax) of targets that were given at several doses.

    .. math::
        y_{gd} = b_g + E_g \frac{d^h}{d^h + \mathrm{EC50}^h} + \varepsilon_{gd}, \qquad E_g \sim N(0, \tau^2)

    with the measured pseudobulk :math:`y_{gd}` of each feature at each dose and in the controls, whose sampling noise
    is known; EC50, slope and :math:`\tau` maximise the marginal likelihood. Features may rise or fall; all have the
    same EC50 and slope.

    Parameters
    ----------
    data
        Data with treated cells and controls.
    model
        Model fitted with ``perturbation=``; it says what was done, nothing more.
    targets
        Targets; by default all that were given alone at three doses or more.
    pool
        Whether one EC50 is fitted to all contexts, each with its own effects, rather than one per context.
    level
        Coverage of the intervals, over samples of cells: the jackknife over ten groups of cells, in the logarithm; of
        EC50 with .2 added to the standard deviation, as expression need not follow the curve exactly, and at least as
        far as the profile likelihood reaches. Types of cells that answer differently are no such small matter: make
        them contexts.
    seed
        Drives the groups.

    Returns
    -------
    One row per target, context (``group``), time and modality: ``ec50``, ``ec50_lower``, ``ec50_upper`` (0 or infinite
    where the doses do not tell), ``unit``, ``slope``, ``emax`` (root mean square over features of the effect at
    saturation, log2 for counts), ``emax_lower``, ``emax_upper``, ``level``, ``n_doses``, ``n_cells``.

    Raises
    ------
    ValueError
        If `level` is not between 0 and 1, or no target (or not the one that is asked for) was given alone at three
        doses or more, each with ten cells.

    References
    ----------
    Ritz et al., Dose-response analysis using R, PLOS ONE 2015 (log-logistic model).
    """
    check_level(level)
    response, view, rng = learned(model), model.view(data), np.random.default_rng(seed_of(seed))
    design = compared(design_of(view, response), response)
    curves = _curves(conditions(design, np.ones(len(design.code), bool)))
    asked = None if targets is None else {name.strip() for name in several(targets)}
    lost = sorted((asked or set()) - {curve.target for curve in curves})
    if lost or not curves:
        raise ValueError(
            f"{repr(lost[0]) if lost else 'No target'} was given alone at {FEWEST_DOSES} doses or more in one context, "
            f"each with {FEWEST} cells{' ' if lost else ', '}in these data. Doses are read from the column that "
            "PerturbationKeys(dose=...) names."
        )
    rows = []
    for modality in response.anchors:
        bulk = Bulk(model, view, modality)
        found: dict[tuple[str, Any, float | None], list[tuple[_Curve, Array]]] = {}
        for curve in curves:
            if asked is None or curve.target in asked:
                name = "all" if pool else design.contexts[curve.context]
                values = np.array([bulk.replicates(cells, FOLDS, rng) for cells in curve.cells])
                found.setdefault((curve.target, name, curve.time), []).append((curve, values))
        for (target, name, time), parts in found.items():
            doses = np.unique(np.concatenate([curve.doses for curve, _ in parts]))
            fit = _fit(
                doses, [(np.searchsorted(doses, curve.doses), values / bulk.unit) for curve, values in parts], level
            )
            rows.append(
                {"target": target, "group": name, "time": time, "modality": modality}
                | fit
                | {
                    "unit": design.units.get(target, ""),
                    "level": level,
                    "n_doses": len(doses),
                    "n_cells": sum(len(cells) for curve, _ in parts for cells in curve.cells[1:]),
                }
            )
    return pd.DataFrame(rows)


class _Curve(NamedTuple):
    """Controls, then the cells at each dose, of one target in one context at one time."""

    target: str
    context: int
    time: float | None
    doses: Array
    cells: list[Rows]


def _curves(units: list[Unit]) -> list[_Curve]:
    """Every target that was given alone at enough doses."""
    found: dict[tuple[str, int, float | None], dict[float, Unit]] = {}
    for unit in units:
        alone = len(unit.action.pulses) == 1 and not unit.action.scheduled
        if alone and unit.enough:
            (pulse,) = unit.action.pulses
            if pulse.dose is not None:
                found.setdefault((pulse.target, unit.context, unit.action.time), {})[pulse.dose] = unit
    return [
        _Curve(
            *key,
            np.array(sorted(doses)),
            [next(iter(doses.values())).controls, *(doses[d].treated for d in sorted(doses))],
        )
        for key, doses in sorted(found.items(), key=lambda item: tuple(map(str, item[0])))
        if len(doses) >= FEWEST_DOSES
    ]


def _fit(doses: Array, parts: list[tuple[Rows, Array]], level: float) -> dict[str, float]:
    """EC50, slope and Emax with their intervals, of replicates ``(1 + doses, 1 + folds, features)`` of each context."""
    noises = []
    for _, values in parts:
        own = np.array([jackknife_variance(replicates) for replicates in values])
        noises.append((own + own.mean(0)) / 2 + 1e-6)
    grid = np.linspace(np.log(doses[0] / 10), np.log(doses[-1] * 10), DOSES)
    estimates = np.array(
        [
            _maximum(
                np.log(doses), grid, [(at, v[:, r], noise) for (at, v), noise in zip(parts, noises, strict=True)], level
            )
            for r in range(1 + FOLDS)
        ]
    )
    value, misfit = estimates[0, :3], np.array([MISFIT**2, 0, 0])
    half = t.ppf(0.5 + level / 2, FOLDS - 1) * np.sqrt(jackknife_variance(estimates[:, :3]) + misfit)
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
    variances = max(float(size), 1e-6) * np.array(SIZES)
    score, emax = np.empty((len(grid), len(SLOPES))), np.empty((len(grid), len(SLOPES)))
    for j, slope in enumerate(SLOPES):
        for i, at_half in enumerate(grid):
            share = 1 / (1 + np.exp(slope * (at_half - log_doses)))
            each = [_information(np.append(0.0, share[at])[:, None], y, 1 / noise) for at, y, noise in parts]
            a, b = (np.concatenate(x) for x in zip(*each, strict=True))
            known = [(b**2 / (a + 1 / v) - np.log1p(v * a)).sum() for v in variances]
            score[i, j] = max(known) - (np.log(slope) / SPREAD) ** 2
            effects = b / (a + 1 / variances[int(np.argmax(known))])
            emax[i, j] = np.log(max(float(np.sqrt((effects**2).mean())), 1e-12))
    i, j = map(int, np.unravel_index(score.argmax(), score.shape))
    best = grid[i]
    if 0 < i < len(grid) - 1:
        below, top, above = score[i - 1 : i + 2, j]
        best += 0.5 * (grid[1] - grid[0]) * (below - above) / min(below - 2 * top + above, -1e-12)
    likely = np.flatnonzero(score.max(1) > score.max() - chi2.ppf(level, 1))
    low, high = np.concatenate([[-np.inf], grid[1:-1], [np.inf]])[likely[[0, -1]]]
    return best, np.log(SLOPES[j]), emax[i, j], low, high


def _information(share: Array, y: Array, precision: Array) -> tuple[Array, Array]:
    """What the values of each feature say of its effect at saturation: information, and information times estimate."""
    total = precision.sum(0)
    mean = (precision * share).sum(0) / total
    return (precision * (share - mean) ** 2).sum(0), (precision * (share - mean) * y).sum(0)

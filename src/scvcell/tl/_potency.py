"""tl.potency: the dose of half the effect and the effect at saturation, with intervals, from measured cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scvcell._checks import check_level, seed_of
from scvcell._labels import several
from scvcell._stats import FOLDS, fit_curves
from scvcell.response import FEWEST, Bulk, compared, contrasts, design_of, learned
from scvcell.screen import FEWEST_DOSES, Curve, curves_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scvcell._containers import Container
    from scvcell._types import Array
    from scvcell.model import CSL


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
    curves = curves_of(contrasts(design, np.ones(len(design.code), bool)))
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
        bulk = Bulk(model.readout(view, modality))
        found: dict[tuple[str, Any, float | None], list[tuple[Curve, Array]]] = {}
        for curve in curves:
            if asked is None or curve.target in asked:
                name = "all" if pool else design.contexts[curve.context]
                values = np.array([bulk.replicates(cells, FOLDS, rng) for cells in curve.cells])
                found.setdefault((curve.target, name, curve.time), []).append((curve, values))
        for (target, name, time), parts in found.items():
            doses = np.unique(np.concatenate([curve.doses for curve, _ in parts]))
            fit = fit_curves(
                doses, [(np.searchsorted(doses, curve.doses), values / bulk.per_log2) for curve, values in parts], level
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

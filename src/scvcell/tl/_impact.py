"""tl.impact and tl.effect_correlation: how much actions change, and whether they change the same, without noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.stats import t

from scvcell._checks import check_level
from scvcell._stats import jackknife_variance
from scvcell.response import learned
from scvcell.screen import N_JACKKNIFE, measure_effect

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from scvcell._containers import Container
    from scvcell.model import CSL
    from scvcell.perturb import Action


def impact(
    data: Container,
    model: CSL,
    *,
    actions: Iterable[str | Mapping[str, float | str | None] | Action] | None = None,
    level: float = 0.9,
    seed: int = 0,
) -> pd.DataFrame:
    r"""How much each action changes an assay, and how many features, with the sampling noise of cells taken out.

    .. math::
        \mathrm{impact} = \frac1G \sum_g (y_g^2 - s_g^2), \qquad
        \mathrm{effective} = 3 G\, \frac{\mathrm{impact}^2}{\frac1G \sum_g (y_g^4 - 6 s_g^2 y_g^2 + 3 s_g^4)}

    with the measured effect :math:`y_g` on the pseudobulk (log2 of 1 + counts per 10,000 of summed counts; of other
    assays as :func:`scvcell.tl.effects`), and its sampling variance :math:`s_g^2`. The impact is the mean square of the
    true effects, 0 in the mean of actions that do nothing (an estimate may be below). If a share of the features have
    normal effects, that share is effective.

    Parameters
    ----------
    data
        Data with treated cells and controls.
    model
        Model fitted with ``perturbation=``; it says what was done and on which scale effects are compared, nothing
        more.
    actions
        Actions; all in the data by default.
    level
        Coverage of the intervals, over samples of cells (jackknife over ten groups of cells).
    seed
        Drives the groups.

    Returns
    -------
    One row per action, context and modality: ``action``, ``group``, ``modality``, ``impact`` (squared log2 fold change;
    squared units of values that are no counts), ``lower``, ``upper``, ``level``, ``noise`` (what was taken out),
    ``effective`` (features; NaN where the interval of the impact holds 0), ``n_features``, ``n_cells``, ``n_controls``.
    Conditions of fewer than 10 treated or control cells are left out, with a warning.

    Raises
    ------
    ValueError
        If the model has learned no perturbation, no cell was given one of the actions, every condition has too few
        cells, or `level` is not between 0 and 1.

    References
    ----------
    Nadig et al., Transcriptome-wide analysis of differential expression in perturbation atlases, Nat Genet 2025 (the
    transcriptome-wide impact); O'Connor et al., Extreme polygenicity of complex traits is explained by negative
    selection, Am J Hum Genet 2019 (the effective number).

    Examples
    --------
    >>> scvcell.tl.impact(adata, model).sort_values("impact", ascending=False)
    """
    check_level(level)
    rows = []
    for modality, conditions in measure_effect(data, model, actions, seed).items():
        for (action, group), (unit, value, noise, _) in conditions.items():
            y, squares = value[0], (value**2).mean(1)
            size = float(squares[0] - noise.mean())
            half = float(t.ppf(0.5 + level / 2, N_JACKKNIFE - 1) * np.sqrt(jackknife_variance(squares)))
            # The squared noise is too large in the mean for how few folds tell it.
            fourth = float((y**4 - 6 * noise * y**2 + 3 * noise**2 * (N_JACKKNIFE - 1) / (N_JACKKNIFE + 1)).mean())
            rows.append(
                {
                    "action": action,
                    "group": group,
                    "modality": modality,
                    "impact": size,
                    "lower": size - half,
                    "upper": size + half,
                    "level": level,
                    "noise": noise.mean(),
                    "effective": len(y) * min(3 * size**2 / fourth, 1) if min(size - half, fourth) > 0 else np.nan,
                    "n_features": len(y),
                    "n_cells": len(unit.treated),
                    "n_controls": len(unit.controls),
                }
            )
    return pd.DataFrame(rows)


def effect_correlation(
    data: Container,
    model: CSL,
    *,
    modality: str | None = None,
    actions: Iterable[str | Mapping[str, float | str | None] | Action] | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    r"""Correlation of the true effects of every two actions, and of one action in two contexts.

    .. math::
        r_{ab} = \frac{\frac1G \sum_g (y_{ag} y_{bg} - c_{abg})}{\sqrt{\mathrm{impact}_a\, \mathrm{impact}_b}}

    with c the noise that both effects have from the same controls. Plain correlations are too low where effects are
    noisy, and too high where controls are few.

    Parameters
    ----------
    data, model, actions, seed
        As :func:`scvcell.tl.impact`.
    modality
        Assay whose effects are compared; the first that actions act on by default.

    Returns
    -------
    Square frame with an index of ``action`` and ``group``. NaN where an impact is not above 0. An estimate may be
    beyond 1.

    Raises
    ------
    ValueError
        As :func:`scvcell.tl.impact`, or if actions do not act on `modality`.

    References
    ----------
    Nadig et al., Transcriptome-wide analysis of differential expression in perturbation atlases, Nat Genet 2025.
    """
    names = list(learned(model).anchors)
    if modality is not None and modality not in names:
        raise ValueError(f"Actions act on {', '.join(names)}, not on {modality!r}.")
    measured = measure_effect(data, model, actions, seed)
    modality = next(iter(measured)) if modality is None else modality
    if modality not in measured:
        raise ValueError(f"Too few treated or control cells have {modality!r}; enough have {', '.join(measured)}.")
    conditions = measured[modality]
    found = list(conditions.values())
    table = np.empty((len(found), len(found)))
    for i, a in enumerate(found):
        for j, b in enumerate(found):
            common = a.noise if i == j else a.shared * (a.unit.context == b.unit.context)
            table[i, j] = (a.value[0] * b.value[0] - common).mean()
    size = np.diag(table)
    scale = np.sqrt(np.where(size > 0, size, np.nan))
    index = pd.MultiIndex.from_tuples(conditions, names=["action", "group"])
    return pd.DataFrame(table / np.outer(scale, scale), index=index, columns=index)

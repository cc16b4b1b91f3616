"""Gaps between groups: whose predictions are worse than everybody else's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.stats import t as student

from scvcell._checks import seed_of, whole_number
from scvcell._stats import mean_variance
from scvcell.risk._calibration import need
from scvcell.risk._columns import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scvcell._types import Array

SURE = 0.95
"""Level of the intervals of all groups of a column together."""


def gaps(rows: pd.DataFrame, groups: Mapping[str, pd.Series], n_boot: int = 200, seed: int = 0) -> pd.DataFrame:
    r"""How much worse predictions are for each group, such as a donor, than for all others.

    .. math:: g = \bar x_{others} - \bar x_{group} \ \text{(where higher is better, else its negative)}, \qquad
              g \pm t_\nu \sqrt{\mathrm{se}_{group}^2 + \mathrm{se}_{others}^2}

    A unit's score in a readout is the mean over its tests and seeds. Standard errors are those of bootstrapped units,
    the group's own and the others'; :math:`\nu` are Welch's degrees of freedom. The quantile of t is that of 95 % over
    all groups of the column together (Bonferroni), so that with many groups one is not worse by chance alone.

    Parameters
    ----------
    rows
        Rows of a report, as in `scvcell.risk.RiskReport`. Metrics for which neither more nor less is better are left
        out, except coverages, of which less is worse; so are rows without a value.
    groups
        Name of a column -> value of each unit, labelled by the names of units in `rows`. Units without a value are left
        out.
    n_boot
        Draws of units.
    seed
        Of the draws.

    Returns
    -------
    One row per column, group, axis, readout, metric and predictor: the score, its ``gap`` to the units of all other
    groups, above 0 where the group is worse, the interval of the gap, and the number of its units. ``flag`` is
    ``"worse"`` where the interval lies above 0. A group of one unit has a gap without an interval; a column with one
    group has no rows.

    Raises
    ------
    ValueError
        If a column of `groups` knows none of the units or names one twice, there are fewer than two draws, or `rows`
        lacks a column.

    Notes
    -----
    The test looks at one column at a time and knows nothing of others: a donor may be worse because its cells are of a
    harder type. Few units make wide intervals; no flag is no proof of fairness.
    """
    whole_number("n_boot", n_boot, 2)
    need(rows, "axis", "readout", "metric", "better", "predictor", "unit", "value")
    known = rows[np.isfinite(rows["value"].to_numpy(float)) & rows["better"].notna()]
    sign = np.array([_sign(*key) for key in zip(known["metric"], known["better"], strict=True)], dtype=int)
    known = known.assign(sign=sign)[sign != 0]
    by = ["axis", "readout", "metric", "predictor", "sign"]
    per_unit = known.groupby([*by, "unit"], sort=True)["value"].mean()
    out = []
    for column, value_of in groups.items():
        group_of = _labels(column, value_of, known["unit"])
        for (axis, readout, metric, predictor, better), scores in per_unit.groupby(level=by):
            group = scores.index.get_level_values("unit").map(group_of)
            values, label = scores.to_numpy()[group.notna()], np.asarray(group[group.notna()], dtype=object)
            names = sorted(set(label), key=str)
            for name in names if len(names) > 1 else []:
                mine, rest = values[label == name], values[label != name]
                rng = np.random.default_rng([seed_of(seed), len(mine), len(rest)])
                gap = float(better * (rest.mean() - mine.mean()))
                half = _halfwidth(mine, rest, len(names), n_boot, rng)
                about = {"column": column, "group": str(name), "axis": axis, "readout": readout, "metric": metric}
                about |= {"predictor": predictor}
                found = {"value": float(mine.mean()), "gap": gap, "lower": gap - half, "upper": gap + half}
                out.append(about | found | {"n": len(mine), "flag": "worse" if gap - half > 0 else ""})
    return pd.DataFrame(out, columns=COLUMNS["groups"])


def _sign(metric: str, better: str) -> int:
    """1 where more of a metric is better, -1 where less is, 0 where neither is."""
    if better == "nominal":
        return int(metric.startswith("coverage"))
    return 1 if better == "higher" else -1


def _labels(column: str, value_of: pd.Series, units: pd.Series) -> dict[object, object]:
    """Unit -> its value, of the units that have one."""
    if not value_of.index.is_unique:
        twice = value_of.index[value_of.index.duplicated()][0]
        raise ValueError(f"groups[{column!r}] has a unit twice: {twice!r}. Give one value per unit.")
    known = value_of.dropna()
    if not known.index.isin(units).any():
        raise ValueError(
            f"groups[{column!r}] has none of the units of the rows, which are such as {units.iloc[0]!r}; "
            f"it has such as {list(value_of.index[:3])}. Label its values by the column 'unit' of the rows."
            if len(units)
            else f"There are no scores to compare between groups of {column!r}."
        )
    return dict(known.items())


def _halfwidth(mine: Array, rest: Array, n_groups: int, n_boot: int, rng: np.random.Generator) -> float:
    """Half the interval of a difference of two means over units; NaN where one of them is of a single unit."""
    if min(len(mine), len(rest)) < 2:
        return float("nan")
    square, freedom = 0.0, 0.0
    for values in (mine, rest):
        part = mean_variance(values, n_boot, rng)
        square, freedom = square + part, freedom + part**2 / (len(values) - 1)
    if square == 0:
        return 0.0
    return float(student.ppf(1 - (1 - SURE) / 2 / n_groups, square**2 / freedom) * np.sqrt(square))

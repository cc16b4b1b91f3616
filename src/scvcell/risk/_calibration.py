"""Are intervals as wide as they should be: coverage by regime, over exchangeable units, against its level."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.stats import t as student

from scvcell._checks import seed_of, whole_number
from scvcell._stats import mean_variance
from scvcell.risk._columns import COLUMNS

if TYPE_CHECKING:
    from scvcell._types import Array

OF = {"coverage": "all", "coverage_strongest": "strongest", "coverage_chosen": "chosen"}
"""Metric of coverage -> which features it speaks of."""
BESIDE = {
    "width": ("relative_width",),
    "crps": ("crps", "crps_quantiles"),
    "pit": ("pit", "pit_quantiles"),
}
"""Column that stands beside the coverage of all features -> metrics it is read from, the first that there is."""
SURE = 0.99
"""Level of the intervals of all rows of a predictor together: a flag is a reproach."""


def calibration(rows: pd.DataFrame, level: float = 0.9, n_boot: int = 200, seed: int = 0) -> pd.DataFrame:
    r"""Coverage of intervals per axis, regime, readout and predictor, and whether they are too narrow or too wide.

    A unit's coverage is the mean over its tests and seeds; coverage is the mean over units. Its interval is

    .. math:: \hat c \pm t_{n-1} \max\Big(\mathrm{se}_{boot},\ \sqrt{\hat\rho\, \ell (1 - \ell) / n}\Big), \qquad
              \hat\rho = \frac{s^2}{\hat c (1 - \hat c)}

    with the standard error over bootstrapped units. The second term is the error that units as alike within as these
    (:math:`\hat\rho`) would have at the level :math:`\ell`: without it, a few units that are all covered would seem
    sure. The quantile of t is that of 99 % over all rows of a predictor together (Bonferroni).

    Parameters
    ----------
    rows
        Rows of a report, as in `scvcell.risk.RiskReport`. Those whose metric is a coverage count, those of width, CRPS
        and PIT stand beside them, all others are ignored; so are rows without a value.
    level
        Level at which the intervals were asked for, in (0, 1).
    n_boot
        Draws of units.
    seed
        Of the draws.

    Returns
    -------
    One row per axis, regime, readout, predictor and ``of``: ``"all"`` features, the ``"strongest"`` true effects, or
    those ``"chosen"`` as the largest by their prediction. ``n`` is the number of units. ``width``, ``crps`` and ``pit``
    are means over units, of all features; the latter two are NaN without quantiles. ``flag`` is ``"too narrow"`` or
    ``"too wide"`` where the interval of the coverage excludes the level; with one unit there is no interval and no
    flag.

    Raises
    ------
    ValueError
        If `level` is not in (0, 1), there are fewer than two draws, or a column is missing.

    Notes
    -----
    ``pit`` is how far quantiles are from their levels within a unit, so that it is above 0 of honest ones too, the more
    the fewer the values of a unit are, or the more they err together: compare predictors by it.

    Strong effects are chosen by the truth, and so by its noise: honest intervals of a predictor that is far from the
    truth hold for fewer of them than for all, and are flagged. That is a fact a reader needs, not a fault of the
    intervals alone; ``"chosen"`` says whether they hold where the prediction itself is large.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, not {level!r}.")
    whole_number("n_boot", n_boot, 2)
    need(rows, "axis", "regime", "readout", "predictor", "unit", "metric", "value")
    known = rows[np.isfinite(rows["value"].to_numpy(float))]
    by = ["predictor", "axis", "regime", "readout", "metric"]
    per_unit = known.groupby([*by, "unit"], sort=True)["value"].mean()
    means: dict[Any, float] = dict(per_unit.groupby(level=by).mean().items())
    there = [key for key in means if key[4] in OF]
    n_rows = pd.Series([predictor for predictor, *_ in there], dtype=object).value_counts()
    out = []
    for predictor, axis, regime, readout, metric in there:
        values = per_unit.loc[predictor, axis, regime, readout, metric].to_numpy(float)
        rng = np.random.default_rng([seed_of(seed), len(values)])
        found, half = float(values.mean()), _halfwidth(values, level, int(n_rows[predictor]), n_boot, rng)
        lower, upper = max(found - half, 0.0), min(found + half, 1.0)
        flag = "too narrow" if upper < level else "too wide" if lower > level else ""
        about = {"axis": axis, "regime": regime, "readout": readout, "predictor": predictor}
        about |= {"of": OF[metric], "level": level}
        beside = dict.fromkeys(BESIDE, float("nan"))
        if metric == "coverage":
            for column, names in BESIDE.items():
                every = [means.get((predictor, axis, regime, readout, name), float("nan")) for name in names]
                beside[column] = next((value for value in every if np.isfinite(value)), float("nan"))
        out.append(about | beside | {"coverage": found, "lower": lower, "upper": upper, "n": len(values), "flag": flag})
    return pd.DataFrame(out, columns=COLUMNS["calibration"])


def _halfwidth(values: Array, level: float, n_rows: int, n_boot: int, rng: np.random.Generator) -> float:
    """Half the interval of a mean coverage over units; NaN of one unit."""
    n, mean = len(values), float(values.mean())
    if n < 2:
        return float("nan")
    error = np.sqrt(mean_variance(values, n_boot, rng))
    spread, most = float(values.var(ddof=1)), mean * (1 - mean)
    alike = min(spread / most, 1.0) if most > 1e-12 else 1.0
    least = np.sqrt(alike * level * (1 - level) / n)
    return float(student.ppf(1 - (1 - SURE) / 2 / n_rows, n - 1) * max(error, least))


def need(rows: pd.DataFrame, *columns: str) -> None:
    """Refuse rows of a report that lack a column."""
    missing = [column for column in columns if column not in rows]
    if missing:
        raise ValueError(f"Rows lack the column {missing[0]!r}; they have {list(rows.columns)}. See RiskReport.rows.")

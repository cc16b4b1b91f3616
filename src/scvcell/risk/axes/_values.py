"""What axes of values share: units of cells, scores of each, and what a second measurement would say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scvcell import score
from scvcell._labels import labels
from scvcell.risk._adapters import Translator
from scvcell.risk._predictor import Values
from scvcell.risk.axes._base import Scored, scores_of_values
from scvcell.risk.baselines import TRANSLATORS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scvcell._types import Array
    from scvcell.risk._predictor import Predictor
    from scvcell.risk.readouts import Readout

VALUES = ("pearson", "rmse", "coverage", "relative_width", "crps_quantiles", "pit_quantiles")
"""Metrics of values, of intervals and of quantiles."""
FEWEST_CELLS = 30
"""Cells of a block, at least, so that scores over cells have a meaning within it."""
LEAST = -1.0
"""What ``expm1`` is never below: lower values are no counts, whatever they come from."""


def blocks(cells: pd.Index, n: int, seed: int) -> pd.Index:
    """Name of a random block of each cell; blocks are alike in size, and depend on names of cells, not their order."""
    n = max(min(n, len(cells) // FEWEST_CELLS), 1)
    of = np.empty(len(cells), np.int64)
    of[np.argsort(cells.to_numpy(str))] = np.random.default_rng(seed).permutation(np.arange(len(cells)) % n)
    return pd.Index([f"block {k + 1}" for k in of])


def groups(column: pd.Series, cells: pd.Index) -> pd.Index:
    """Value of a column of each cell, as text; those that are not known are a unit of their own."""
    return pd.Index(labels(column).reindex(cells).fillna("not known").to_numpy(str))


def members(unit_of: pd.Index, cells: pd.Index) -> dict[str, pd.Index]:
    """Unit -> names of its cells."""
    return {str(name): cells[unit_of == name] for name in sorted(set(unit_of))}


def scored_values(
    unit_of: pd.Index,
    truth: pd.DataFrame,
    values: Values,
    name: str,
    metrics: tuple[str, ...],
    level: float,
    readouts: Sequence[Readout] = (),
    scale: Callable[[Array], Array] = score.log_counts,
    cells: pd.Index | None = None,
) -> list[Scored]:
    """Scores of predicted values, unit by unit.

    Parameters
    ----------
    unit_of
        Name of the unit of each row of `truth`.
    truth, values
        What was measured and predicted, labelled by the same names.
    name
        What the values are, for tables.
    metrics
        Names in `scvcell.score.METRICS`.
    level
        Level of the intervals.
    readouts
        What else is looked at.
    scale
        Scale on which values are compared.
    cells
        Name in the data of each row of `truth`; by default its own.

    Raises
    ------
    ValueError
        If the answer lacks features, or has values below `LEAST` where none that was measured is below 0. Those
        between come from logs that were undone, and count as 0.
    """
    if len(lacking := truth.columns.difference(values.point.columns)):
        raise ValueError(
            f"The answer lacks {len(lacking)} of the {truth.shape[1]} features, e.g. {lacking[0]!r}; it has e.g. "
            f"{list(values.point.columns[:2])}. Answer for all, in any order; leave out cells without an answer."
        )
    low = float(np.nanmin(values.point[truth.columns].to_numpy(float), initial=0))
    if low < LEAST and truth.to_numpy(float).min(initial=0) >= 0:
        raise ValueError(f"The answer has values down to {low:.4g}, where none that was measured is below 0.")
    true = scale(truth.to_numpy(float))
    point, *ends = (scale(x) for x in values.at(truth.index, truth.columns))
    out = []
    for unit in sorted(set(unit_of)):
        at = np.asarray(unit_of == unit)
        quantiles = values.quantiles_at(truth.index[at], truth.columns)
        quantiles = None if quantiles is None else scale(quantiles)
        found = scores_of_values(metrics, true[at], point[at], [end[at] for end in ends], level, quantiles)
        out += [Scored(unit, name, metric, value, int(at.sum())) for metric, value in found.items()]
    told = np.isfinite(point).all(1)
    for readout in readouts:
        if "cells" in readout.reads and told.sum() > 1:
            names = (truth.index if cells is None else cells)[told]
            both = [readout.pool(readout(x[told], truth.columns), names) for x in (point, true)]
            out += _seen(readout, unit_of[told], *both)
    return out


def _seen(readout: Readout, unit_of: pd.Index, p: Array, t: Array) -> list[Scored]:
    """Scores of what a readout sees of cells, unit by unit."""
    tables = p.ndim == 2
    if tables:
        known = np.isfinite(p).all(1) & np.isfinite(t).all(1)
        unit_of, p, t = unit_of[known], p[known], t[known]
    given = {"sets": (p, t), "values": (p, t)} if tables else {}
    if (names := readout.classes(p)) is not None:
        given["labels"] = names, readout.classes(t)
    out = []
    for unit in sorted(set(unit_of)):
        at = np.asarray(unit_of == unit)
        for metric in readout.metrics if at.sum() > 1 else ():
            both = given.get(score.METRICS[metric].takes)
            value = (
                float("nan") if both is None or metric == "nmae" else score.mean_of(metric, tuple(x[at] for x in both))
            )
            if np.isfinite(value):
                out.append(Scored(unit, readout.name, metric, value, int(at.sum())))
    return out


def twin(truth: pd.DataFrame, seed: Sequence[int]) -> Values:
    r"""A second measurement of the same cells, if nothing but counting differed.

    .. math:: x' \sim \mathrm{Poisson}(2 y), \qquad y \sim \mathrm{Binomial}(x, 1/2)

    Its mean is that of `truth`, and its variance around it, :math:`2 x`, is that of the difference of two counts of one
    expectation.

    Parameters
    ----------
    truth
        Counts, cells x features. Parts of a count are kept as they are.
    seed
        Seed of the draw.
    """
    counts = np.maximum(truth.to_numpy(float), 0)
    whole = np.floor(counts)
    rng = np.random.default_rng(list(seed))
    drawn = rng.poisson(2.0 * rng.binomial(whole.astype(np.int64), 0.5)) + (counts - whole)
    return Values(pd.DataFrame(drawn, truth.index, truth.columns))


def translators() -> list[Predictor]:
    """Every simple translation of one assay into another."""
    return [Translator(name) for name in TRANSLATORS]

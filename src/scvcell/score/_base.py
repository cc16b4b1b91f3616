"""What a metric is: a formula, and what a reader must know of it. Scales on which values are compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import scipy.sparse as sp

from scvcell._registry import Registry

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scvcell._types import Array


PER_CELL = 1e4
"""Counts to which every cell is brought by `log_cp10k`."""

Better = Literal["higher", "lower", "nominal"]
Takes = Literal[
    "states",
    "states, labels",
    "values",
    "labels",
    "effects",
    "effects, significant",
    "effects, reference",
    "sets",
    "intervals",
    "intervals, level",
    "quantiles, levels",
    "draws",
    "places",
    "maps",
    "network",
]
TAKES: dict[Takes, str] = {
    "states": "states of the same cells in two assays, each ``(cells, latent)``",
    "states, labels": "states of cells in two assays, each ``(cells, latent)``, and the labels of both",
    "values": "predicted and true values, each ``(cells, features)``",
    "labels": "predicted and true labels, each ``(cells,)``",
    "effects": "predicted and true effects, each ``(features,)``, or ``(conditions, features)``",
    "effects, significant": "the same and which features truly change, a mask of the shape of the true effects",
    "effects, reference": "the same and the mean effect of the actions that may be seen, ``(features,)``",
    "sets": "predicted and true cells, ``(cells, features)`` and ``(other cells, features)``",
    "intervals": "true values and ends of their intervals, each ``(cells, features)``",
    "intervals, level": "the same and the level of the intervals",
    "quantiles, levels": "true values ``(units, features)``, quantiles ``(levels, units, features)``, ``(levels,)``",
    "draws": "true values ``(units, features)`` and draws of what is predicted ``(draws, units, features)``",
    "places": "predicted and true coordinates, each ``(cells, dimensions)``",
    "maps": "probabilities of places ``(cells, places)``, and the number of the true one ``(cells,)``",
    "network": "edges, treated cells by source, controls ``(cells, features)`` and names of the features",
}
"""What a metric may take -> what its arguments then are, in their order."""


@dataclass(frozen=True)
class Metric:
    """A formula with what a reader has to know of it.

    Parameters
    ----------
    name
        Name in tables and in `METRICS`.
    function
        The formula, a function of arrays.
    takes
        What its arguments are, one of `TAKES`.
    better
        ``"higher"``, ``"lower"``, or ``"nominal"`` where the value should be near the level that was asked for.
    per
        What one value stands for: ``"cell"``, ``"feature"``, ``"condition"``, ``"set of cells"``, ``"table"``.
    scale
        Scale on which its arguments must be: ``"log1p of counts"``.
    formula
        The formula in one line.
    source
        Where it comes from.
    fooled_by
        What makes it look better than the prediction is.

    Raises
    ------
    ValueError
        If `takes` or `better` has another value.
    """

    name: str
    function: Callable[..., Any]
    takes: Takes
    better: Better
    per: str
    scale: str
    formula: str
    source: str
    fooled_by: str

    def __post_init__(self) -> None:
        if self.better not in ("higher", "lower", "nominal"):
            raise ValueError(f"better must be 'higher', 'lower' or 'nominal', not {self.better!r}.")
        if self.takes not in TAKES:
            raise ValueError(f"takes must be one of {', '.join(map(repr, TAKES))}, not {self.takes!r}.")

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """The value of the formula."""
        return self.function(*arguments, **options)


METRICS: Registry[Metric] = Registry("metric", "scvcell.metrics")
"""Every metric by name, the package's own and those of other packages."""


def metric[F: Callable[..., Any]](
    name: str, *, takes: Takes, better: Better, per: str, scale: str, formula: str, source: str, fooled_by: str
) -> Callable[[F], F]:
    """Decorator that registers a function as a `Metric` and returns the function unchanged.

    Parameters are those of `Metric`.
    """

    def add(function: F) -> F:
        METRICS.register(name)(Metric(name, function, takes, better, per, scale, formula, source, fooled_by))
        return function

    return add


def mean_of(name: str, arguments: tuple[Any, ...]) -> float:
    """A metric as one number: the mean over cells or features, and over both directions if it has two values.

    Cells or features without a value are left out.
    """
    value = METRICS[name](*arguments)
    parts = value if isinstance(value, tuple) else (value,)
    return mean_known(np.concatenate([np.ravel(part) for part in parts]))


def mean_known(values: Array) -> float:
    """Mean of the values that are not NaN; NaN where there are none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def lower_is_better(name: str) -> bool:
    """Whether less of a metric is better; of one that is not registered, whether it is, nothing is known: no."""
    return name in METRICS and METRICS[name].better == "lower"


def show() -> pd.DataFrame:
    """Table of every registered metric, the package's own and third parties'.

    Returns
    -------
    One row per metric: the fields of `Metric` without the function, and the module that defines it.
    """
    columns = [field.name for field in fields(Metric) if field.name not in ("name", "function")]
    rows = {name: {c: getattr(METRICS[name], c) for c in columns} for name in METRICS}
    defined = {name: getattr(METRICS[name].function, "__module__", "") for name in METRICS}
    return (
        pd.DataFrame.from_dict(rows, orient="index").rename_axis("metric").assign(**{"defined in": pd.Series(defined)})
    )


def as_array(x: Any) -> NDArray[Any]:
    """A dense array from a dense or sparse matrix, of the same data type."""
    return np.asarray(x.toarray() if sp.issparse(x) else x)


def dense(x: Any) -> NDArray[np.float64]:
    """A dense array of double precision, from a dense or sparse matrix."""
    return np.asarray(as_array(x), dtype=np.float64)


def log_counts(x: Any) -> Array:
    """``log1p`` of counts, ``(cells, features)``; what is below 0, as a prediction may be, counts as 0."""
    return np.log1p(np.maximum(as_array(x), 0))  # type: ignore[no-any-return]


def log_cp10k(x: Any) -> Array:
    """``log1p`` of counts per 10,000 of the cell, ``(cells, genes)``; the depth of an empty cell counts as 1."""
    if sp.issparse(x):  # zeros stay what they are
        found = sp.csr_matrix(x, copy=True)
        found.sum_duplicates()
        depth = np.maximum(np.asarray(found.sum(1)).ravel(), 1)
        found.data = np.log1p(found.data / np.repeat(depth, np.diff(found.indptr)) * PER_CELL)
        return found.toarray()  # type: ignore[no-any-return]
    counts = as_array(x)
    return np.log1p(counts / np.maximum(counts.sum(1, keepdims=True), 1) * PER_CELL)  # type: ignore[no-any-return]


def clr(x: Any) -> Array:
    """Centred log-ratio of each cell: ``log1p`` of its counts minus its mean over features, ``(cells, features)``.

    References
    ----------
    Stoeckius et al., Simultaneous epitope and transcriptome measurement in single cells, Nat Methods 2017 (with
    ``log1p`` in place of the logarithm, as Seurat has it).
    """
    log = log_counts(x)
    return log - log.mean(1, keepdims=True)

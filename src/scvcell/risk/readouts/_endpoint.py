"""Eq. 5: phi by a head, what cells say of an endpoint: a class, a value, or the time to an event."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA

from scvcell._checks import expect
from scvcell._labels import is_numeric, labels, numbers
from scvcell.risk.readouts._base import FEWEST_SHARED, READOUTS, Readout, digest
from scvcell.tissue import Classes, Times, Values

if TYPE_CHECKING:
    from collections.abc import Callable

    from scvcell._types import Array, Rows
    from scvcell.tissue import Outcome

COMPONENTS = 20
"""Principal components that a head reads."""
STRENGTHS = (0.001, 0.01, 0.1, 1.0)
"""Weights of the data against the penalty of a head that are tried."""
FOLDS = 5
"""Parts of the cells that are left out in turn to choose among them."""
FEWEST_CELLS = 20
"""Cells with a known endpoint below which there is no head."""
OF_KIND = {Classes: ("accuracy", "macro_f1"), Values: ("pearson", "rmse"), Times: ("pearson", "rmse")}
"""Metrics of cells one by one, by kind of endpoint; all are compared as sets of cells as well."""


@READOUTS.register("endpoint", aliases=("outcome", "phenotype"))
@dataclass(frozen=True, eq=False)
class Endpoint(Readout):
    """What a head says of each cell: probabilities of classes, a value, or the log hazard ratio of an event.

    The head is a penalised logistic, linear or Cox regression on principal components of measured cells; its penalty is
    chosen on cells that are left out. It says the same of what was predicted and of what was measured, so that errors
    count as far as they change a decision.

    Parameters
    ----------
    values
        Measured cells on the scale of ``log1p``, cells x features, labelled by names.
    outcome
        Endpoint of these cells, labelled by their names: a class, a number, or with `event` a time; missing where it is
        not known.
    event
        Of a time: whether the event was seen then, or the cell (its donor) was last seen.
    name
        Name in tables.
    metrics
        Names in `scvcell.score.METRICS`. By default those of classes or of values, and the distance of distributions.

    Raises
    ------
    TypeError
        If `values` is no table, or `outcome` no column.
    ValueError
        If fewer than 20 cells have an endpoint, or all have the same.

    Examples
    --------
    >>> log = scvcell.score.log_cp10k(adata.X)
    >>> values = pd.DataFrame(log, adata.obs_names, adata.var_names)
    >>> readout = scvcell.risk.Endpoint(values, adata.obs["response"])
    """

    reads: ClassVar[tuple[str, ...]] = ("cells",)

    values: pd.DataFrame | None = field(default=None, repr=False)
    outcome: pd.Series | None = field(default=None, repr=False)
    event: pd.Series | None = field(default=None, repr=False)
    name: str = "endpoint"
    metrics: tuple[str, ...] = ()
    _asked: Any = field(default=None, init=False, repr=False)
    _heads: dict[tuple[str, ...], Callable[[Array], Array]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        hint = "A readout of an endpoint needs measured cells and what became of them: Endpoint(values, outcome)."
        if self.values is None or self.outcome is None:
            raise ValueError(hint)
        expect("values", self.values, pd.DataFrame, hint)
        expect("outcome", self.outcome, pd.Series, hint)
        asked = _outcome(self.outcome.reindex(self.values.index), self.event)
        known = int(np.isfinite(asked.value).sum())
        if known < FEWEST_CELLS:
            raise ValueError(f"{known} cells of values have an endpoint; at least {FEWEST_CELLS} are needed.")
        if len(np.unique(asked.value[np.isfinite(asked.value)])) < 2:
            raise ValueError(f"All {known} cells have the same endpoint, so that a head can say nothing else.")
        object.__setattr__(self, "_asked", asked)
        object.__setattr__(self, "metrics", self.metrics or (*OF_KIND[type(asked)], "energy_distance"))

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_heads": {}}

    @property
    def identity(self) -> str:
        """Name, metrics and what the head is learned from."""
        learned = [digest(pd.DataFrame(each)) for each in (self.values, self.outcome, self.event) if each is not None]
        return f"{self.name} {self.metrics} {' '.join(learned)}"

    def __call__(self, values: Array, features: pd.Index) -> Array:
        """Probabilities of the classes, or one value, ``(rows, outputs)``."""
        shared = sorted(features.intersection(self._table.columns))
        key = tuple(map(str, shared))
        if key not in self._heads:
            self._heads[key] = _head(self._table[shared].to_numpy(float), self._asked)
        return self._heads[key](values[:, features.get_indexer(pd.Index(shared))])

    def classes(self, seen: Array) -> Any:
        """The most probable class; None of a value or a time."""
        return np.array(self._asked.names)[seen.argmax(1)] if isinstance(self._asked, Classes) else None

    def check(self, features: pd.Index) -> None:
        """Refuse cells of other features."""
        if len(features.intersection(self._table.columns)) < FEWEST_SHARED:
            raise ValueError(
                f"The values of {self.name!r} share fewer than {FEWEST_SHARED} features with the data, whose are "
                f"called e.g. {features[0]!r}."
            )

    @property
    def _table(self) -> pd.DataFrame:
        assert self.values is not None
        return self.values


def _outcome(column: pd.Series, event: pd.Series | None) -> Outcome:
    """What is predicted, by the type of its column."""
    if event is not None:
        seen = event.reindex(column.index)
        time = np.where(seen.notna(), numbers(column), np.nan)
        return Times(time, seen.fillna(value=False).to_numpy(bool))
    if is_numeric(column):
        return Values(numbers(column))
    text = labels(column)
    names = sorted(set(text.dropna()))
    return Classes(np.array([names.index(each) if each in names else np.nan for each in text], float), names)


def _head(x: Array, outcome: Outcome) -> Callable[[Array], Array]:
    """A head on principal components, in the order of the features that it is given."""
    known = np.flatnonzero(np.isfinite(outcome.value) & np.isfinite(x).all(1))
    pca = PCA(min(COMPONENTS, x.shape[1], len(known) - 1), svd_solver="full").fit(x[known])
    spread = np.sqrt(np.maximum(pca.explained_variance_, 1e-12))

    def places(values: Array) -> Array:
        return np.asarray(pca.transform(values) / spread)

    z = np.zeros((len(x), len(spread)))
    z[known] = places(x[known])
    fold = np.random.default_rng(0).permutation(np.arange(len(known)) % FOLDS)
    parts = [known[fold == k] for k in range(FOLDS)]
    cost = [sum(_left_out(outcome, z, known, part, strength) for part in parts) for strength in STRENGTHS]
    head = outcome.fit(z, known, STRENGTHS[int(np.argmin(cost))])
    return lambda values: head(places(values))


def _left_out(outcome: Outcome, z: Array, known: Rows, part: Rows, strength: float) -> float:
    """Loss on cells that a head has not seen."""
    head = outcome.fit(z, np.setdiff1d(known, part), strength)
    return float(outcome.loss(head(z[part]), part).sum())

"""The axis of contexts: another donor, cell type, site; actions there, or values of an assay that it lacks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np
import pandas as pd
from mudata import MuData

from scvcell import score
from scvcell._checks import check_level, expect
from scvcell._containers import view
from scvcell._labels import labels
from scvcell.risk._log_counts import LogCounts, column_means
from scvcell.risk._predictor import Translate, Values
from scvcell.risk.axes._base import AXES, Axis, Scored, StressTest, need_modalities
from scvcell.risk.axes._effects import EffectAxis
from scvcell.risk.axes._values import VALUES, scored_values, translators, twin

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from scvcell._types import Array
    from scvcell.risk._predictor import Prediction, Predictor
    from scvcell.risk._split import Split
    from scvcell.risk.axes._conditions import Condition, Conditions
    from scvcell.risk.readouts import Readout

MEASURE = "1 - correlation of mean profiles with the nearest training context"


def severity_of(profile: Array, others: Array) -> float:
    """1 less the correlation of a mean profile ``(features,)`` with the nearest of some ``(contexts, features)``."""
    if not len(others):
        return 1.0
    return float(1 - score.correlation(np.repeat(profile[:, None], len(others), 1), others.T).max())


@AXES.register("context")
@dataclass(frozen=True)
class Context(EffectAxis):
    """Actions in contexts of which no treated cell was seen: another donor, cell type, line.

    Severity is 1 less the correlation of the mean profile of the untreated cells with that of the nearest context of
    which treated cells were seen.

    Parameters
    ----------
    keys, modality, n_partitions, level, n_top, seed, metrics
        As `scvcell.risk.axes.EffectAxis`; contexts are those of `keys`.
    """

    name: ClassVar[str] = "context"

    def _mine(self, conditions: Conditions, of: Condition) -> bool:
        return of.context not in conditions.treated_contexts

    def _shift(self, conditions: Conditions, of: Condition) -> tuple[str, float, str]:
        known = map(conditions.known_base, sorted(conditions.treated_contexts))
        others = np.array([base for base in known if base is not None])
        regime = f"another {' and '.join(self.keys.contexts)}" if self.keys.contexts else "another context"
        return regime, severity_of(conditions.base(of), others), MEASURE


@AXES.register("context translation")
@dataclass(frozen=True)
class ContextTranslation(Axis):
    """An assay of cells of another donor, batch or site, of which nobody has seen that assay.

    Parameters
    ----------
    by
        Column of obs whose values are contexts; each value among the test cells is one test and one unit.
    source, to
        Assay that test cells have; assay that is asked for.
    level
        Level of the intervals that are asked for.
    seed
        Seed of what stands for a second measurement.
    metrics
        Metrics of values and intervals, by name; metrics that take anything else are left out.

    Notes
    -----
    Values are counts, scored as ``log1p``. Anchors: the mean profile, and a second measurement of the same cells, which
    is drawn from what counting alone would change.
    """

    name: ClassVar[str] = "context"
    baseline: ClassVar[str] = "mean profile"

    by: str
    source: str = "rna"
    to: str = "adt"
    level: float = 0.9
    seed: int = 0
    metrics: tuple[str, ...] = VALUES

    def __post_init__(self) -> None:
        check_level(self.level)

    def hide(self, data: MuData, split: Split) -> MuData:
        """The data without what is asked for of the test cells."""
        self._check(data)
        names = pd.Index(view(data).obs_names)
        known = names[names.isin(split.train) | names.isin(split.calibration)]
        shown = {
            m: adata[adata.obs_names.isin(known) | (adata.obs_names.isin(split.test) & (m == self.source))].copy()
            for m, adata in data.mod.items()
        }
        out = MuData(shown)
        kept = pd.Index(out.obs_names)
        for column in data.obs.columns:
            out.obs[column] = data.obs[column].reindex(kept)
        return out

    def stress_tests(self, data: MuData, split: Split) -> Iterator[StressTest]:
        """Translate the cells of each context.

        Raises
        ------
        ValueError
            If no test cell has both assays.
        """
        self._check(data)
        seen = view(data)
        both = np.asarray(seen.present(self.source) & seen.present(self.to))
        context = labels(seen.column(self.by)).to_numpy(object)
        asked, known = (np.asarray(seen.obs_names.isin(part)) for part in (split.test, split.train))
        table = data.mod[self.source]
        values, row = LogCounts(table.X), seen.rows[self.source]
        every = known & both
        named = {c for c in context[every] if not pd.isna(c)}
        others = np.array([column_means(values, row[every & (context == c)]) for c in named])
        if not (asked & both).any():
            raise ValueError(f"No test cell has both {self.source!r} and {self.to!r}; there is no truth to ask for.")
        for name in sorted({str(c) for c in context[asked & both]}):
            cells = seen.obs_names[asked & both & (context == name)]
            if len(cells) > 1:
                tau = severity_of(column_means(values, row[asked & both & (context == name)]), others)
                about = (self.name, f"{self.source} to {self.to} in {name}", f"another {self.by}", tau, MEASURE)
                question = Translate(self.source, self.to, cells, self.level)
                yield StressTest(*about, question, partial(_values, data, self.to, cells), {name: cells})

    def score(self, test: StressTest, prediction: Prediction) -> dict[str, float]:
        """Scores of values and intervals."""
        return {each.metric: each.value for each in self.scored(test, prediction)}

    def scored(
        self, test: StressTest, prediction: Prediction, part: int = 0, readouts: Sequence[Readout] = ()
    ) -> list[Scored]:
        """Scores of values and intervals of one context."""
        truth = test.truth()
        one = pd.Index([next(iter(test.units))] * len(truth))
        return scored_values(
            one, truth, cast("Values", prediction), f"values ({self.to})", self.metrics, self.level, readouts
        )

    def replicate(self, test: StressTest, part: int = 0) -> Values:
        """A second measurement of the same cells, as far as counting goes."""
        return twin(test.truth(), [self.seed, part])

    def baselines(self) -> list[Predictor]:
        """Every simple translation."""
        return translators()

    def _check(self, data: MuData) -> None:
        expect("data", data, MuData, "A translation needs two assays.")
        need_modalities(data, self.source, self.to)


def _values(data: MuData, modality: str, cells: pd.Index) -> pd.DataFrame:
    """Measured values of cells."""
    table = data.mod[modality][cells]
    return pd.DataFrame(score.dense(table.X), index=cells, columns=table.var_names)

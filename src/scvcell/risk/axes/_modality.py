"""The axis of modalities: two assays of a cell are torn apart, and are to be matched and translated."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from scvcell import score
from scvcell._containers import view
from scvcell.risk._predictor import Place, States, Translate, Values
from scvcell.risk._unpair import Unpaired, unpair
from scvcell.risk.axes._base import AXES, Axis, StressTest, scores, scores_of_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mudata import MuData

    from scvcell.risk._predictor import Prediction, Question
    from scvcell.risk._split import Split

REGIME, MEASURE = "hidden pairing", "share of pairs that are hidden"


@AXES.register("modality")
@dataclass(frozen=True)
class Modality(Axis):
    """Hidden pairing of two assays: is the same cell found again, and are its values of the other assay predicted.

    Parameters
    ----------
    a, b
        Modalities.
    keep
        Columns of obs that predictors may see, such as the batch.
    level
        Level of the intervals that are asked for.
    seed
        Seed of the names under which halves of cells are seen.
    metrics
        Metrics of states, values and intervals, by name; metrics that take anything else are left out.

    Notes
    -----
    Values are counts, scored as ``log1p``. Scores are means over the cells that were answered; read them beside
    ``answered``.
    """

    name: ClassVar[str] = "modality"

    a: str = "rna"
    b: str = "adt"
    keep: tuple[str, ...] = ("batch",)
    level: float = 0.9
    seed: int = 0
    metrics: tuple[str, ...] = ("foscttm", "match_recall", "mixing", "pearson", "rmse", "coverage", "relative_width")

    def hide(self, data: MuData, split: Split) -> MuData:
        """The data with the test cells torn apart, under names and in an order that tell nothing."""
        return self._torn(data, split).data

    def stress_tests(self, data: MuData, split: Split) -> Iterator[StressTest]:
        """Match all test cells, and translate each half into the assay of the other."""
        torn, seen = self._torn(data, split), view(data)
        names = {self.a: torn.a, self.b: torn.b}
        paired = int((seen.present(self.a) & seen.present(self.b)).sum())
        severity = len(torn.a) / paired

        def test(name: str, question: Question, truth: Callable[[], Any]) -> StressTest:
            return StressTest(self.name, name, REGIME, severity, MEASURE, question, truth)

        places = Place({m: cells.sort_values() for m, cells in names.items()})
        yield test(f"match {self.a} and {self.b}", places, lambda: names)
        for source, to in ((self.a, self.b), (self.b, self.a)):
            asked = Translate(source, to, names[source].sort_values(), self.level)
            yield test(f"{source} to {to}", asked, partial(_values, data.mod[to][split.test], names[source]))

    def score(self, test: StressTest, prediction: Prediction) -> dict[str, float]:
        """Scores of states against the pairing, of values and intervals against the measurement."""
        truth = test.truth()
        if isinstance(prediction, States):
            return self._of_states(prediction, truth)
        return self._of_values(prediction, truth) if isinstance(prediction, Values) else {}

    def _torn(self, data: MuData, split: Split) -> Unpaired:
        return unpair(data, split.test, self.a, self.b, seed=self.seed, keep=self.keep)

    def _of_states(self, states: States, names: Mapping[str, pd.Index]) -> dict[str, float]:
        both = [states.of[m].reindex(names[m]).to_numpy(float) for m in (self.a, self.b)]
        told = np.logical_and.reduce([np.isfinite(z).all(1) for z in both])
        found = {"answered": float(told.mean())}
        return found | (scores(self.metrics, {"states": tuple(z[told] for z in both)}) if told.sum() > 1 else {})

    def _of_values(self, values: Values, truth: pd.DataFrame) -> dict[str, float]:
        true = score.log_counts(truth.to_numpy(float))
        point, *ends = (score.log_counts(x) for x in values.at(truth.index, truth.columns))
        return scores_of_values(self.metrics, true, point, ends, self.level)


def _values(table: Any, names: pd.Index) -> pd.DataFrame:
    """Measured values, labelled by the names under which their cells were asked about."""
    return pd.DataFrame(score.dense(table.X), index=names, columns=table.var_names)

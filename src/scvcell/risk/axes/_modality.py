"""The axis of modalities: two assays of a cell are torn apart, and are to be matched and translated."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
import pandas as pd
from mudata import MuData

from scvcell import score
from scvcell._checks import check_level, expect
from scvcell._containers import view
from scvcell.risk._adapters import LinearMatch
from scvcell.risk._predictor import Place, States, Translate, Values
from scvcell.risk._unpair import Unpaired, unpair
from scvcell.risk.axes._base import AXES, Axis, Scored, StressTest, need_modalities, scores
from scvcell.risk.axes._values import VALUES, blocks, groups, members, scored_values, translators, twin
from scvcell.risk.baselines import Chance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from scvcell.risk._predictor import Prediction, Predictor, Question
    from scvcell.risk._split import Split
    from scvcell.risk.readouts import Readout

TO = "modality"
"""Where a table of true values says of which assay it is."""
CELLS = "cells"
"""Where it has the names of its rows in the data."""
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
        Seed of the names under which halves of cells are seen, and of random blocks.
    unit_key
        Column of exchangeable units (donor, batch); by default random blocks of test cells.
    n_blocks
        Random blocks, at most; one has at least 30 cells. 1 scores all test cells together.
    metrics
        Metrics of states, values and intervals, by name; metrics that take anything else are left out.

    Notes
    -----
    Values are counts, scored as ``log1p``. Scores are means over the cells that were answered; read them beside
    ``answered``. Values are scored within each unit, matches among all test cells. Anchors: for values the mean
    profile, and a second measurement that is drawn from what counting alone would change; for states random ones, and
    the pairing itself.
    """

    name: ClassVar[str] = "modality"
    baseline: ClassVar[str] = "chance"

    a: str = "rna"
    b: str = "adt"
    keep: tuple[str, ...] = ("batch",)
    level: float = 0.9
    seed: int = 0
    unit_key: str | None = None
    n_blocks: int = 20
    metrics: tuple[str, ...] = ("foscttm", "match_recall", "mixing", *VALUES)

    def __post_init__(self) -> None:
        check_level(self.level)

    def hide(self, data: MuData, split: Split) -> MuData:
        """The data with the test cells torn apart, under names and in an order that tell nothing."""
        return self._torn(data, split).data

    def stress_tests(self, data: MuData, split: Split) -> Iterator[StressTest]:
        """Match all test cells, and translate each half into the assay of the other."""
        expect("data", data, MuData, "Pairs are cells with two modalities.")
        need_modalities(data, self.a, self.b)
        torn, seen = self._torn(data, split), view(data)
        names, units = {self.a: torn.a, self.b: torn.b}, self._units(data, split)
        paired = int((seen.present(self.a) & seen.present(self.b)).sum())
        severity = len(torn.a) / paired

        def test(name: str, question: Question, truth: Callable[[], Any]) -> StressTest:
            about = (self.name, name, REGIME, severity, MEASURE, question)
            return StressTest(*about, truth, members(units, split.test), units)

        places = Place({m: cells.sort_values() for m, cells in names.items()})
        yield test(f"match {self.a} and {self.b}", places, names.copy)
        for source, to in ((self.a, self.b), (self.b, self.a)):
            asked = Translate(source, to, names[source].sort_values(), self.level)
            yield test(f"{source} to {to}", asked, partial(_values, data.mod[to][split.test], names[source], to))

    def score(self, test: StressTest, prediction: Prediction) -> dict[str, float]:
        """Scores of states against the pairing, of values and intervals against the measurement."""
        truth = test.truth()
        one = pd.Index(["all"] * len(next(iter(truth.values())) if isinstance(truth, dict) else truth))
        return {each.metric: each.value for each in self._scored(truth, one, prediction, ())}

    def scored(
        self, test: StressTest, prediction: Prediction, part: int = 0, readouts: Sequence[Readout] = ()
    ) -> list[Scored]:
        """The same, unit by unit."""
        return self._scored(test.truth(), cast("pd.Index", test.unit_of), prediction, readouts)

    def replicate(self, test: StressTest, part: int = 0) -> States | Values:
        """The pairing itself as states; a second measurement of the same cells, as far as counting goes, as values."""
        truth = test.truth()
        if isinstance(truth, pd.DataFrame):
            return twin(truth, [self.seed, part])
        rng = np.random.default_rng(self.seed)
        places = rng.normal(size=(len(truth[self.a]), 8))
        return States({m: pd.DataFrame(places, cells) for m, cells in truth.items()})

    def baselines(self) -> list[Predictor]:
        """Chance, every simple translation but the mean profile, which chance is, and linear matching."""
        return [Chance(), *(each for each in translators() if each.name != "mean profile"), LinearMatch()]

    def _torn(self, data: MuData, split: Split) -> Unpaired:
        return unpair(data, split.test, self.a, self.b, seed=self.seed, keep=self.keep)

    def _units(self, data: MuData, split: Split) -> pd.Index:
        if self.unit_key is None:
            return blocks(split.test, self.n_blocks, self.seed)
        seen = view(data)
        return groups(pd.Series(seen.column(self.unit_key).to_numpy(), seen.obs_names), split.test)

    def _scored(self, truth: Any, units: pd.Index, prediction: Prediction, readouts: Sequence[Readout]) -> list[Scored]:
        if isinstance(prediction, States):
            return self._of_states(prediction, truth, units)
        if not isinstance(prediction, Values):
            return []
        return scored_values(
            *(units, truth, prediction, f"values ({truth.attrs[TO]})", self.metrics, self.level, readouts),
            cells=pd.Index(truth.attrs[CELLS]),
        )

    def _of_states(self, states: States, names: Mapping[str, pd.Index], units: pd.Index) -> list[Scored]:
        """Matches are looked for among all test cells that have states; other metrics are taken within each unit."""
        both = [states.of[m].reindex(names[m]).to_numpy(float) for m in (self.a, self.b)]
        told = np.logical_and.reduce([np.isfinite(z).all(1) for z in both])
        out = []
        ranks = score.match_ranks(both[0][told], both[1][told]) if told.sum() > 1 else None
        for unit in sorted(set(units)):
            mine = np.asarray(units == unit)
            here = mine[told]
            found = {"answered": float(told[mine].mean())}
            if ranks is not None and here.any():
                each = {"foscttm": [r.share()[here] for r in ranks], "match_recall": [r.found()[here] for r in ranks]}
                found |= {m: float(np.mean(each[m])) for m in self.metrics if m in each}
                rest = tuple(m for m in self.metrics if m not in each)
                if here.sum() > 1:
                    found |= scores(rest, {"states": tuple(z[told & mine] for z in both)})
            out += [Scored(unit, "states", metric, value, int(mine.sum())) for metric, value in found.items()]
        return out


def _values(table: Any, names: pd.Index, modality: str) -> pd.DataFrame:
    """Measured values of an assay, labelled by the names under which their cells were asked about."""
    found = pd.DataFrame(score.dense(table.X), index=names, columns=table.var_names)
    found.attrs |= {TO: modality, CELLS: list(table.obs_names)}
    return found

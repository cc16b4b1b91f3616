"""What axes of actions share: an effect is asked for, and compared with halves of the cells that show it."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np
import pandas as pd

from scvcell import score
from scvcell._checks import check_level, expect, whole_number
from scvcell._containers import view
from scvcell.perturb import PerturbationKeys, read_design
from scvcell.risk._counts import check_counts
from scvcell.risk._predictor import QUANTILES, Effect, Effects, numbers
from scvcell.risk.axes._base import Axis, Scored, StressTest, averaged, need_modalities, scores
from scvcell.risk.axes._conditions import Conditions
from scvcell.risk.baselines import EffectBaseline, action_baselines
from scvcell.risk.readouts import readouts_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from scvcell._containers import Container
    from scvcell._types import Array, Rows
    from scvcell.risk._predictor import Prediction, Predictor
    from scvcell.risk._split import Split
    from scvcell.risk.axes._conditions import Condition
    from scvcell.risk.readouts import Readout

STRONGEST = 10
"""Effects that are the strongest."""
FOUND = 0.01
"""Share of the cells, treated or not, in which a feature has to be found for its interval to count."""
SET = 500
"""Cells of a set that are compared with another one, at most."""
FEWEST_FEATURES = 3
"""Features with an answer below which there is no score."""


@dataclass(frozen=True)
class EffectAxis(Axis):
    """Asks what actions do where it was measured and hidden.

    Treated cells of the test part are hidden. Each action in each context is asked for, from the untreated cells of the
    test part there, or of all if it has none. Treated cells are cut into two halves in `n_partitions` ways: every
    answer, and the first half as a replicate, is scored against the second half, and the mean is reported. Where a half
    has fewer than 20 cells, there is no replicate, and scores are against all treated cells.

    Parameters
    ----------
    keys
        Columns that say what was done, and the contexts within which treated cells are compared with controls.
    modality
        Assay whose change is asked for.
    n_partitions
        Ways in which treated cells are cut; 0 for scores against all treated cells, without a replicate.
    level
        Level of the intervals that are asked for.
    n_top
        Features, those that truly change most, over which errors and distances are taken.
    seed
        Seed of the halves.
    metrics
        Metrics of intervals and states of cells beside those of readouts.

    Notes
    -----
    ``coverage`` is of the features that are found in at least one in a hundred of the cells, ``coverage_strongest`` of
    the ten of them whose effect is strongest by all treated cells, ``coverage_chosen`` of the ten whose interval lies
    farthest from 0.
    """

    baseline: ClassVar[str] = "mean"

    keys: PerturbationKeys
    modality: str = "rna"
    n_partitions: int = 5
    level: float = 0.9
    n_top: int = 50
    seed: int = 0
    metrics: tuple[str, ...] = (
        *("coverage", "coverage_strongest", "coverage_chosen", "relative_width", "crps_quantiles", "pit_quantiles"),
    )

    def __post_init__(self) -> None:
        expect("keys", self.keys, PerturbationKeys, "For example PerturbationKeys('drug', control='DMSO').")
        whole_number("n_partitions", self.n_partitions, 0)
        whole_number("n_top", self.n_top, 1)
        check_level(self.level)

    @abstractmethod
    def _mine(self, conditions: Conditions, of: Condition) -> bool:
        """Whether a condition is asked about along this axis."""

    @abstractmethod
    def _shift(self, conditions: Conditions, of: Condition) -> tuple[str, float, str]:
        """Regime, severity and what it measures."""

    def hides(self) -> object:
        """The treated cells of the test part."""
        return "treated", self.keys

    def hide(self, data: Container, split: Split) -> Container:
        """The data without the treated cells of the test part, and without cells that are in no part."""
        seen = view(data)
        names = pd.Index(seen.obs_names)
        known = names.isin(split.train) | names.isin(split.calibration)
        shown = known | (names.isin(split.test) & read_design(self.keys, seen.column).control)
        return seen.source[seen.source.obs_names.isin(names[shown])].copy()

    def stress_tests(self, data: Container, split: Split) -> Iterator[StressTest]:
        """Each action in each context.

        Raises
        ------
        ValueError
            If the split hides no condition of this axis.
        """
        need_modalities(data, self.modality)
        check_counts(view(data).modalities[self.modality], self.modality)
        conditions = Conditions(data, split, self.keys, self.modality, self.n_partitions, self.n_top, self.seed)
        found = [each for each in conditions.every if self._mine(conditions, each)]
        if not found:
            raise ValueError(self._none(conditions))
        names = conditions.table.index
        for each in found:
            n = len(conditions.half(each, 0, second=True))
            question = Effect(each.action, names[each.controls], self.modality, n, self.level)
            about = (self.name, each.unit, *self._shift(conditions, each), question)
            units = {each.unit: names[each.treated]}
            yield StressTest(*about, partial(_truth, conditions, each), units)

    def score(self, test: StressTest, prediction: Prediction) -> dict[str, float]:
        """Scores of an effect, the mean over halves."""
        found = averaged([self.scored(test, prediction, part) for part in range(self.parts(test))])
        return {each.metric: each.value for each in found}

    def parts(self, test: StressTest) -> int:
        """Ways in which treated cells are cut into halves; 1 where they are not."""
        conditions, of = test.truth()
        return max(conditions.parts(of), 1)

    def note(self, test: StressTest) -> str:
        """Whether there is no replicate."""
        conditions, of = test.truth()
        few = self.n_partitions and not conditions.parts(of)
        return f"no replicate of {len(of.treated)} treated cells" if few else ""

    def replicate(self, test: StressTest, part: int = 0) -> Effects | None:
        """The effect of the first half; None where the cells are too few."""
        conditions, of = test.truth()
        if not conditions.parts(of):
            return None
        change = conditions.effect(of, part, second=False)
        cells = conditions.values[conditions.half(of, part, second=False)]
        after = pd.DataFrame(np.expm1(cells), columns=conditions.features)
        return Effects(pd.DataFrame({"effect": change}, index=conditions.features), after)

    def baselines(self) -> list[Predictor]:
        """Every simple prediction of an action but the replicate."""
        return cast("list[Predictor]", [EffectBaseline(name, self.keys) for name in action_baselines()])

    def scored(
        self, test: StressTest, prediction: Prediction, part: int = 0, readouts: Sequence[Readout] = ()
    ) -> list[Scored]:
        """Scores of an effect against one half of the treated cells."""
        conditions, of = test.truth()
        answer = cast("Effects", prediction)
        columns = answer.change.reindex(conditions.features)
        effect = columns["effect"].to_numpy(float)
        if not len(answer.change.index.intersection(conditions.features)):
            raise ValueError(
                f"The answer names no feature of {self.modality!r}; it has e.g. {list(answer.change.index[:2])}, the "
                f"data have e.g. {list(conditions.features[:2])}."
            )
        told = np.flatnonzero(np.isfinite(effect))
        out = [Scored(of.unit, "effect", "answered", len(told) / len(effect), len(effect))]
        if len(told) < FEWEST_FEATURES:
            return out
        for readout in readouts or readouts_of(None):
            if "effects" in readout.reads:
                out += self._of_effect(readout, conditions, of, effect, told, part)
            if "cells" in readout.reads and answer.after is not None and len(answer.after) > 1:
                out += self._of_cells(readout, conditions, of, answer.after, part)
        if {"lower", "upper"} <= set(columns):
            ends = columns["lower"].to_numpy(float), columns["upper"].to_numpy(float)
            out += self._of_intervals(conditions, of, ends, part)
        if answer.quantiles is not None:
            quantiles = answer.quantiles[list(QUANTILES)].reindex(conditions.features).to_numpy(float).T
            out += self._of_quantiles(conditions, of, quantiles, part)
        return out

    def _of_effect(
        self, readout: Readout, conditions: Conditions, of: Condition, effect: Array, told: Rows, part: int
    ) -> list[Scored]:
        """Scores of what a readout sees of an effect."""
        rivals = conditions.rivals(of, part) if "pds" in readout.metrics else conditions.effect(of, part)[None]
        seen = readout(np.concatenate([effect[None], rivals])[:, told], conditions.features[told])
        where = np.ones(seen.shape[1], bool)
        if readout.name == "effect":
            where = np.isin(told, conditions.top(of))
        known = np.isfinite(seen).all(0)
        seen, where = seen[:, known], where[known]
        p, t, rivals = seen[0], seen[1], seen[1:]
        out = []
        for metric in readout.metrics:
            value = _effect_score(metric, p, t, where, rivals)
            if value is not None and np.isfinite(value):
                out.append(
                    Scored(of.unit, readout.name, metric, value, int(where.sum()) if metric == "nmae" else len(p))
                )
        return out

    def _of_cells(
        self, readout: Readout, conditions: Conditions, of: Condition, after: pd.DataFrame, part: int
    ) -> list[Scored]:
        """Scores of what a readout sees of cells after the action, as sets of cells."""
        metrics = [metric for metric in readout.metrics if score.METRICS[metric].takes == "sets"]
        if not metrics:
            return []
        rng, rows = np.random.default_rng([self.seed, part]), conditions.half(of, part, second=True)
        counts = numbers(after.reindex(columns=conditions.features))
        told = np.flatnonzero(np.isfinite(counts).all(1))
        if min(len(told), len(rows)) < 2:
            return []
        predicted = score.log_cp10k(counts[told[rng.permutation(len(told))[:SET]]].astype(float))
        both = [predicted, conditions.values[rows[rng.permutation(len(rows))[:SET]]]]
        features = conditions.features
        if readout.name == "distribution":
            top = conditions.top(of)
            features, both = features[top], [x[:, top] for x in both]
        few = [np.asarray(readout(x, features)) for x in both]
        return [Scored(of.unit, readout.name, m, float(score.METRICS[m](*few)), len(few[1])) for m in metrics]

    def _of_intervals(
        self, conditions: Conditions, of: Condition, ends: tuple[Array, Array], part: int
    ) -> list[Scored]:
        """How often intervals hold, and how wide they are, of features that are found."""
        found = conditions.found(of, FOUND)
        found = found[np.isfinite(conditions.effect(of, part)[found]) & ~np.isnan(ends[0][found] + ends[1][found])]
        if len(found) < FEWEST_FEATURES:
            return []
        true = conditions.effect(of, part)
        values: dict[str, tuple[float, int]] = {}
        for metric, some in (("coverage", found), ("coverage_strongest", conditions.strongest(of, STRONGEST, found))):
            held = score.inside(true[some], ends[0][some], ends[1][some])
            values[metric] = float(held.mean()), len(some)
        t, low, high = (x[found] for x in (true, *ends))
        if np.isfinite(low + high).all():
            values["coverage_chosen"] = float(np.mean(score.coverage_chosen(t, low, high))), min(STRONGEST, len(found))
        table = [x[found][:, None] for x in (true, *ends)]
        width = score.relative_width(table[0], table[1], table[2], self.level)
        values["relative_width"] = float(width[0]), len(found)
        return [
            Scored(of.unit, "effect", m, *values[m]) for m in self.metrics if m in values and np.isfinite(values[m][0])
        ]

    def _of_quantiles(self, conditions: Conditions, of: Condition, quantiles: Array, part: int) -> list[Scored]:
        """How near quantiles are to the effect, and how often it lies below them, of features that are found."""
        true, found = conditions.effect(of, part), conditions.found(of, FOUND)
        found = found[np.isfinite(true[found]) & np.isfinite(quantiles[:, found]).all(0)]
        if len(found) < FEWEST_FEATURES:
            return []
        values = scores(self.metrics, {"quantiles, levels": (true[None, found], quantiles[:, None, found], QUANTILES)})
        return [Scored(of.unit, "effect", metric, value, len(found)) for metric, value in values.items()]

    def _none(self, conditions: Conditions) -> str:
        """Why there is nothing to ask."""
        n = int((conditions.asked & conditions.design.treated).sum())
        return (
            f"The split hides no condition along the axis {self.name!r}: of its {int(conditions.asked.sum())} test "
            f"cells {n} were treated, in {len(conditions.every)} conditions with controls. The axis 'perturbation' "
            "asks for actions in contexts with treated training cells, 'context' in the others."
        )


def _truth(conditions: Conditions, of: Condition) -> tuple[Conditions, Condition]:
    """What is true, for `StressTest.truth`."""
    return conditions, of


def _effect_score(metric: str, p: Array, t: Array, where: Array, rivals: Array) -> float | None:
    """One score of a seen effect; None where the metric takes something else."""
    if metric == "pds":
        return _discrimination(p, rivals) if len(rivals) > 1 else None
    if metric == "nmae":
        return float(score.nmae(p[where], t[where])) if np.abs(t[where]).sum() > 0 else None
    if score.METRICS[metric].takes != "effects" or not np.abs(t).sum() > 0 or np.ptp(t) == 0:
        return None
    return float(score.METRICS[metric](p, t))


def _discrimination(p: Array, rivals: Array) -> float:
    """Discrimination of one condition: the others are answered by the truth, which takes nothing off."""
    n = len(rivals)
    return float(1 - n * (1 - score.discrimination(np.concatenate([p[None], rivals[1:]]), rivals)))

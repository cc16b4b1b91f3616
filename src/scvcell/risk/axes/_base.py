"""Eq. 5: one axis k of R, a family of stress tests P_k along which predictions may fail."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from scvcell import score
from scvcell._containers import view
from scvcell._registry import Registry, near_miss
from scvcell.risk._predictor import QUANTILES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import pandas as pd

    from scvcell._containers import Container
    from scvcell._types import Array
    from scvcell.risk._predictor import Prediction, Predictor, Question
    from scvcell.risk._split import Split
    from scvcell.risk.readouts import Readout


@dataclass(frozen=True)
class StressTest:
    """One question with its true answer.

    Parameters
    ----------
    axis
        Name of the axis.
    name
        Name of the test, which no other test of the axis has.
    regime
        What is new: ``"hidden pairing"``, ``"another donor"``.
    severity
        How far the question lies from what was seen; at least 0, and 0 is not new at all.
    measure
        What `severity` measures, in words.
    question
        All that a predictor is told.
    truth
        A function that gives the true answer; only the axis calls it.
    units
        Exchangeable units that the test is made of (an action in a context, a block of cells) -> names of their cells
        in the data. By default the test is one unit.
    unit_of
        Name of the unit of each row of the truth, where the test is made of several.
    """

    axis: str
    name: str
    regime: str
    severity: float
    measure: str
    question: Question
    truth: Callable[[], Any] = field(repr=False, compare=False)
    units: Mapping[str, pd.Index] = field(default_factory=dict, repr=False, compare=False)
    unit_of: pd.Index | None = field(default=None, repr=False, compare=False)


class Scored(NamedTuple):
    """One score of one exchangeable unit.

    Attributes
    ----------
    unit
        The unit.
    readout
        What was looked at, see `scvcell.risk.READOUTS`.
    metric
        Name of the metric.
    value
        The score.
    n
        Cells or features that it is of.
    """

    unit: str
    readout: str
    metric: str
    value: float
    n: int


class Axis(ABC):
    """One way in which predictions may fail: what is hidden, what is asked about it, and how answers are scored.

    Attributes
    ----------
    name
        Name in tables and in `AXES`.
    metrics
        Names of the metrics that it reports, of `scvcell.score.METRICS`. Users may ask for others.
    baseline
        Name of the one of `baselines` that is the anchor 0 of scores.
    """

    name: ClassVar[str]
    metrics: tuple[str, ...]
    baseline: ClassVar[str] = ""

    @abstractmethod
    def hide(self, data: Container, split: Split) -> Container:
        """A copy of the data as a predictor may see them: nothing of the truth is left in it."""

    @abstractmethod
    def stress_tests(self, data: Container, split: Split) -> Iterator[StressTest]:
        """Questions about the data that `hide` gives, with their answers."""

    @abstractmethod
    def score(self, test: StressTest, prediction: Prediction) -> dict[str, float]:
        """Scores of an answer, by metric.

        Returns
        -------
        Those of `metrics` that go with the question, and ``"answered"``, the share of cells that have an answer.
        """

    def scored(
        self, test: StressTest, prediction: Prediction, part: int = 0, readouts: Sequence[Readout] = ()
    ) -> list[Scored]:
        """Scores of an answer, unit by unit; by default those of `score`, where the test is one unit.

        Parameters
        ----------
        test
            The question and its truth.
        prediction
            The answer.
        part
            Which of `parts` the truth is taken from.
        readouts
            What is looked at; by default what the axis does.
        """
        unit = next(iter(test.units), test.name)
        n = len(test.units.get(unit, ()))
        return [Scored(unit, "values", metric, value, n) for metric, value in self.score(test, prediction).items()]

    def parts(self, test: StressTest) -> int:
        """Ways in which the truth of a test is split into two samples, over which scores are averaged; one or more."""
        return 1

    def note(self, test: StressTest) -> str:
        """What a reader has to know of a test, such as that it has no replicate."""
        return ""

    def replicate(self, test: StressTest, part: int = 0) -> Prediction | None:
        """Another sample of the truth as an answer, the anchor 1 of scores; None where there is none."""
        return None

    def baselines(self) -> list[Predictor]:
        """Simple predictors to beat. They are new at each call."""
        return []

    def hides(self) -> object:
        """Axes for which this is equal hide the same, so that one fit serves them all."""
        return self


def need_modalities(data: Container, *names: str) -> None:
    """Refuse data that lack an assay that is asked about.

    Raises
    ------
    ValueError
        Naming the one, and those that there are.
    """
    there = list(view(data).modalities)
    for name in names:
        if name not in there:
            raise ValueError(f"The data have no {name!r}.{near_miss(name, there)} They have {', '.join(there)}.")


def averaged(parts: Sequence[Sequence[Scored]]) -> list[Scored]:
    """Scores of the same test against several samples of the truth, as their means."""
    found: dict[tuple[str, str, str], list[Scored]] = {}
    for part in parts:
        for each in part:
            found.setdefault((each.unit, each.readout, each.metric), []).append(each)
    return [Scored(*key, float(np.mean([e.value for e in every])), every[0].n) for key, every in found.items()]


def better_of(metric: str) -> str:
    """Which way a score is better: ``"higher"``, ``"lower"``, or ``"nominal"`` where it should be near a level."""
    return "higher" if metric == "answered" else score.METRICS[metric].better


def scores(metrics: tuple[str, ...], arguments: Mapping[str, tuple[Any, ...]]) -> dict[str, float]:
    """Scores by all of some metrics whose arguments are at hand; the others are left out.

    Parameters
    ----------
    metrics
        Names in `scvcell.score.METRICS`.
    arguments
        The arguments, by what a metric takes, one of `scvcell.score.TAKES`.

    Returns
    -------
    Name of the metric -> its mean.
    """
    return {m: score.mean_of(m, arguments[t]) for m in metrics if (t := score.METRICS[m].takes) in arguments}


def scores_of_values(
    metrics: tuple[str, ...],
    true: Array,
    point: Array,
    ends: Sequence[Array],
    level: float,
    quantiles: Array | None = None,
) -> dict[str, float]:
    """Scores of predicted values, and of their intervals, over units that were answered.

    Parameters
    ----------
    metrics
        Names in `scvcell.score.METRICS`.
    true, point
        Values, ``(units, features)``; rows of `point` that are not finite were not answered.
    ends
        Both ends of intervals; none, or without values in rows that have none.
    level
        Their level.
    quantiles
        Quantiles at the levels of `QUANTILES`, ``(levels, units, features)``, or none.

    Returns
    -------
    ``"answered"``, the share of units with a prediction, and the mean of each metric.
    """
    told = np.isfinite(point).all(1)
    found = {"answered": float(told.mean())}
    if told.sum() < 2:
        return found
    arguments: dict[str, tuple[Any, ...]] = {"values": (point[told], true[told])}
    held = np.logical_and.reduce([told, *(np.isfinite(end).all(1) for end in ends)])
    if ends and held.any():
        arguments["intervals"] = (true[held], *(end[held] for end in ends))
        arguments["intervals, level"] = (*arguments["intervals"], level)
    held = told if quantiles is None else told & np.isfinite(quantiles).all((0, 2))
    if quantiles is not None and held.any():
        arguments["quantiles, levels"] = (true[held], quantiles[:, held], np.array(QUANTILES))
    return found | scores(metrics, arguments)


AXES: Registry[type[Axis]] = Registry("axis", "scvcell.axes")
"""Every axis by name, the package's own and those of other packages."""

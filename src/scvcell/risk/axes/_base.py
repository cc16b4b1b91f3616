"""Eq. 5: one axis k of R, a family of stress tests P_k along which predictions may fail."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from scvcell import score
from scvcell._registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from scvcell._containers import Container
    from scvcell._types import Array
    from scvcell.risk._predictor import Prediction, Question
    from scvcell.risk._split import Split


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
    """

    axis: str
    name: str
    regime: str
    severity: float
    measure: str
    question: Question
    truth: Callable[[], Any] = field(repr=False, compare=False)


class Axis(ABC):
    """One way in which predictions may fail: what is hidden, what is asked about it, and how answers are scored.

    Attributes
    ----------
    name
        Name in tables and in `AXES`.
    metrics
        Names of the metrics that it reports, of `scvcell.score.METRICS`. Users may ask for others.
    """

    name: ClassVar[str]
    metrics: tuple[str, ...]

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
    metrics: tuple[str, ...], true: Array, point: Array, ends: Sequence[Array], level: float
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
    return found | scores(metrics, arguments)


AXES: Registry[type[Axis]] = Registry("axis", "scvcell.axes")
"""Every axis by name, the package's own and those of other packages."""

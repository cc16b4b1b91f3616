"""One predictor on one split: it is fitted, asked along every axis, and its answers become rows of scores."""

from __future__ import annotations

import atexit
import os
import pickle
import tempfile
from copy import copy
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scvcell.risk._anchor import ANSWERED
from scvcell.risk._ask import check_answer
from scvcell.risk.axes import Scored, averaged, better_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from scvcell._containers import Container
    from scvcell.risk._predictor import Predictor
    from scvcell.risk._split import Split
    from scvcell.risk.axes import Axis, StressTest
    from scvcell.risk.readouts import Readout


class Shared[T]:
    """A value that goes to other processes as a file, which is written once and read once per process."""

    def __init__(self, value: T) -> None:
        self._value = value
        self._path = ""

    def get(self) -> T:
        """The value."""
        return self._value

    def __getstate__(self) -> str:
        if not self._path:
            handle, self._path = tempfile.mkstemp(prefix="scvcell-", suffix=".pickle")
            with os.fdopen(handle, "wb") as file:
                pickle.dump(self._value, file, protocol=pickle.HIGHEST_PROTOCOL)
            atexit.register(Path(self._path).unlink, missing_ok=True)
        return self._path

    def __setstate__(self, path: str) -> None:
        self._path, self._value = path, _read(path)


@lru_cache(maxsize=8)
def _read(path: str) -> Any:
    with Path(path).open("rb") as file:
        return pickle.load(file)


@dataclass(eq=False)
class World:
    """What is asked, and about which data.

    Parameters
    ----------
    data
        All data, with the truth.
    splits
        Folds.
    axes
        Name -> axis.
    readouts
        What is looked at.

    Attributes
    ----------
    made
        Tests that were made, by axis and number of the fold.
    """

    data: Container
    splits: Sequence[Split]
    axes: dict[str, Axis]
    readouts: Sequence[Readout]
    made: dict[tuple[str, int], list[StressTest]] = field(default_factory=dict, repr=False)

    def tests(self, axis: str, split: int) -> list[StressTest]:
        """Tests of an axis on a fold; they are made once."""
        if (axis, split) not in self.made:
            self.made[axis, split] = list(self.axes[axis].stress_tests(self.data, self.splits[split]))
        return self.made[axis, split]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"made": {}}


@dataclass(eq=False)
class Ask:
    """A task: fit a predictor on one fold, and ask it along some axes.

    Parameters
    ----------
    world
        What is asked.
    predictor
        Who is asked; None for the replicate.
    split
        Number of the fold.
    axes
        Names of the axes that have tests there.
    seed
        Seed of the fit.
    key
        Plain values that tell this task from all others.
    """

    world: Shared[World]
    predictor: Shared[Predictor] | None
    split: int
    axes: tuple[str, ...]
    seed: int
    key: Mapping[str, Any]

    def __call__(self, rng: np.random.Generator) -> dict[str, Any]:
        """Rows of scores: ``[axis, test, unit, readout, metric, value, n, note]``, the test by its name."""
        world = self.world.get()
        predictor = None if self.predictor is None else copy(self.predictor.get())  # what it learns goes with the task
        rows: list[list[Any]] = []
        fitted: object = None
        failed = ""
        for name in self.axes:
            axis = world.axes[name]
            if predictor is not None and (fitted is None or axis.hides() != fitted):
                failed = _fit(predictor, axis, world, self.split, self.seed)
                fitted = axis.hides()
            for test in world.tests(name, self.split):
                note, found = failed, None
                if not failed:
                    try:
                        found = _scores(predictor, axis, test, world.readouts)
                    except Exception as error:
                        note = _failure(error)
                unit = next(iter(test.units), test.name)
                if found is None:
                    rows.append([name, test.name, unit, "", ANSWERED, None, 0, note])
                else:
                    rows += [[name, test.name, *each, axis.note(test)] for each in found]
        return {"rows": rows}


def _scores(predictor: Predictor | None, axis: Axis, test: StressTest, readouts: Sequence[Readout]) -> list[Scored]:
    """Scores of one answer, or of the replicate where there is no predictor; none where there is no answer."""
    parts = range(axis.parts(test))
    if predictor is None:
        answers = [axis.replicate(test, part) for part in parts]
    else:
        answer = predictor.predict(test.question)
        if answer is None:
            return [Scored(next(iter(test.units), test.name), "", ANSWERED, 0.0, 0)]
        check_answer(predictor.name, test.question, answer)
        answers = [answer] * len(parts)
    return averaged([axis.scored(test, a, part, readouts) for part, a in enumerate(answers) if a is not None])


def _fit(predictor: Predictor, axis: Axis, world: World, split: int, seed: int) -> str:
    """Fit on what may be seen; why it failed, or nothing."""
    try:
        predictor.fit(axis.hide(world.data, world.splits[split]), world.splits[split], seed)
    except Exception as error:
        return _failure(error)
    return ""


def _failure(error: Exception) -> str:
    return f"failed: {type(error).__name__}: {error}".split("\n")[0][:500]


def rows_of(
    world: World, tasks: Sequence[Ask], names: Sequence[str], records: Sequence[Mapping[str, Any]]
) -> list[list[Any]]:
    """Entries of the table ``rows`` of a report, from the answers of tasks."""
    count: dict[tuple[str, str], int] = {}
    for (axis, _), tests in world.made.items():
        for test in tests:
            count[axis, test.name] = count.get((axis, test.name), 0) + 1
    out = []
    for task, predictor, record in zip(tasks, names, records, strict=True):
        rows = record.get("rows")
        if rows is None:
            note = f"failed: {record.get('failed', 'no answer')}"
            rows = [
                [axis, test.name, next(iter(test.units), test.name), "", ANSWERED, None, 0, note]
                for axis in task.axes
                for test in world.tests(axis, task.split)
            ]
        of = {(axis, test.name): test for axis in task.axes for test in world.tests(axis, task.split)}
        for axis, called, unit, readout, metric, value, n, note in rows:
            test = of[axis, called]
            name = called if count[axis, called] == 1 else f"{test.name}, fold {task.split + 1}"
            about = [axis, name, test.regime, float(test.severity), test.measure, unit, predictor]
            score = float("nan") if value is None else float(value)
            out.append([*about, readout, metric, better_of(metric), score, int(n), task.seed, note])
    return out

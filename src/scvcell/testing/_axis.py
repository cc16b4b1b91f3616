"""The contract of axes: what is hidden is hidden, questions can be answered, and are the same each time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scvcell._containers import view
from scvcell.risk import Effect, Effects, Place, States, Translate, Values
from scvcell.testing._require import require

if TYPE_CHECKING:
    from scvcell._containers import Container, View
    from scvcell.risk import Axis, Prediction, Question, Split, StressTest

ANSWERED = "answered"


def check_axis(axis: Axis, data: Container, split: Split) -> None:
    """Run an axis through its contract.

    Checked are: a name; data that stay as they are; tests with names of their own, a severity from 0 on and questions
    about cells that can be seen; nothing of the measurement that is asked for among what is seen; the same tests when
    asked for again; a score of 0 answered cells where nothing is answered.

    Parameters
    ----------
    axis
        The axis.
    data
        All data, with the truth.
    split
        Which cells are asked about.

    Raises
    ------
    AssertionError
        If a check fails; the message says which.
    """
    require(isinstance(axis.name, str) and bool(axis.name), "an axis must have a name, which is text")
    before = {m: np.asarray(table.X.sum(1)).ravel() for m, table in view(data).modalities.items()}
    seen, tests = view(axis.hide(data, split)), list(axis.stress_tests(data, split))
    after = {m: np.asarray(table.X.sum(1)).ravel() for m, table in view(data).modalities.items()}
    same = before.keys() == after.keys() and all(np.array_equal(before[m], after[m]) for m in before)
    require(same, "hide and stress_tests must leave the data as they are")
    require(bool(tests), "an axis must ask something")
    names = [test.name for test in tests]
    require(len(set(names)) == len(names), f"tests must have names of their own, not {sorted(names)}")
    again = list(axis.stress_tests(data, split))
    require([test.name for test in again] == names, "the same tests must come each time")
    for test, twin in zip(tests, again, strict=True):
        require(test.axis == axis.name, f"the test {test.name!r} must name its axis, {axis.name!r}")
        severity = float(test.severity)
        require(np.isfinite(severity) and severity >= 0, f"severity must be a number from 0 on, not {severity}")
        require(_same(test.question, twin.question), f"{test.name!r} must ask about the same cells each time")
        _check_question(test, seen)
        found = axis.score(test, _nothing(test.question, seen))
        require(found.get(ANSWERED, 0.0) == 0, f"{test.name!r}: an answer of NaN must score as not answered")


def _same(one: Question, other: Question) -> bool:
    if isinstance(one, Place) and isinstance(other, Place):
        return all(one.cells[m].equals(other.cells[m]) for m in one.cells)
    return type(one) is type(other) and one.cells.equals(other.cells)  # type: ignore[union-attr]


def _check_question(test: StressTest, seen: View) -> None:
    """Cells can be seen, with the assay that they are asked from, and without what is asked for."""
    question = test.question
    if isinstance(question, Place):
        needed = dict(question.cells)
    else:
        needed = {question.source if isinstance(question, Translate) else question.modality: question.cells}
    for modality, cells in needed.items():
        require(modality in seen.modalities, f"{test.name!r} asks about {modality!r}, which is not seen")
        lacking = cells.difference(seen.modalities[modality].obs_names)
        require(not len(lacking), f"{test.name!r} asks about {len(lacking)} cells whose {modality!r} is not seen")
    hidden, where = pd.Index([]), ""
    if isinstance(question, Translate):
        hidden, where = question.cells, question.to
    elif isinstance(question, Effect):
        hidden, where = pd.Index([name for cells in test.units.values() for name in cells]), question.modality
    if where in seen.modalities:
        shown = seen.modalities[where].obs_names.intersection(hidden)
        require(not len(shown), f"{test.name!r}: {len(shown)} cells are seen with the {where!r} that is asked for")


def _nothing(question: Question, seen: View) -> Prediction:
    """An answer of NaN."""
    if isinstance(question, Place):
        return States({m: pd.DataFrame(np.nan, cells, range(2)) for m, cells in question.cells.items()})
    modality = question.to if isinstance(question, Translate) else question.modality
    table = seen.modalities.get(modality)
    features = pd.Index(["feature"]) if table is None else table.var_names
    if isinstance(question, Translate):
        return Values(pd.DataFrame(np.nan, question.cells, features))
    return Effects(pd.DataFrame({"effect": np.nan}, features))

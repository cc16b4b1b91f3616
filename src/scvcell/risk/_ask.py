"""Eq. 5: phi(f(x, c, a)) against phi(y); one predictor is asked along one axis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from scvcell import score
from scvcell.risk._predictor import Place, States, Values

if TYPE_CHECKING:
    from scvcell._containers import Container
    from scvcell.risk._predictor import Prediction, Predictor, Question
    from scvcell.risk._split import Split
    from scvcell.risk.axes import Axis

ANSWERED = "answered"
"""Name of the share of cells that a predictor answered."""


def ask(predictor: Predictor, axis: Axis, data: Container, split: Split, *, seed: int = 0) -> pd.DataFrame:
    """Fit a predictor on what it may see, ask it every question of an axis, and score what it says.

    Parameters
    ----------
    predictor
        Whatever has the two methods of `Predictor`. It sees the split, the questions, and the data from which the axis
        has taken the truth; it never sees the truth.
    axis
        What is hidden and asked.
    data
        All data, with the truth.
    split
        Which cells may be learned from, and which are asked about.
    seed
        Seed of the predictor's fit.

    Returns
    -------
    One row per test and metric:

    axis, test, regime, severity, measure
        As in `StressTest`.
    predictor
        Its name.
    metric, value, better
        A score, and which way is better. The metric ``"answered"`` is the share of cells that have an answer.

    Raises
    ------
    ValueError
        If the data lack cells of the split, or an answer names a cell twice.
    TypeError
        If an answer is not of the kind that its question asks for.

    Examples
    --------
    >>> split = scvcell.risk.hide_pairing(mdata, "rna", "adt")
    >>> axis = scvcell.risk.axes.Modality("rna", "adt")
    >>> scvcell.risk.ask(scvcell.risk.ModelPredictor(), axis, mdata, split)
    """
    split.check(data)
    predictor.fit(axis.hide(data, split), split, seed)
    rows = []
    for test in axis.stress_tests(data, split):
        answer = predictor.predict(test.question)
        found = {ANSWERED: 0.0}
        if answer is not None:
            _check(predictor.name, test.question, answer)
            found = axis.score(test, answer)
        about = {key: getattr(test, key) for key in ("axis", "name", "regime", "severity", "measure")}
        for metric, value in found.items():
            better = "higher" if metric == ANSWERED else score.METRICS[metric].better
            rows.append({**about, "predictor": predictor.name, "metric": metric, "value": value, "better": better})
    return pd.DataFrame(rows).rename(columns={"name": "test"})


def _check(name: str, question: Question, answer: Prediction) -> None:
    """Refuse an answer of the wrong kind, and one that has a cell twice."""
    wanted = States if isinstance(question, Place) else Values
    if not isinstance(answer, wanted):
        raise TypeError(
            f"{name} answers {type(question).__name__} by {type(answer).__name__}; it takes {wanted.__name__} or None."
        )
    frames = answer.of.values() if isinstance(answer, States) else [answer.point]
    for frame in frames:
        if not frame.index.is_unique:
            raise ValueError(f"{name} answers twice for the cell {frame.index[frame.index.duplicated()][0]!r}.")

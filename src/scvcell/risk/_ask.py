"""Eq. 5: phi(f(x, c, a)) against phi(y); one predictor is asked along one axis."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from scvcell.risk._anchor import ANSWERED
from scvcell.risk._answers import check_ends
from scvcell.risk._cells import held_cells
from scvcell.risk._counts import counted
from scvcell.risk._predictor import QUANTILES, Effect, Effects, Place, States, Translate, Values, numbers
from scvcell.risk.axes import better_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scvcell._containers import Container
    from scvcell.risk._predictor import Prediction, Predictor, Question
    from scvcell.risk._split import Split
    from scvcell.risk.axes import Axis

SLACK = 1e-5
"""By how much, relative to 1 and their size, quantiles may be out of order: rounding."""


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
    data = counted(held_cells(data, [getattr(predictor, "model", None)]), [predictor])
    split.check(data)
    predictor.fit(axis.hide(data, split), split, seed)
    rows = []
    for test in axis.stress_tests(data, split):
        answer = predictor.predict(test.question)
        found = {ANSWERED: 0.0}
        if answer is not None:
            check_answer(predictor.name, test.question, answer)
            found = axis.score(test, answer)
        about = {key: getattr(test, key) for key in ("axis", "name", "regime", "severity", "measure")}
        for metric, value in found.items():
            said = {"predictor": predictor.name, "metric": metric, "value": value, "better": better_of(metric)}
            rows.append(about | said)
    return pd.DataFrame(rows).rename(columns={"name": "test"})


def check_answer(name: str, question: Question, answer: Prediction) -> None:
    """Refuse an answer of the wrong kind, and one that cannot be read.

    Parameters
    ----------
    name
        Name of the predictor, for messages.
    question, answer
        What was asked and answered.

    Raises
    ------
    TypeError
        If the answer, or a table in it, is not of the kind that the question asks for.
    ValueError
        If it names a cell or a feature twice, or a cell that was not asked for; if it is infinite, or has negative
        counts; if it has one end of an interval without the other, or ends or quantiles in the wrong order; or if its
        quantiles are at other levels than `QUANTILES`.
    """
    wanted = {Place: States, Translate: Values, Effect: Effects}[type(question)]
    if not isinstance(answer, wanted):
        raise TypeError(
            f"{name} answers {type(question).__name__} by {type(answer).__name__}; it takes {wanted.__name__} or None."
        )
    if isinstance(answer, Effects):
        _check_effects(name, answer)
    elif isinstance(answer, Values):
        asked = pd.Index(cast("Translate", question).cells)
        for what, frame in (("point", answer.point), ("lower", answer.lower), ("upper", answer.upper)):
            if frame is not None:
                _check_frame(name, f"{what} of Values", frame, asked, finite=what == "point")
        check_ends(name, answer)
        if answer.quantiles is not None:
            for level, frame in answer.quantiles.items():
                _check_frame(name, f"quantiles at {level} of Values", frame, asked, finite=False)
            _check_quantiles(name, answer.quantiles)
    else:
        for modality, frame in answer.of.items():
            cells = cast("Place", question).cells[modality]
            _check_frame(name, f"States of {modality!r}", frame, pd.Index(cells))


def _check_frame(name: str, what: str, frame: Any, asked: pd.Index | None, *, finite: bool = True) -> None:
    """Refuse a table that cannot be read, or is of other cells than those that were asked for."""
    if not isinstance(frame, pd.DataFrame):
        raise TypeError(f"{name} gives {what} as {type(frame).__name__}; it takes a DataFrame, labelled by names.")
    unit = "cell" if asked is not None else "row"
    if asked is not None and not frame.index.is_unique:
        raise ValueError(f"{name} answers twice for the {unit} {frame.index[frame.index.duplicated()][0]!r}.")
    if not frame.columns.is_unique:
        raise ValueError(f"{name} names {frame.columns[frame.columns.duplicated()][0]!r} twice in {what}.")
    try:
        values = numbers(frame)
    except (TypeError, ValueError):
        raise TypeError(f"{name} gives {what} with entries that are no numbers.") from None
    if asked is not None and len(other := frame.index.difference(asked)):
        raise ValueError(f"{name} answers for {len(other)} cells that were not asked for, e.g. {other[0]!r}.")
    if finite and np.isinf(values).any():
        raise ValueError(f"{name} gives infinite numbers in {what}. NaN stands for no answer.")


def _check_quantiles(name: str, quantiles: Mapping[Any, pd.DataFrame]) -> None:
    """Refuse quantiles at other levels than all have, and those that fall where their level rises."""
    if set(quantiles) != set(QUANTILES):
        raise ValueError(
            f"{name} gives quantiles at the levels {sorted(quantiles)}; they are {list(QUANTILES)}, or none."
        )
    for low, high in pairwise(QUANTILES):
        less = quantiles[low].to_numpy(float)
        more = quantiles[high].reindex_like(quantiles[low]).to_numpy(float)
        if (less > more + SLACK * (1 + np.abs(more))).any():
            raise ValueError(f"{name} gives quantiles at {low} that are above those at {high}.")


def _check_effects(name: str, answer: Effects) -> None:
    """Refuse effects that cannot be read."""
    change = answer.change
    ends = isinstance(change, pd.DataFrame) and [end for end in ("lower", "upper") if end in change]
    _check_frame(name, "change of Effects", change, None, finite=False)
    if "effect" not in change:
        raise ValueError(f"{name} gives Effects without a column 'effect'; they have {list(change.columns)}.")
    if not change.index.is_unique:
        raise ValueError(f"{name} answers twice for the feature {change.index[change.index.duplicated()][0]!r}.")
    if np.isinf(change["effect"].to_numpy(float)).any():
        raise ValueError(f"{name} gives infinite effects. NaN stands for no answer.")
    if ends and len(ends) < 2:
        raise ValueError(f"{name} gives {ends[0]!r} of effects without the other end of the interval.")
    if ends and (change["lower"] > change["upper"]).any():
        raise ValueError(f"{name} gives intervals of effects whose lower end is above the upper one.")
    if answer.quantiles is not None:
        _check_frame(name, "quantiles of Effects", answer.quantiles, None, finite=False)
        _check_quantiles(name, {level: answer.quantiles[[level]] for level in answer.quantiles})
    if answer.after is not None:
        _check_frame(name, "after of Effects", answer.after, None)
        if (numbers(answer.after) < 0).any():
            raise ValueError(f"{name} gives negative counts in after of Effects.")

"""Whether an answer fits what was measured: its features, and whether there can be such values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from scvcell._containers import view
from scvcell.risk._predictor import Effects, Translate, Values, numbers

if TYPE_CHECKING:
    import pandas as pd

    from scvcell._containers import Container
    from scvcell.risk._predictor import Prediction, Question


def check_fit(who: str, question: Question, answer: Prediction, data: Container) -> None:
    """Refuse an answer that does not fit the assay, beside what `scvcell.risk.ask` refuses of any answer.

    Parameters
    ----------
    who
        Name of the predictor, for messages.
    question, answer
        What was asked and answered.
    data
        What the predictor saw. Where it has the assay that is asked for, its features are known, and whether its values
        may be negative.

    Raises
    ------
    ValueError
        If it lacks features of the assay or has others, holds numbers that are not finite, negative values of an assay
        that has none, or intervals whose lower end lies above the upper one. Cells may be left out.
    """
    if isinstance(answer, Effects):
        frames = [answer.change.T, *([] if answer.after is None else [answer.after])]
        modality, least = question.modality, None  # type: ignore[union-attr]
    elif isinstance(answer, Values) and isinstance(question, Translate):
        ends = (answer.point, answer.lower, answer.upper, *(answer.quantiles or {}).values())
        frames = [frame for frame in ends if frame is not None]
        modality, least = question.to, 0.0
    else:
        return
    table = view(data).modalities.get(modality)
    if table is None or np.min(table.X.data if sp.issparse(table.X) else table.X, initial=0) < 0:
        least = None
    for frame in frames:
        if table is not None:
            _check_features(who, modality, frame.columns, table.var_names)
        _check_numbers(who, modality, frame, least)
    if isinstance(answer, Values):
        check_ends(who, answer)


def check_ends(who: str, answer: Values) -> None:
    """Refuse intervals whose lower end lies above the upper one.

    Raises
    ------
    ValueError
        Naming the first cell of these.
    """
    if answer.lower is None or answer.upper is None:
        return
    low = answer.lower.to_numpy(float)
    high = answer.upper.reindex_like(answer.lower).to_numpy(float)
    if (crossed := low > high).any():
        cell, feature = _first(crossed)
        raise ValueError(
            f"{who} answers an interval from {low[cell, feature]:.4g} to {high[cell, feature]:.4g} for "
            f"{answer.lower.index[cell]!r}, one of {crossed.sum()} whose lower end lies above the upper one."
        )


def _check_features(who: str, modality: str, names: pd.Index, known: pd.Index) -> None:
    if len(strange := names.difference(known)):
        raise ValueError(
            f"{who} answers for {len(strange)} features that {modality!r} does not have, e.g. {strange[0]!r}; it has "
            f"{len(known)}, e.g. {known[0]!r}."
        )
    if len(lacking := known.difference(names)):
        raise ValueError(
            f"{who} lacks {len(lacking)} of the {len(known)} features of {modality!r}, e.g. {lacking[0]!r}. Answer for "
            "all, in any order."
        )


def _check_numbers(who: str, modality: str, frame: pd.DataFrame, least: float | None) -> None:
    values = numbers(frame)
    if (bad := ~np.isfinite(values)).any():
        cell, feature = _first(bad)
        raise ValueError(
            f"{who} answers {values[cell, feature]} for {frame.index[cell]!r} and {frame.columns[feature]!r}, one of "
            f"{bad.sum()} values that are not finite. Leave out cells that are not answered."
        )
    if least is not None and (low := values < least).any():
        cell, feature = _first(low)
        raise ValueError(
            f"{who} answers {values[cell, feature]:.4g} for {frame.index[cell]!r} and {frame.columns[feature]!r}, one "
            f"of {low.sum()} values below 0; {modality!r} has none. Answers are on the scale of the measurement."
        )


def _first(where: np.ndarray) -> tuple[int, int]:
    """Row and column of the first that is true."""
    row, column = np.argwhere(where)[0]
    return int(row), int(column)

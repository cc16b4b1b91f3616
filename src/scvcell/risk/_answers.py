"""What an answer must be: of the right kind, labelled by what was asked, and of numbers that can be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scvcell._containers import view
from scvcell.risk._predictor import Effect, Effects, Place, States, Translate, Values
from scvcell.score import as_array

if TYPE_CHECKING:
    import pandas as pd

    from scvcell._containers import Container
    from scvcell.risk._predictor import Prediction, Question

KINDS: dict[type, type] = {Place: States, Translate: Values, Effect: Effects}
"""Kind of question -> kind of its answer."""
ENDS = ["lower", "upper"]


def check_answer(who: str, question: Question, answer: Prediction, data: Container, *, strict: bool = False) -> None:
    """Refuse an answer that cannot be scored, or that says what cannot be.

    Parameters
    ----------
    who
        Name of the predictor, for messages.
    question
        What was asked.
    answer
        What was answered. Cells that were left out, and NaN, are not answered.
    data
        What the predictor saw. Where it has the assay that is asked for, its features are known, and whether its values
        may be negative.
    strict
        Whether every feature of the assay must be there, and NaN is refused.

    Raises
    ------
    TypeError
        If the answer is of the wrong kind, or holds something else than numbers.
    ValueError
        If it names a cell or a feature twice, cells that were not asked for, unknown features or (if `strict`) not
        all, holds infinite numbers or (if `strict`) NaN, negative values of an assay that has none, or an interval
        whose lower end lies above the upper one.
    """
    wanted = KINDS[type(question)]
    if not isinstance(answer, wanted):
        raise TypeError(
            f"{who} answers {type(question).__name__} by {type(answer).__name__}; it takes {wanted.__name__} or None."
        )
    if isinstance(question, Place) and isinstance(answer, States):
        _check_states(who, question, answer)
        return
    modality = question.to if isinstance(question, Translate) else question.modality  # type: ignore[union-attr]
    table = view(data).modalities.get(modality)
    features = None if table is None else table.var_names
    check = _Checked(who, modality, features, strict)
    if isinstance(question, Translate) and isinstance(answer, Values):
        frames = [answer.point, *(end for end in (answer.lower, answer.upper) if end is not None)]
        least = None if table is None or as_array(table.X).min(initial=0) < 0 else 0.0
        for frame in frames:
            check.features(frame.columns)
            check.cells(frame.index, question.cells)
            check.numbers(frame, least)
        if len(frames) > 1:
            check.ends(*frames[1:])
    elif isinstance(answer, Effects):
        _check_effects(check, answer, question)


def _check_states(who: str, question: Place, answer: States) -> None:
    lacking = [modality for modality in question.cells if modality not in answer.of]
    if lacking:
        raise ValueError(f"{who} places no cells of {lacking[0]!r}; where it knows none, it takes NaN.")
    sizes = {modality: frame.shape[1] for modality, frame in answer.of.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"{who} places cells in spaces of different dimensions: {sizes}. All must be in one space.")
    for modality, cells in question.cells.items():
        check = _Checked(who, modality, None, strict=False)
        check.cells(answer.of[modality].index, cells)
        check.numbers(answer.of[modality], None)


def _check_effects(check: _Checked, answer: Effects, question: Question) -> None:
    change = answer.change
    columns = list(change.columns)
    if (
        "effect" not in columns
        or not set(columns) <= {"effect", *ENDS}
        or columns.count("lower") != columns.count("upper")
    ):
        raise ValueError(
            f"{check.who} tells an effect by the columns {columns}; they are 'effect', and 'lower' and 'upper' of a "
            "predictor with intervals."
        )
    check.features(change.index)
    check.numbers(change[["effect"]], None)
    if "lower" in columns:
        check.ends(change[["lower"]].set_axis(["effect"], axis=1), change[["upper"]].set_axis(["effect"], axis=1))
    if answer.after is not None:
        check.features(answer.after.columns)
        check.numbers(answer.after, 0.0)


class _Checked:
    """Checks of one answer of `who` about an assay with some `features`."""

    def __init__(self, who: str, modality: str, features: pd.Index | None, strict: bool) -> None:
        self.who, self.modality, self.known, self.strict = who, modality, features, strict

    def features(self, names: pd.Index) -> None:
        if not names.is_unique:
            raise ValueError(f"{self.who} answers twice for the feature {names[names.duplicated()][0]!r}.")
        if self.known is None:
            return
        if len(strange := names.difference(self.known)):
            raise ValueError(
                f"{self.who} answers for {len(strange)} features that {self.modality!r} does not have, e.g. "
                f"{strange[0]!r}; it has {len(self.known)}, e.g. {self.known[0]!r}."
            )
        if self.strict and len(lacking := self.known.difference(names)):
            raise ValueError(
                f"{self.who} lacks {len(lacking)} of the {len(self.known)} features of {self.modality!r}, e.g. "
                f"{lacking[0]!r}. Answer for all, in any order."
            )

    def cells(self, names: pd.Index, asked: pd.Index) -> None:
        if not names.is_unique:
            raise ValueError(f"{self.who} answers twice for the cell {names[names.duplicated()][0]!r}.")
        if len(strange := names.difference(asked)):
            raise ValueError(
                f"{self.who} answers for {len(strange)} cells that it was not asked for, e.g. {strange[0]!r}; it was "
                f"asked for {len(asked)}, e.g. {asked[0]!r}."
            )

    def numbers(self, frame: pd.DataFrame, least: float | None) -> None:
        try:
            values = frame.to_numpy(float)
        except (TypeError, ValueError) as error:
            raise TypeError(f"{self.who} answers about {self.modality!r} by something else than numbers.") from error
        bad = np.isinf(values) | (np.isnan(values) & self.strict)
        if bad.any():
            cell, feature = (int(at[0]) for at in np.nonzero(bad))
            hint = "Leave out cells that are not answered." if self.strict else "What is not answered is NaN."
            raise ValueError(
                f"{self.who} answers {values[cell, feature]} for {frame.index[cell]!r} and {frame.columns[feature]!r}, "
                f"one of {bad.sum()} values that are not finite. {hint}"
            )
        if least is not None and (low := values < least).any():
            cell, feature = (int(at[0]) for at in np.nonzero(low))
            raise ValueError(
                f"{self.who} answers {values[cell, feature]:.4g} for {frame.index[cell]!r} and "
                f"{frame.columns[feature]!r}, one of {low.sum()} values below 0, which {self.modality!r} has not. "
                "Answers are on the scale of the measurement."
            )

    def ends(self, lower: pd.DataFrame, upper: pd.DataFrame) -> None:
        low = lower.to_numpy(float)
        high = upper.reindex(index=lower.index, columns=lower.columns).to_numpy(float)
        if (crossed := low > high).any():
            cell, feature = (int(at[0]) for at in np.nonzero(crossed))
            raise ValueError(
                f"{self.who} answers an interval from {low[cell, feature]:.4g} to {high[cell, feature]:.4g} for "
                f"{lower.index[cell]!r}, one of {crossed.sum()} whose lower end lies above the upper one."
            )

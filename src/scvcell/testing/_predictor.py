"""The contract of predictors: labelled answers of the right kind, the same each time and in each order."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from scvcell import datasets, risk
from scvcell._containers import view
from scvcell.risk import Effect, Effects, Place, States, Translate, Values, ask, hide_pairing
from scvcell.testing._require import require

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd

    from scvcell._containers import Container
    from scvcell.risk import Axis, Prediction, Predictor, Question, Split

CLOSE = {"rtol": 1e-3, "atol": 1e-4}
LEVELS = 0.5, 0.95


def check_predictor(
    make: Callable[[], Predictor], axis: Axis | None = None, data: Container | None = None, split: Split | None = None
) -> None:
    """Run a predictor through its contract.

    Checked are: a name; a fit that leaves the data as they are; at least one answer; answers of the right kind, with
    names and numbers that can be; the same answers when asked again, and after another fit from the same seed; values
    and effects that do not depend on the order of the cells, values of a cell that do not depend on which others are
    asked for; intervals that are no narrower at a higher level.

    Parameters
    ----------
    make
        Makes a new predictor: its class, or a function without arguments.
    axis, data, split
        What is asked, as in `scvcell.risk.ask`. By default two assays of simulated cells are to be matched and
        translated.

    Raises
    ------
    AssertionError
        If a check fails; the message says which.

    Examples
    --------
    >>> scvcell.testing.check_predictor(lambda: scvcell.risk.Translator("PCA + ridge"))
    """
    if axis is None or data is None or split is None:
        data = datasets.simulate(150, n_genes=40, n_proteins=8, paired=0.8, seed=0)
        split, axis = hide_pairing(data, "rna", "adt", share=0.3), risk.axes.Modality("rna", "adt")
    first = _Recorder(make())
    require(isinstance(first.name, str) and bool(first.name), "a predictor must have a name, which is text")
    try:
        ask(first, axis, data, split)
    except (TypeError, ValueError) as error:
        raise AssertionError(f"{type(error).__name__}: {error}") from error
    require(first.unchanged, "fit must leave the data as they are")
    require(bool(first.answers), "a predictor must answer one of the questions, or it cannot be tested")
    other = make()
    other.fit(axis.hide(data, split), split, 0)
    for question, answer in first.answers:
        again = first.inner.predict(question)
        _require_same(answer, again, "asked again, it must answer the same")
        _require_same(answer, other.predict(question), "after another fit from one seed it must answer the same")
        _check_cells(first.inner, question, answer)
        _check_levels(first.inner, question)


class _Recorder:
    """A predictor whose questions and answers are kept, and whether it changed what it saw."""

    def __init__(self, inner: Predictor) -> None:
        self.inner, self.name, self.unchanged = inner, getattr(inner, "name", ""), True
        self.answers: list[tuple[Question, Prediction]] = []

    def fit(self, data: Container, split: Split, seed: int) -> None:
        before = _values(data)
        self.inner.fit(data, split, seed)
        after = _values(data)
        self.unchanged = before.keys() == after.keys() and all(np.array_equal(before[m], after[m]) for m in before)

    def predict(self, question: Question) -> Prediction | None:
        answer = self.inner.predict(question)
        if answer is not None:
            self.answers.append((question, answer))
        return answer


def _values(data: Container) -> dict[str, Any]:
    """Sums over cells and over features, and names, of every assay."""
    out: dict[str, Any] = {}
    for m, table in view(data).modalities.items():
        out |= {f"{m} cells": np.asarray(table.X.sum(1)).ravel(), f"{m} features": np.asarray(table.X.sum(0)).ravel()}
        out |= {f"{m} names": np.array(table.obs_names), f"{m} columns": np.array(table.var_names)}
    return out


def _tables(answer: Prediction | None) -> Mapping[str, pd.DataFrame]:
    """Every table of an answer that does not depend on chance."""
    if isinstance(answer, States):
        return answer.of
    if isinstance(answer, Values):
        ends = {"point": answer.point, "lower": answer.lower, "upper": answer.upper}
        levels = {f"quantile {level}": frame for level, frame in (answer.quantiles or {}).items()}
        return {name: frame for name, frame in (ends | levels).items() if frame is not None}
    if not isinstance(answer, Effects):
        return {}
    return {"change": answer.change} | ({} if answer.quantiles is None else {"quantiles": answer.quantiles})


def _require_same(answer: Prediction, other: Prediction | None, message: str) -> None:
    """Both have the same tables, whatever the order of rows and columns."""
    _require_alike(_tables(answer), _tables(other), message)


def _require_alike(one: Mapping[str, pd.DataFrame], two: Mapping[str, pd.DataFrame], message: str) -> None:
    """Tables are the same, whatever the order of rows and columns."""
    require(one.keys() == two.keys(), message)
    for name, table in one.items():
        require(len(table) == len(two[name]) and set(table.index) == set(two[name].index), message)
        aligned = two[name].reindex(index=table.index, columns=table.columns)
        same = np.allclose(table.to_numpy(float), aligned.to_numpy(float), equal_nan=True, **CLOSE)
        require(same, f"{message}; {name} differs")


def _check_cells(predictor: Predictor, question: Question, answer: Prediction) -> None:
    """Order never matters, nor, for values, which other cells are asked about."""
    if isinstance(question, Place):
        turned: Question = Place({m: cells[::-1] for m, cells in question.cells.items()})
    else:
        turned = replace(question, cells=question.cells[::-1])
    _require_same(answer, predictor.predict(turned), "cells in another order must have the same answer")
    if not isinstance(question, Translate) or not isinstance(answer, Values):
        return
    few = question.cells[1:4]
    found = predictor.predict(replace(question, cells=few))
    said = {name: table[table.index.isin(few)] for name, table in _tables(answer).items()}
    _require_alike(said, _tables(found), "values of a cell must not depend on which others are asked for")


def _check_levels(predictor: Predictor, question: Question) -> None:
    """Intervals are no narrower at a higher level."""
    if not isinstance(question, Translate | Effect):
        return
    widths: list[Any] = []
    for level in LEVELS:
        found = predictor.predict(replace(question, level=level))
        if isinstance(found, Values) and found.lower is not None and found.upper is not None:
            widths.append((found.upper - found.lower).to_numpy(float))
        elif isinstance(found, Effects) and "lower" in found.change:
            widths.append((found.change["upper"] - found.change["lower"]).to_numpy(float))
    if len(widths) == len(LEVELS):
        narrower = widths[1] < widths[0] - CLOSE["atol"]
        require(not narrower.any(), f"intervals at {LEVELS[1]} must be no narrower than at {LEVELS[0]}")

"""Point predictions: values of features, labels, open peaks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from sklearn.metrics import r2_score, roc_auc_score

from scvcell.score._base import metric

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from scvcell._types import Array, Mask

FLAT = 1e-12
"""Product of the lengths of two centred columns up to which one of them is constant."""
FLAT_PREDICTION = 1e-9
"""Standard deviation, as a share of the largest value or of 1, up to which a predicted column is constant."""


@metric(
    "pearson",
    takes="values",
    better="higher",
    per="feature",
    scale="any; tables use log1p or CLR",
    formula="covariance over cells / product of standard deviations",
    source="Pearson, 1895",
    fooled_by="differences between cell types or depths, which are easy to predict; blind to scale and offset",
)
def correlation(predicted: Array, true: Array, *, constant: Literal["zero", "nan", "truth"] = "zero") -> Array:
    """Pearson correlation of each column, shape ``(features,)``; 0 where a column is constant.

    Parameters
    ----------
    predicted, true
        Values, ``(cells, features)``.
    constant
        What a constant column gives: ``"zero"``; ``"nan"``; or ``"truth"``, which is NaN where the truth is constant,
        as nothing can be asked of it, and 0 where the prediction is. Benchmark tables use the last one. It takes a
        prediction for constant if its standard deviation is below a billionth of its largest value, or of 1.
    """
    p, t = predicted - predicted.mean(0), true - true.mean(0)
    p_length, t_length = np.sqrt((p**2).sum(0)), np.sqrt((t**2).sum(0))
    with np.errstate(invalid="ignore", divide="ignore"):
        r = (p * t).sum(0) / (t_length * p_length)
    if constant == "truth":
        largest = np.maximum(np.abs(predicted).max(0), 1.0)
        flat = p_length <= FLAT_PREDICTION * np.sqrt(len(p)) * largest
        return np.where(t_length == 0, np.nan, np.where(flat, 0.0, r))
    return np.where(t_length * p_length > FLAT, r, np.nan if constant == "nan" else 0.0)


def pearson(predicted: Array, true: Array) -> float:
    """Pearson correlation of two vectors or tables, all entries together; 0 where the prediction is constant."""
    return float(np.corrcoef(predicted.ravel(), true.ravel())[0, 1]) if predicted.std() > 0 else 0.0


@metric(
    "cosine",
    takes="values",
    better="higher",
    per="cell",
    scale="centred values",
    formula="<p, t> / (|p| |t|)",
    source="the cosine of the angle between two vectors",
    fooled_by="a direction that all cells share: centre first",
)
def cosine(predicted: Array, true: Array) -> Array:
    """Cosine of the angle between two vectors, along the last axis; 0 where one has no length."""
    lengths = np.linalg.norm(predicted, axis=-1) * np.linalg.norm(true, axis=-1)
    return (predicted * true).sum(-1) / np.maximum(lengths, 1e-12)  # type: ignore[no-any-return]


@metric(
    "rmse",
    takes="values",
    better="lower",
    per="table",
    scale="that of the values; log1p counts make it RMSLE",
    formula="root of the mean squared error over all entries, or its mean over features",
    source="textbook",
    fooled_by="the average that is taken: over all entries it is never below the mean over features",
)
def rmse(predicted: Array, true: Array, *, average: Literal["entries", "features"] = "entries") -> float:
    """Root mean squared error.

    Parameters
    ----------
    predicted, true
        Values of one shape; ``(cells, features)`` for the mean over features.
    average
        ``"entries"``: of all entries together. ``"features"``: of each feature, then the mean over features. The
        second is never larger (Jensen's inequality): say which one you show.
    """
    squared = (true - predicted) ** 2
    return float(np.sqrt(squared.mean()) if average == "entries" else np.sqrt(squared.mean(0)).mean())


def mae(predicted: Array, true: Array) -> float:
    """Mean absolute error over all entries."""
    return float(np.abs(predicted - true).mean())


def mse(predicted: Array, true: Array) -> float:
    """Mean squared error over all entries."""
    return float(((predicted - true) ** 2).mean())


@metric(
    "nmae",
    takes="values",
    better="lower",
    per="table",
    scale="differences from something: 0 has to mean nothing",
    formula="sum |p - t| / sum |t|; 1 is the prediction of no difference",
    source="normalised mean absolute error, textbook",
    fooled_by="few features with large differences, which make the sum",
)
def nmae(predicted: Array, true: Array) -> float:
    """Total absolute error over the total size of the truth; 1 is what predicting 0 gives."""
    return float(np.abs(predicted - true).sum() / np.abs(true).sum())


@metric(
    "nmse",
    takes="values",
    better="lower",
    per="table",
    scale="differences from something: 0 has to mean nothing",
    formula="sum (p - t)^2 / sum t^2; 1 is the prediction of no difference",
    source="normalised mean squared error, textbook",
    fooled_by="one condition with a large effect, which makes the sum",
)
def nmse(predicted: Array, true: Array) -> float:
    """Total squared error over the total square of the truth; 1 is what predicting 0 gives."""
    return float(((true - predicted) ** 2).sum() / (true**2).sum())


@metric(
    "r2",
    takes="values",
    better="higher",
    per="set of cells",
    scale="any",
    formula="1 - sum (t - p)^2 / sum (t - mean t)^2",
    source="coefficient of determination, as scikit-learn has it",
    fooled_by="differences between features: the mean profile of all cells is near 1",
)
def r2(predicted: Array, true: Array) -> float:
    """Coefficient of determination; 1 is best, 0 is what the mean of the truth gives."""
    return float(r2_score(true, predicted))


@metric(
    "accuracy",
    takes="labels",
    better="higher",
    per="cell",
    scale="labels",
    formula="share of cells with the right label",
    source="textbook",
    fooled_by="a common label",
)
def accuracy(predicted: ArrayLike, true: ArrayLike) -> float:
    """Share of cells with the right label."""
    return float(np.mean(np.asarray(true, dtype=str) == np.asarray(predicted, dtype=str)))


@metric(
    "macro_f1",
    takes="labels",
    better="higher",
    per="label",
    scale="labels",
    formula="mean over labels of 2 hits / (cells with the label + cells that were given it)",
    source="van Rijsbergen, Information Retrieval, 1979; macro average as in scikit-learn",
    fooled_by="labels of few cells, which count as much as common ones",
)
def macro_f1(predicted: ArrayLike, true: ArrayLike) -> float:
    """F1 averaged over the labels that occur in the truth or in the prediction."""
    true, predicted = np.asarray(true, dtype=str), np.asarray(predicted, dtype=str)
    each = []
    for name in np.union1d(true, predicted):
        hit = np.sum((true == name) & (predicted == name))
        each.append(2.0 * hit / (np.sum(true == name) + np.sum(predicted == name)))
    return float(np.mean(each))


@metric(
    "auroc",
    takes="values",
    better="higher",
    per="cell",
    scale="any order of the features",
    formula="chance that a feature that is there is ranked above one that is not; .5 is chance",
    source="Hanley and McNeil, Radiology 1982",
    fooled_by="features that are there in most cells: the mean profile is far above .5",
)
def auroc(predicted: Array, true: Mask) -> float:
    """Area under the receiver operating characteristic of every row, mean over rows that have both kinds.

    Parameters
    ----------
    predicted
        Scores, ``(cells, features)``.
    true
        What is there, same shape.
    """
    rows = [roc_auc_score(t, p) for p, t in zip(predicted, true, strict=True) if 0 < t.sum() < len(t)]
    return float(np.mean(rows))


def label_scores(predicted: ArrayLike, true: ArrayLike) -> dict[str, float]:
    """``accuracy`` and ``macro_f1`` of labels."""
    return {"accuracy": accuracy(predicted, true), "macro_f1": macro_f1(predicted, true)}


def prediction_scores(predicted: Array, true: Array) -> dict[str, float]:
    """``pearson`` (mean over features whose truth varies), ``rmse`` over entries and ``rmse_per_feature``.

    Parameters
    ----------
    predicted, true
        Values, ``(cells, features)``, on the scale that is scored.
    """
    return {
        "pearson": float(np.nanmean(correlation(predicted, true, constant="truth"))),
        "rmse": rmse(predicted, true),
        "rmse_per_feature": rmse(predicted, true, average="features"),
    }

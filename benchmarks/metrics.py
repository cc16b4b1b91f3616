"""Scores of the tables, written here on purpose independently of scvcell (a package must not mark its own work)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from collections.abc import Iterator

Array = np.ndarray


def dense(x: object) -> Array:
    """Return a float64 array from a dense or sparse matrix."""
    return np.asarray(x.toarray() if sparse.issparse(x) else x, dtype=np.float64)


def log1p_counts(x: object) -> Array:
    """Return log(1 + counts)."""
    return np.log1p(np.maximum(dense(x), 0.0))


def clr(x: object) -> Array:
    """Centred log ratio per cell: log1p(x) minus its mean over the proteins of that cell."""
    log = log1p_counts(x)
    return log - log.mean(1, keepdims=True)


def _blocks(n: int, size: int) -> Iterator[slice]:
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


def _prepare(x: Array, metric: str) -> Array:
    """Rows scaled so that squared Euclidean distance orders cells by `metric`."""
    x = np.asarray(x, dtype=np.float64)
    if metric == "euclidean":
        return x
    if metric == "cosine":
        return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    msg = f"metric is {metric!r}; allowed: 'euclidean', 'cosine'"
    raise ValueError(msg)


def _squared_distances(a: Array, b: Array) -> Array:
    """Squared Euclidean distances (rows of a x rows of b)."""
    d = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2.0 * a @ b.T
    return np.maximum(d, 0.0)


def _one_way(a: Array, b: Array, block: int) -> tuple[Array, Array]:
    """For each row of `a`: share of wrong rows of `b` closer than its match, and whether the match comes first.

    Ties count one half in the share; a tie for the first place counts as one over the number of tied rows.
    """
    n = len(a)
    share, top = np.empty(n), np.empty(n)
    for rows in _blocks(n, block):
        d = _squared_distances(a[rows], b)
        own = d[np.arange(d.shape[0]), np.arange(rows.start, rows.stop)][:, None]
        closer, tied = (d < own).sum(1), (d == own).sum(1) - 1
        share[rows] = (closer + 0.5 * tied) / max(n - 1, 1)
        top[rows] = np.where(closer == 0, 1.0 / (1.0 + tied), 0.0)
    return share, top


def match_scores(a: Array, b: Array, metric: str = "euclidean", block: int = 2048) -> dict[str, float]:
    """FOSCTTM and top-1 recall of matched rows (row i of `a` and of `b` are one cell), mean of both directions.

    Parameters
    ----------
    a, b
        Embeddings of the same cells from two modalities, cells x dimensions.
    metric
        ``"euclidean"`` or ``"cosine"``.
    block
        Rows handled at once: memory is ``block`` x cells.

    Returns
    -------
    ``foscttm`` (0 best, .5 chance) and ``top1`` (1 best, 1 / cells chance).
    """
    a, b = _prepare(a, metric), _prepare(b, metric)
    if a.shape != b.shape:
        msg = f"matched embeddings must have one shape, got {a.shape} and {b.shape}"
        raise ValueError(msg)
    (share_ab, top_ab), (share_ba, top_ba) = _one_way(a, b, block), _one_way(b, a, block)
    return {
        "foscttm": float(np.mean([share_ab.mean(), share_ba.mean()])),
        "top1": float(np.mean([top_ab.mean(), top_ba.mean()])),
    }


def nearest(query: Array, reference: Array, k: int, *, exclude_self: bool = False, block: int = 2048) -> Array:
    """Row numbers of the k nearest rows of `reference` (Euclidean), nearest first."""
    out = np.empty((len(query), k), dtype=np.int64)
    for rows in _blocks(len(query), block):
        d = _squared_distances(query[rows], reference)
        if exclude_self:
            d[np.arange(d.shape[0]), np.arange(rows.start, rows.stop)] = np.inf
        part = np.argpartition(d, k - 1, axis=1)[:, :k]
        order = np.argsort(np.take_along_axis(d, part, 1), axis=1, kind="stable")
        out[rows] = np.take_along_axis(part, order, 1)
    return out


def vote(neighbours: Array, labels: Array) -> Array:
    """Uniform vote over neighbour labels; a tie goes to the first label in alphabetical order (as in scikit-learn)."""
    classes, codes = np.unique(np.asarray(labels, dtype=str), return_inverse=True)
    counts = np.zeros((len(neighbours), len(classes)))
    np.add.at(counts, (np.arange(len(neighbours))[:, None], codes[neighbours]), 1.0)
    return classes[counts.argmax(1)]


def label_scores(true: Array, predicted: Array) -> dict[str, float]:
    """Accuracy, and F1 averaged over the classes that occur in the truth or in the prediction."""
    true, predicted = np.asarray(true, dtype=str), np.asarray(predicted, dtype=str)
    f1 = []
    for name in np.union1d(true, predicted):
        hit = np.sum((true == name) & (predicted == name))
        f1.append(2.0 * hit / (np.sum(true == name) + np.sum(predicted == name)))
    return {"accuracy": float(np.mean(true == predicted)), "macro_f1": float(np.mean(f1))}


def pearson_per_feature(true: Array, predicted: Array) -> Array:
    """Pearson correlation of every column; 0 where the prediction is constant, NaN where the truth is."""
    t, p = true - true.mean(0), predicted - predicted.mean(0)
    ts, ps = np.sqrt((t**2).sum(0)), np.sqrt((p**2).sum(0))
    flat = ps <= 1e-9 * np.sqrt(len(p)) * np.maximum(np.abs(predicted).max(0), 1.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        r = (t * p).sum(0) / (ts * ps)
    return np.where(ts == 0, np.nan, np.where(flat, 0.0, r))


def prediction_scores(true: Array, predicted: Array) -> dict[str, float]:
    """Mean over features of Pearson correlation and of root mean squared error, and the latter over all entries.

    The two errors differ (their order is fixed by Jensen's inequality): tables say which one they show.
    """
    squared = (true - predicted) ** 2
    return {
        "pearson": float(np.nanmean(pearson_per_feature(true, predicted))),
        "rmse": float(np.sqrt(squared.mean())),
        "rmse_per_feature": float(np.sqrt(squared.mean(0)).mean()),
    }


def interval_scores(true: Array, lower: Array, upper: Array, level: float) -> dict[str, float]:
    """Coverage of intervals on the log1p scale: overall, of the worst feature, and the mean relative width.

    The relative width of a feature is its mean width over the width of its own marginal interval at `level`
    (the interval one would give without looking at the cell).
    """
    inside = (true >= lower) & (true <= upper)
    tail = (1.0 - level) / 2.0
    marginal = np.quantile(true, 1.0 - tail, axis=0) - np.quantile(true, tail, axis=0)
    width = (upper - lower).mean(0) / np.maximum(marginal, 1e-9)
    per_feature = inside.mean(0)
    return {
        "coverage": float(inside.mean()),
        "coverage_worst": float(per_feature.min()),
        "relative_width": float(width.mean()),
    }

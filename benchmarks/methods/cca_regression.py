"""CCA on the pairs, the target regressed on the canonical directions of the source; settings by cross-validation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.linear_model import LinearRegression

from benchmarks.clock import Stopwatch
from benchmarks.features import choose, components, folds, options, pair_rows, source_components, target_centred
from benchmarks.methods._cca import CCA
from benchmarks.task import Output

if TYPE_CHECKING:
    from benchmarks.task import Task

TABLES = ("morphology",)
GRID = {"n": (1, 2, 5, 10), "shrinkage": (0.1, 0.5, 1.0, 3.0), "weighted": (True,), "scaled": (False, True)}
COMPONENTS = 30


def run(task: Task, seed: int) -> Output:
    """Choose by squared error of held-out pairs, predict the query."""
    watch = Stopwatch()
    src, tgt = pair_rows(task)
    values = task.scaled_target()
    space = {s: source_components(task, COMPONENTS, seed, scaled=s) for s in GRID["scaled"]}
    y = components(target_centred(task, scaled=False), COMPONENTS, seed)

    def predict(option: dict[str, Any], train: np.ndarray, x: np.ndarray) -> np.ndarray:
        seen = space[option["scaled"]][src[train]]
        model = CCA(option["n"], option["shrinkage"], option["weighted"]).fit(seen, y[tgt[train]])
        place = lambda rows: model.transform(rows, y[:1])[0]  # noqa: E731
        return LinearRegression().fit(place(seen), values[tgt[train]]).predict(place(x))

    def error(option: dict[str, Any]) -> float:
        x = space[option["scaled"]][src]
        return float(
            np.mean([((predict(option, a, x[b]) - values[tgt[b]]) ** 2).mean() for a, b in folds(len(src), seed)])
        )

    best = choose(options(GRID), error)
    query = space[best["scaled"]][task.rows(task.source, task.query)]
    prediction = predict(best, np.arange(len(src)), query)
    return watch.stamp(Output(prediction=task.frame(prediction), notes=best))

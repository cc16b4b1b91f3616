"""PCA of the RNA, mean target of the k nearest paired cells; settings by five-fold cross-validation on pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.preprocessing import normalize

from benchmarks.clock import Stopwatch
from benchmarks.features import choose, folds, options, pair_rows, source_components, target_centred
from benchmarks.task import Output
from scvcell.score import nearest

if TYPE_CHECKING:
    from benchmarks.task import Task

TABLES = ("mosaic", "protein", "trimodal", "morphology")


def run(task: Task, seed: int) -> Output:
    """Average the target over neighbours; the same average of centred targets places RNA cells for matching."""
    watch = Stopwatch()
    src, tgt = pair_rows(task)
    values = task.scaled_target()
    shared = {name: task.grid[name] for name in ("n_pcs", "scaled")}
    space = {
        (o["n_pcs"], o["scaled"]): source_components(task, o["n_pcs"], seed, scaled=o["scaled"])
        for o in options(shared)
    }

    def error(option: dict[str, Any]) -> float:
        x, y = space[option["n_pcs"], option["scaled"]][src], values[tgt]
        losses = [
            ((y[a][nearest(x[b], x[a], option["k"])].mean(1) - y[b]) ** 2).mean() for a, b in folds(len(src), seed)
        ]
        return float(np.mean(losses))

    best = choose(options({**shared, "k": task.grid["k"]}), error)
    x = space[best["n_pcs"], best["scaled"]]
    query = nearest(x[task.rows(task.source, task.query)], x[src], best["k"])
    embedding: dict[str, pd.DataFrame] = {}
    if task.grid.get("match", (False,))[0]:
        centred = target_centred(task, scaled=False)
        placed = centred[tgt][nearest(x, x[src], best["k"])].mean(1)
        embedding = {
            task.source: pd.DataFrame(normalize(placed), index=task.names(task.source)),
            task.target: pd.DataFrame(normalize(centred), index=task.names(task.target)),
        }
    prediction = task.frame(values[tgt][query].mean(1))
    return watch.stamp(Output(prediction=prediction, embedding=embedding, notes=best))

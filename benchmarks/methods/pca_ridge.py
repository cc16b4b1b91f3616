"""PCA of the RNA, ridge regression of the target on it; settings by five-fold cross-validation on pairs.

The regression used for prediction is chosen by its error on held-out pairs; the map used for matching (RNA cells
placed where their target is predicted, within-batch standardised) by FOSCTTM of held-out pairs (cosine, so vectors
are normalised).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.linear_model import Ridge
from sklearn.preprocessing import normalize

from benchmarks.clock import Stopwatch
from benchmarks.features import choose, folds, options, pair_rows, source_components, target_centred
from benchmarks.task import Output
from scvcell.score import match_scores

if TYPE_CHECKING:
    from benchmarks.task import Task

TABLES = ("mosaic", "protein", "trimodal", "morphology")
ALPHAS = (1.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)


def run(task: Task, seed: int) -> Output:
    """Fit the two regressions, predict the query cells and place all cells in the space of the target."""
    watch = Stopwatch()
    src, tgt = pair_rows(task)
    values, centred = task.scaled_target(), target_centred(task, scaled=True)
    shared = {name: task.grid[name] for name in ("n_pcs", "scaled")}
    space = {
        (o["n_pcs"], o["scaled"]): source_components(task, o["n_pcs"], seed, scaled=o["scaled"])
        for o in options(shared)
    }
    settings = options({**shared, "alpha": ALPHAS})

    def fit(option: dict[str, Any], rows: np.ndarray, y: np.ndarray) -> Ridge:
        return Ridge(option["alpha"]).fit(space[option["n_pcs"], option["scaled"]][rows], y)

    def error(option: dict[str, Any]) -> float:
        x, y = space[option["n_pcs"], option["scaled"]][src], values[tgt]
        return float(
            np.mean([((fit(option, src[a], y[a]).predict(x[b]) - y[b]) ** 2).mean() for a, b in folds(len(src), seed)])
        )

    def mismatch(option: dict[str, Any]) -> float:
        x, y = space[option["n_pcs"], option["scaled"]][src], centred[tgt]
        return float(
            np.mean(
                [
                    match_scores(fit(option, src[a], y[a]).predict(x[b]), y[b], "cosine")["foscttm"]
                    for a, b in folds(len(src), seed)
                ]
            )
        )

    best = choose(settings, error)
    model = fit(best, src, values[tgt])
    prediction = model.predict(space[best["n_pcs"], best["scaled"]][task.rows(task.source, task.query)])
    notes: dict[str, Any] = {"prediction": best}
    embedding: dict[str, pd.DataFrame] = {}
    if task.grid.get("match", (False,))[0]:
        place = notes["matching"] = choose(settings, mismatch)
        placed = fit(place, src, centred[tgt]).predict(space[place["n_pcs"], place["scaled"]])
        embedding = {
            task.source: pd.DataFrame(normalize(placed), index=task.names(task.source)),
            task.target: pd.DataFrame(normalize(centred), index=task.names(task.target)),
        }
    return watch.stamp(Output(prediction=task.frame(prediction), embedding=embedding, notes=notes))

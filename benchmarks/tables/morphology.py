"""Table *morphology*: cell morphology and gene expression of the same compounds, one predicted from the other.

162 compounds on U2OS cells: 812 Cell Painting features and 978 L1000 genes, both as profiles relative to controls.
Five folds of compounds by seed; the target of a fold's compounds is hidden. Every feature is divided by its standard
deviation over the compounds whose target is seen, so that all count alike; scored over all 162 predictions together,
after that division. The mean compound is what a method must beat: few compounds have a strong profile. Its correlation
is below zero, because a fold is left out of its own mean. 130 compounds are too few for scvcell to calibrate intervals.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import mudata
import numpy as np
import pandas as pd
from sklearn.model_selection import KFold

from benchmarks.task import Task
from scvcell.score import cosine, interval_scores, match_scores, prediction_scores

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.task import Output

CASES = ("morphology_to_l1000", "l1000_to_morphology")
FILES = dict.fromkeys(CASES, "wawer14_cellpainting_l1000_u2os/wawer14_cellpainting_l1000_u2os.h5mu")
SEEDS = (0, 1, 2)
REFERENCE = "pca_ridge"
METHODS = ("mean", "pca_knn", "pca_ridge", "cca_regression", "scvcell")
COLUMNS = {
    "pearson": "Pearson per feature",
    "profile_cosine": "cosine per compound",
    "rmse": "RMSE (sd units)",
    "found": "compounds found (FOSCTTM)",
    "coverage": "90 % coverage",
    "relative_width": "relative width",
}
GRID = {"n_pcs": (10, 30, 60), "scaled": (False, True), "k": (5, 10, 20)}
FOLDS = 5


def task(data: Path, case: str, epochs: int | None) -> tuple[Task, dict[str, Any]]:
    """All compounds; `evaluate` hides the target of one fold after the other."""
    full = mudata.read_h5mu(data / FILES[case])
    for a in full.mod.values():
        a.obs["batch"] = "all"
    full.obs["batch"] = "all"
    source, target = case.split("_to_")
    return Task(mdata=full, source=source, target=target, scale="identity", grid=GRID, epochs=epochs), {}


def evaluate(run: Callable[[Task, int], Output], task: Task, truth: dict[str, Any], seed: int) -> tuple[Output, dict]:
    """Predict every fold's compounds from a fit on the others, score all together."""
    outs, trues = [], []
    for seen, hidden in KFold(FOLDS, shuffle=True, random_state=seed).split(np.arange(task.mdata.n_obs)):
        names = task.mdata.obs_names
        mods = {}
        for name, a in task.mdata.mod.items():
            spread = np.maximum(a[names[seen]].X.std(0), 1e-6)
            mods[name] = a.copy()
            mods[name].X = (a.X / spread).astype(np.float32)
        trues.append(mods[task.target][names[hidden]].to_df())
        mods[task.target] = mods[task.target][names[seen]].copy()
        mdata = mudata.MuData(mods)
        mdata.obs["batch"] = "all"
        outs.append(run(replace(task, mdata=mdata, query=names[hidden]), seed))
    out = outs[0]
    out.fit_seconds, out.fit_cpu_seconds = (
        sum(getattr(o, k) for o in outs) for k in ("fit_seconds", "fit_cpu_seconds")
    )
    for part in ("prediction", "lower", "upper"):
        frames = [getattr(o, part) for o in outs]
        setattr(out, part, None if any(f is None for f in frames) else pd.concat(frames))
    return out, score(pd.concat(trues), out, task.level)


def score(true: pd.DataFrame, out: Output, level: float) -> dict[str, Any]:
    """Accuracy per feature and per compound, and whether the prediction finds its compound among all."""
    x = true.to_numpy()
    predicted = out.prediction.loc[true.index, true.columns].to_numpy()
    scores: dict[str, Any] = prediction_scores(predicted, x)
    centred, guess = x - x.mean(0), predicted - predicted.mean(0)
    scores["profile_cosine"] = float(np.mean(cosine(guess, centred)))
    if guess.any():
        scores["found"] = match_scores(predicted, x, "cosine")["foscttm"]
    if out.lower is not None and out.upper is not None and out.lower.notna().all(axis=None):
        bounds = [f.loc[true.index, true.columns].to_numpy() for f in (out.lower, out.upper)]
        scores |= interval_scores(x, *bounds, level)
    return scores

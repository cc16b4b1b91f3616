"""Table *conditions*: bulk samples of drugs, whose combinations, times and doses were never seen.

Cases ``pairs`` and ``pairs_from_singles``: 66 pairs of 12 drugs on a melanoma line (Korkut et al., 82 proteins and 5
phenotypes, one sample each); pairs are left out in 6 folds, or all at once. Cases ``time_8h``, ``time_24h`` and
``top_dose``: 73 compounds on human hepatocytes (Open TG-GATEs, 196 genes, two samples each); of a fifth of the
compounds, in turn, all samples at 8 h, at 24 h or at the highest dose are left out, where others of them are left.
Doses are given as shares of the highest one that was planned. Scores of the effect on every condition left out: total
squared error over the total square (NMSE), mean Pearson, coverage of 90 % intervals, also of the 10 features that
change most. Baselines beside it: no change (``control``), the mean of what was seen under the same dose and time or of
the pairs (``mean``), the sum of single effects at the same doses (``additive``), the effect of the same compound at the
nearest dose and time (``nearest``), and the latter with weights learned on what was not left out (``scaled``; ``stack``
with the mean).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from mudata import MuData

import scvcell
from benchmarks.task import Output, Question, Task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from anndata import AnnData

CASES = ("pairs", "pairs_from_singles", "time_8h", "time_24h", "top_dose")
PAIRS = CASES[:2]
KORKUT = "korkut15_skmel133_drugpairs/korkut15_skmel133_drugpairs.h5ad"
TGGATES = "tggates_hepatocyte_dose_time/tggates_hepatocyte_dose_time.h5ad"
FILES = {case: KORKUT if case in PAIRS else TGGATES for case in CASES}
SEEDS = (0, 1, 2)
METHODS = ("scvcell",)
REFERENCE = "scvcell"
COLUMNS = {"nmse": "NMSE", "pearson": "Pearson of effect", "coverage": "coverage", "coverage_top": "coverage (top)"}
TOP = 10
LEVELS = {"Low": 0, "Middle": 1, "High": 2}


def task(data: Path, case: str, epochs: int | None) -> tuple[Task, dict[str, Any]]:
    """All samples; what is left out when, is for `evaluate`."""
    if case in PAIRS:
        adata = scvcell.datasets.korkut_drug_pairs()
        adata.obs["context"] = "all"
    else:
        adata = scvcell.datasets.tggates_hepatocytes()
        top = adata.obs.groupby("compound", observed=True)["dose"].transform("max")
        adata.obs["dose"] = adata.obs["dose"] / top
        adata.obs["context"] = adata.obs["compound"].astype(str) + " " + adata.obs["time_h"].astype(str)
    time = None if case in PAIRS else "time_h"
    keys = scvcell.PerturbationKeys("perturbation", control="control", dose="dose", time=time, context="context")
    whole = Task(
        mdata=MuData({"profile": adata}),
        source="profile",
        target="profile",
        scale="identity",
        perturbation=keys,
        epochs=epochs,
    )
    return whole, {"case": case}


def conditions(adata: AnnData) -> pd.DataFrame:
    """Every treated condition: its obs, its measured ``effect``, and names of its ``controls``."""
    values = pd.DataFrame(np.asarray(adata.X, float), index=adata.obs_names)
    obs = adata.obs.astype({"perturbation": str, "context": str})
    rows = []
    for (context, target, dose), group in obs[obs["perturbation"] != "control"].groupby(
        ["context", "perturbation", "dose"]
    ):
        controls = obs.index[(obs["context"] == context) & (obs["perturbation"] == "control")]
        effect = values.loc[group.index].mean().to_numpy() - values.loc[controls].mean().to_numpy()
        parts = target.split("+")
        doses = dict(zip(parts, map(float, str(dose).split("+")), strict=True))
        action = scvcell.Action(doses, group["time_h"].iloc[0] if "time_h" in group else None)
        rows.append(group.iloc[0].to_dict() | {"effect": effect, "controls": controls, "action": action})
        rows[-1] |= {"cells": group.index, "n_parts": len(parts)}
    return pd.DataFrame(rows)


def folds(every: pd.DataFrame, case: str, seed: int) -> Iterator[np.ndarray]:
    """Which conditions are left out, fold by fold."""
    rng = np.random.default_rng(seed)
    if case in PAIRS:
        pairs = np.flatnonzero(every["n_parts"] == 2)
        number = rng.permutation(len(pairs)) % (6 if case == "pairs" else 1)
        for fold in range(number.max() + 1):
            yield np.isin(np.arange(len(every)), pairs[number == fold])
        return
    hidden = {
        "time_8h": every["time_h"] == 8,
        "time_24h": every["time_h"] == 24,
        "top_dose": every["dose_level"] == "High",
    }[case].to_numpy()
    compounds = rng.permutation(every["compound"].unique())
    for fold in range(5):
        mine = every["compound"].isin(compounds[fold::5]).to_numpy()
        seen = every["compound"].isin(every["compound"][~(mine & hidden)]).to_numpy()
        yield mine & hidden & seen


def evaluate(run: Callable[[Task, int], Output], task: Task, truth: dict[str, Any], seed: int) -> tuple[Output, dict]:
    """Fit once per fold, score every condition that was left out."""
    adata, case = task.mdata["profile"], truth["case"]
    every = conditions(adata)
    predictors = pair_baselines if case in PAIRS else dose_baselines
    found: dict[str, list[np.ndarray]] = {}
    true, inside = [], []
    total = Output(fit_seconds=0.0, fit_cpu_seconds=0.0)
    for left in folds(every, case, seed):
        gone = np.concatenate(every["cells"][left].to_list())
        questions = {str(i): Question(every["action"][i], every["controls"][i]) for i in np.flatnonzero(left)}
        seen = adata[~adata.obs_names.isin(gone)].copy()
        out = run(replace(task, mdata=MuData({"profile": seen}), questions=questions), seed)
        total.fit_seconds += out.fit_seconds
        total.fit_cpu_seconds += out.fit_cpu_seconds
        y = np.stack(every["effect"][left])
        answers = [out.effects[name] for name in questions]
        true.append(y)
        found.setdefault("", []).append(np.stack([answer["lfc"] for answer in answers]))
        lower, upper = (np.stack([answer[side] for answer in answers]) for side in ("lower", "upper"))
        inside.append((y >= lower) & (y <= upper))
        for kind, predicted in predictors(every, left, case).items():
            found.setdefault(kind, []).append(predicted)
    y, covered = np.concatenate(true), np.concatenate(inside)
    scores = {kind: score(y, np.concatenate(parts)) for kind, parts in found.items()}
    top = np.argsort(-np.abs(y), axis=1)[:, :TOP]
    main = scores.pop("") | {
        "coverage": float(covered.mean()),
        "coverage_top": float(np.take_along_axis(covered, top, 1).mean()),
    }
    return total, main | {"alternatives": scores}


def score(y: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Scores of predicted effects, ``(conditions, features)``."""
    moved = predicted.std(1) > 0
    each = [np.corrcoef(a, b)[0, 1] if ok else 0.0 for a, b, ok in zip(y, predicted, moved, strict=True)]
    return {"nmse": float(((y - predicted) ** 2).sum() / (y**2).sum()), "pearson": float(np.mean(each))}


def pair_baselines(every: pd.DataFrame, left: np.ndarray, case: str) -> dict[str, np.ndarray]:
    """Predicted effects of pairs, ``(left out, features)`` by baseline."""
    singles = every[every["n_parts"] == 1]

    def alone(target: str, dose: float | None) -> np.ndarray:
        mine = singles[singles["perturbation"] == target]
        same = mine[[action.doses[target] == dose for action in mine["action"]]]
        return np.mean((same if len(same) else mine)["effect"].to_list(), axis=0)

    def additive(rows: pd.DataFrame) -> np.ndarray:
        return np.stack([sum(alone(t, d) for t, d in action.doses.items()) for action in rows["action"]])

    total = additive(every[left])
    out = {"control": 0 * total, "additive": total}
    seen = every[~left & (every["n_parts"] == 2)]
    if len(seen):
        y, x = np.stack(seen["effect"]), additive(seen)
        out |= {"mean": 0 * total + y.mean(0), "scaled": total * (x * y).sum() / (x**2).sum()}
    return out


def dose_baselines(every: pd.DataFrame, left: np.ndarray, case: str) -> dict[str, np.ndarray]:
    """Predicted effects at doses and times, ``(left out, features)`` by baseline; weights from the other compounds."""
    level = every["dose_level"].astype(str).map(LEVELS).to_numpy()
    hours = np.log2(every["time_h"].to_numpy())
    compound = every["compound"].astype(str).to_numpy()
    y = np.stack(every["effect"])

    def predict(rows: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        near, mean = [], []
        for i in rows:
            mine = np.flatnonzero(known & (compound == compound[i]))
            apart = np.abs(level[mine] - level[i]) + np.abs(hours[mine] - hours[i])
            near.append(y[mine[apart.argmin()]])
            others = (~left) & (compound != compound[i]) & (level == level[i]) & (hours == hours[i])
            mean.append(y[others].mean(0))
        return np.stack(near), np.stack(mean)

    near, mean = predict(np.flatnonzero(left), ~left)
    like = hours == np.log2({"time_8h": 8, "time_24h": 24}[case]) if case != "top_dose" else level == 2
    partners = np.isin(compound, compound[~left & ~like])
    rows = np.flatnonzero(~left & like & partners & ~np.isin(compound, compound[left]))
    x_near, x_mean = predict(rows, ~left & ~like)
    design = np.stack([x_near.ravel(), x_mean.ravel()], 1)
    weights = np.linalg.lstsq(design, y[rows].ravel(), rcond=None)[0]
    scale = (x_near * y[rows]).sum() / (x_near**2).sum()
    return {
        "control": 0 * near,
        "mean": mean,
        "nearest": near,
        "scaled": scale * near,
        "stack": weights[0] * near + weights[1] * mean,
    }

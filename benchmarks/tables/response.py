"""Table *response*: which treated cells responded, and that an action that does nothing has no impact.

Case ``simulated``: 2,000 simulated cells, 3 targets, 4 types, 40 % of the treated cells escape; who they are is known.
Case ``eccite``: 25 knock-outs in THP-1 cells (Papalexi et al.), fitted on a random half of the genes and judged on the
others: by how much of the mean effect of a knock-out (from other controls) those cells show that are called responders,
and those that were not; over conditions whose share is trusted and that have 20 cells of either kind. In both, 200
controls are given out as an action, ``nothing``. Beside it: as many responders, by linear discriminant of 20 principal
components (``discriminant``). Impacts are in squared log2 fold changes; *measured* is the mean square of the measured
effects of ``nothing``, noise included.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from mudata import MuData
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score

import scvcell
from benchmarks import local
from benchmarks.tables.perturbation import FILES as PERTURBATION_FILES
from benchmarks.task import Task
from scvcell.score import dense, log_cp10k, slope

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from anndata import AnnData

    from benchmarks.task import Output

CASES = ("simulated", "eccite")
FILES = {"eccite": PERTURBATION_FILES["targets"]}
SEEDS = (0, 1, 2)
METHODS = ("scvcell",)
REFERENCE = "scvcell"
COLUMNS = {
    "auc": "AUC of responders",
    "share_error": "error of the share",
    "share_inside": "share in its 90 % interval",
    "called": "effect of called (held-out genes)",
    "others": "effect of others",
    "conditions": "conditions",
    "nothing": "impact of nothing",
    "nothing_measured": "measured",
    "nothing_inside": "0 in its 90 % interval",
    "nothing_trusted": "share of nothing trusted",
}
CONTROL, NOTHING, ESCAPE, FEWEST, COMPONENTS = "control", "nothing", 0.4, 20, 20


def task(data: Path, case: str, epochs: int | None) -> tuple[Task, dict[str, Any]]:
    """Keys of the actions; cells and genes depend on the seed."""
    context = "cell_type" if case == "simulated" else ()
    keys = scvcell.PerturbationKeys("action", control=CONTROL, context=context)
    adata = simulated(0) if case == "simulated" else local.papalexi_eccite(data)
    task = Task(mdata=MuData({"rna": adata}), source="rna", target="rna", perturbation=keys, epochs=epochs)
    return task, {"case": case}


def evaluate(run: Callable[[Task, int], Output], task: Task, truth: dict[str, Any], seed: int) -> tuple[Output, dict]:
    """Fit on all cells, score what is said of each."""
    rng, known = np.random.default_rng(seed), truth["case"] == "simulated"
    adata = simulated(seed) if known else task.mdata["rna"].copy()
    action = adata.obs["action" if known else "perturbation"].astype(str).replace("non-targeting", CONTROL).to_numpy()
    action[rng.choice(np.flatnonzero(action == CONTROL), 200, replace=False)] = NOTHING
    adata.obs["action"] = action
    genes = np.ones(adata.n_vars, bool)
    genes[rng.permutation(adata.n_vars)[::2]] = known
    out = run(replace(task, mdata=MuData({"rna": adata[:, genes].copy()})), seed)
    probability = out.cells["csl_response_probability"].loc[adata.obs_names].to_numpy()
    other = discriminant(adata[:, genes], task, probability)
    score = with_truth if known else on_other_genes
    scores = {
        name: score(adata, called, out.response, genes) for name, called in (("", probability), ("discriminant", other))
    }
    scores[""] |= shares(adata, out.response) if known else {}
    nothing = out.impact[out.impact["action"] == NOTHING]
    scores[""] |= {
        "nothing": nothing["impact"].mean(),
        "nothing_measured": (nothing["impact"] + nothing["noise"]).mean(),
        "nothing_inside": ((nothing["lower"] <= 0) & (nothing["upper"] >= 0)).mean(),
        "nothing_trusted": out.response.loc[out.response["action"] == NOTHING, "trusted"].mean(),
    }
    return out, scores.pop("") | {"alternatives": scores}


def simulated(seed: int) -> AnnData:
    """RNA of a simulated experiment."""
    mdata = scvcell.datasets.simulate_actions(2000, pairs=False, escape=ESCAPE, effect=1.5, seed=seed)
    return mdata["rna"].copy()


def groups(adata: AnnData, response: pd.DataFrame) -> dict[int, np.ndarray]:
    """Row of the response table -> its cells; without nothing."""
    action = adata.obs["action"].to_numpy()
    place = adata.obs["cell_type"].astype(str).to_numpy() if "cell_type" in adata.obs else np.full(len(action), "all")
    return {
        i: np.flatnonzero((action == row["action"]) & (place == row["group"]))
        for i, row in response.iterrows()
        if row["action"] != NOTHING
    }


def discriminant(adata: AnnData, task: Task, probability: np.ndarray) -> np.ndarray:
    """Score treated cells along the difference from their controls; above one half as many as by `probability`."""
    action = adata.obs["action"].to_numpy()
    place = adata.obs["cell_type"].astype(str).to_numpy() if task.perturbation.contexts else np.full(len(action), "all")
    x = PCA(COMPONENTS, random_state=0).fit_transform(log_cp10k(dense(adata.X)))
    out = np.full(len(action), np.nan)
    for context in np.unique(place):
        shape = LedoitWolf().fit(x[(place == context) & (action == CONTROL)])
        for name in set(action) - {CONTROL, NOTHING}:
            cells = np.flatnonzero((place == context) & (action == name))
            along = x[cells] @ shape.precision_ @ (x[cells].mean(0) - shape.location_)
            rank = along.argsort().argsort()
            called = (probability[cells] > 0.5).sum()
            out[cells] = (rank + 0.5 - (len(cells) - called)) / (2 * len(cells)) + 0.5
    return out


def with_truth(adata: AnnData, probability: np.ndarray, response: pd.DataFrame, genes: np.ndarray) -> dict[str, float]:
    """Against the known strengths, condition by condition."""
    responded = adata.obs["strength"].to_numpy() > 0
    found = [roc_auc_score(responded[cells], probability[cells]) for cells in groups(adata, response).values()]
    return {"auc": float(np.mean(found))}


def shares(adata: AnnData, response: pd.DataFrame) -> dict[str, float]:
    """How far shares of responders are off, and how often the true one is in its interval."""
    responded, rows = adata.obs["strength"].to_numpy() > 0, groups(adata, response)
    true = np.array([responded[cells].mean() for cells in rows.values()])
    here = response.loc[list(rows)]
    return {
        "share_error": float((here["share"] - true).abs().mean()),
        "share_inside": float(((here["share_lower"] <= true) & (true <= here["share_upper"])).mean()),
    }


def on_other_genes(
    adata: AnnData, probability: np.ndarray, response: pd.DataFrame, genes: np.ndarray
) -> dict[str, float]:
    """Effect of called cells and of the others along the mean effect, on genes that were hidden."""
    x = log_cp10k(dense(adata.X))[:, ~genes]
    one, two = np.array_split(np.flatnonzero(adata.obs["action"].to_numpy() == CONTROL), 2)
    rows = []
    for i, cells in groups(adata, response).items():
        called = probability[cells] > 0.5
        if not response.loc[i, "trusted"] or min(called.sum(), (~called).sum()) < FEWEST:
            continue
        mean = x[cells].mean(0) - x[one].mean(0)
        effects = [slope(x[cells[some]].mean(0) - x[two].mean(0), mean) for some in (called, ~called)]
        rows.append(dict(zip(("called", "others"), effects, strict=True)))
    return pd.DataFrame(rows).mean().to_dict() | {"conditions": len(rows)}

"""Table *mosaic*: PBMC in four batches (RNA only, ADT only, twice both), the pairing of p4 hidden.

p4's cells become two cells each, one with RNA and one with ADT, under unrelated names and in different orders. No
method sees `celltype`, p4's pairing, or (for prediction) p4's ADT of the cell in question. Scored: finding the
pairing, predicting p4's ADT from its RNA, transferring labels from p2 (ADT) to p1 (RNA), and purity of labels among
neighbours of the p3 pairs (the only thing a method for fully paired cells can be scored on).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mudata
import numpy as np
import pandas as pd

from benchmarks.task import Task
from scvcell.score import (
    clr,
    correlation,
    dense,
    label_scores,
    match_scores,
    nearest,
    prediction_scores,
    vote,
)

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.task import Output

FILES = {"": "pbmc_mosaic/pbmc_mosaic.h5mu"}
CASES = ("",)
SEEDS = (0, 1, 2, 3, 4)
REFERENCE = "multivi"
METHODS = ("mean", "pca_ridge", "pca_knn", "cca", "cca_tuned", "wnn", "multivi", "totalvi", "univi", "scvcell")
COLUMNS = {
    "foscttm": "FOSCTTM",
    "foscttm_cosine": "FOSCTTM (cosine)",
    "top1": "top-1",
    "top1_cosine": "top-1 (cosine)",
    "pearson": "p4 ADT Pearson",
    "rmse": "p4 ADT RMSE",
    "accuracy_k5": "transfer acc. k=5",
    "macro_f1_k5": "transfer F1 k=5",
    "accuracy_k15": "transfer acc. k=15",
    "macro_f1_k15": "transfer F1 k=15",
    "purity": "p3 purity",
}
SPLIT_SEED = 0
GRID = {"n_pcs": (20, 30, 50), "scaled": (True, False), "k": (5, 10, 15, 20, 30, 50), "match": (True,)}


def task(data: Path, case: str, epochs: int | None) -> tuple[Task, dict[str, Any]]:
    """Hide p4's pairing. Returns the task and the truth, which only `score` may see."""
    full = mudata.read_h5mu(data / FILES[case])
    rng = np.random.default_rng(SPLIT_SEED)
    rna, adt = full.mod["rna"].copy(), full.mod["adt"].copy()
    hidden = rna.obs_names[(rna.obs["batch"] == "p4_0").to_numpy()]
    new_rna, new_adt = (
        dict(zip(hidden, [f"p4_{kind}_{i}" for i in rng.permutation(len(hidden))], strict=True)) for kind in "ab"
    )
    truth = {
        "rna": pd.Index([new_rna[c] for c in hidden]),
        "adt": pd.Index([new_adt[c] for c in hidden]),
        "clr": pd.DataFrame(clr(dense(adt[hidden].X)), index=[new_rna[c] for c in hidden], columns=adt.var_names),
        "labels": {
            "rna": rna.obs["celltype"].astype(str).rename(new_rna),
            "adt": adt.obs["celltype"].astype(str).rename(new_adt),
        },
    }
    mods = {}
    for name, a, new in (("rna", rna, new_rna), ("adt", adt, new_adt)):
        a.obs_names = [new.get(c, c) for c in a.obs_names]
        a.obs = a.obs[["batch"]].astype(str)
        order = np.argsort([f"{b}{c}" for b, c in zip(a.obs["batch"], a.obs_names, strict=True)], kind="stable")
        mods[name] = a[order].copy()
    mdata = mudata.MuData(mods)
    batch = pd.concat([mods["rna"].obs["batch"], mods["adt"].obs["batch"]])
    mdata.obs["batch"] = batch[~batch.index.duplicated()].reindex(mdata.obs_names)
    return (
        Task(
            mdata=mdata,
            source="rna",
            target="adt",
            query=truth["rna"].sort_values(),
            observed_batch="p3_0",
            scale="clr",
            grid=GRID,
            epochs=epochs,
        ),
        truth,
    )


def score(task: Task, truth: dict[str, Any], out: Output) -> dict[str, Any]:
    """Everything this output allows to be scored."""
    scores: dict[str, Any] = {}
    if {"rna", "adt"} <= set(out.embedding):
        scores |= _matching(truth, out) | _transfer(task, truth, out)
    if out.prediction is not None:
        true = truth["clr"].loc[task.query, task.features].to_numpy()
        predicted = {k: f.loc[task.query, task.features].to_numpy() for k, f in out.alternatives.items()}
        scores["alternatives"] = {name: prediction_scores(values, true) for name, values in predicted.items()}
        main = out.prediction.loc[task.query, task.features].to_numpy()
        scores |= prediction_scores(main, true)
        r = correlation(main, true, constant="truth")
        scores["per_protein_pearson"] = dict(zip(task.features, np.round(r, 4).tolist(), strict=True))
    return scores | _purity(task, truth, out)


def _matching(truth: dict[str, Any], out: Output) -> dict[str, float]:
    """FOSCTTM and top-1 recall of the hidden pairs."""
    a, b = (out.embedding[m].loc[truth[m]].to_numpy() for m in ("rna", "adt"))
    scores = match_scores(a, b)
    return scores | {f"{k}_cosine": v for k, v in match_scores(a, b, "cosine").items()}


def _transfer(task: Task, truth: dict[str, Any], out: Output) -> dict[str, float]:
    """Labels of p2 (ADT only) given to p1 (RNA only) by their nearest neighbours."""
    query = task.names("rna")[task.batch("rna") == "p1_0"]
    reference = task.names("adt")[task.batch("adt") == "p2_0"]
    labels = truth["labels"]["adt"].loc[reference].to_numpy()
    found = nearest(out.embedding["rna"].loc[query].to_numpy(), out.embedding["adt"].loc[reference].to_numpy(), 15)
    scores = {}
    for k in (5, 15):
        result = label_scores(vote(found[:, :k], labels), truth["labels"]["rna"].loc[query].to_numpy())
        scores |= {f"{key}_k{k}": value for key, value in result.items()}
    return scores


def _purity(task: Task, truth: dict[str, Any], out: Output, k: int = 15) -> dict[str, float]:
    """Accuracy of a leave-one-out vote over the k nearest p3 pairs, from joint states or from a given graph."""
    labels = truth["labels"]["rna"].loc[task.paired].to_numpy()
    if out.neighbours is not None:
        names = out.neighbours.loc[task.paired].to_numpy()[:, :k]
        found = task.paired.get_indexer(names.ravel()).reshape(names.shape)
    elif out.joint is not None:
        x = out.joint.loc[task.paired].to_numpy()
        found = nearest(x, x, k, exclude_self=True)
    else:
        return {}
    return {"purity": label_scores(vote(found, labels), labels)["accuracy"]}

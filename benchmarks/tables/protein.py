"""Table *protein*: predict surface proteins from RNA (10x PBMC CITE-seq, 4,000 genes, 14 proteins).

Case ``half``: of the 6,855 cells of pbmc10k, the first half of ``numpy.random.default_rng(0).permutation`` has its
proteins hidden; the split never changes, seeds are the methods'. Case ``pbmc5k``: all pairs of pbmc10k are seen and
the proteins of the 3,994 cells of pbmc5k predicted; true values are not in the data, so what is scored is the
correlation of the predicted protein with the expression of its own gene in the same cell (not smoothed). The labels in
the file are gated on ADT and no method sees them. RMSLE is the mean over proteins of each protein's root mean squared
error of log1p; the same over all entries at once is a little larger and stands beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mudata
import numpy as np
import pandas as pd

from benchmarks.task import Task
from scvcell.score import correlation, coverage, dense, interval_scores, log_counts, log_cp10k, prediction_scores

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.task import Output

CASES = ("half", "pbmc5k")
FILES = dict.fromkeys(CASES, "pbmc_citeseq_10k5k/pbmc_citeseq_10k5k.h5mu")
SEEDS = (0, 1, 2)
REFERENCE = "totalvi"
METHODS = ("mean", "pca_knn", "pca_ridge", "univi", "multivi", "totalvi", "scvcell")
COLUMNS = {
    "pearson": "Pearson (log1p)",
    "rmse_per_feature": "RMSLE",
    "rmse": "RMSLE (all entries)",
    "coverage": "90 % coverage",
    "coverage_worst": "worst protein",
    "relative_width": "relative width",
    "concordance": "marker concordance",
}
SKIP = {("mean", "pbmc5k"): "a constant has no correlation with a gene"}
GRID = {"n_pcs": (50,), "scaled": (False,), "k": (30,)}
MARKERS = {
    "CD3": ("CD3D", "CD3E", "CD3G"),
    "CD4": ("CD4",),
    "CD8a": ("CD8A",),
    "CD14": ("CD14",),
    "CD15": ("FUT4",),
    "CD16": ("FCGR3A",),
    "CD56": ("NCAM1",),
    "CD19": ("CD19",),
    "CD25": ("IL2RA",),
    "PD-1": ("PDCD1",),
    "TIGIT": ("TIGIT",),
    "CD127": ("IL7R",),
}


def task(data: Path, case: str, epochs: int | None) -> tuple[Task, dict[str, Any]]:
    """Take the hidden proteins out. Returns the task and the truth, which only the scorer may see."""
    full = mudata.read_h5mu(data / FILES[case])
    rna, prot = full.mod["rna"], full.mod["prot"]
    if case == "half":
        rna = rna[prot.obs_names]
        order = np.random.default_rng(0).permutation(prot.n_obs)
        hidden, seen = order[: prot.n_obs // 2], np.sort(order[prot.n_obs // 2 :])
        query, visible = prot.obs_names[np.sort(hidden)], prot[seen]
        truth = {
            "log1p": pd.DataFrame(log_counts(dense(prot[query].X)), index=query, columns=prot.var_names),
            "curve": [],
        }
    else:
        query, visible = rna.obs_names[(rna.obs["batch"] == "pbmc5k").to_numpy()], prot
        truth = {"genes": marker_expression(rna[query]), "ceiling": ceiling(rna[prot.obs_names], prot)}
    mods = {"rna": rna.copy(), "prot": visible.copy()}
    for a in mods.values():
        a.obs = a.obs[["batch"]].astype(str)
    mdata = mudata.MuData(mods)
    mdata.obs["batch"] = mods["rna"].obs["batch"].reindex(mdata.obs_names)
    return (
        Task(
            mdata=mdata,
            source="rna",
            target="prot",
            query=query,
            observed_batch="pbmc10k",
            scale="log1p",
            grid=GRID,
            epochs=epochs,
            monitor=_monitor(truth) if case == "half" else None,
        ),
        truth,
    )


def _monitor(truth: dict[str, Any]) -> Callable[[pd.DataFrame, dict[str, float]], None]:
    """Record held-out scores against seconds of training; returns nothing to the method."""

    def monitor(prediction: pd.DataFrame, spent: dict[str, float]) -> None:
        true = truth["log1p"]
        scores = prediction_scores(prediction.loc[true.index, true.columns].to_numpy(), true.to_numpy())
        truth["curve"].append({**{k: round(v, 2) for k, v in spent.items()}, **scores})

    return monitor


def score(task: Task, truth: dict[str, Any], out: Output) -> dict[str, Any]:
    """Log-scale accuracy and coverage for the hidden half, marker concordance for the second batch."""
    frames = {"": out.prediction, **out.alternatives}
    if "genes" in truth:
        found = {name: concordance(frame, truth["genes"]) for name, frame in frames.items()}
        return {
            "concordance": found[""]["mean"],
            "per_protein_concordance": found[""],
            "ceiling": truth["ceiling"],
            "alternatives": {k: {"concordance": v["mean"]} for k, v in found.items() if k},
        }
    true = truth["log1p"].loc[task.query, task.features].to_numpy()
    values = {name: frame.loc[task.query, task.features].to_numpy() for name, frame in frames.items()}
    scores: dict[str, Any] = prediction_scores(values[""], true)
    scores["alternatives"] = {k: prediction_scores(v, true) for k, v in values.items() if k}
    r = correlation(values[""], true, constant="truth")
    scores["per_protein_pearson"] = dict(zip(task.features, np.round(r, 4).tolist(), strict=True))
    if out.lower is not None and out.upper is not None:
        bounds = [np.log1p(f.loc[task.query, task.features].to_numpy()) for f in (out.lower, out.upper)]
        scores |= interval_scores(true, *bounds, task.level)
        held = np.round(coverage(true, *bounds), 4)
        scores["per_protein_coverage"] = dict(zip(task.features, held.tolist(), strict=True))
    if truth["curve"]:
        scores["curve"] = truth["curve"]
    return scores


def marker_expression(rna: Any) -> pd.DataFrame:
    """Log-normalised expression of each protein's own gene (mean over its genes in the data), cell by cell."""
    values = pd.DataFrame(log_cp10k(dense(rna.X)), index=rna.obs_names, columns=rna.var_names)
    genes = {protein: [g for g in names if g in values] for protein, names in MARKERS.items()}
    return pd.DataFrame({protein: values[names].mean(axis=1) for protein, names in genes.items() if names})


def concordance(predicted: pd.DataFrame, genes: pd.DataFrame) -> dict[str, float]:
    """Pearson correlation across cells of log1p protein and its own gene, per protein and mean."""
    shared = [p for p in genes if p in predicted and genes[p].std() > 0]
    r = correlation(predicted.loc[genes.index, shared].to_numpy(), genes[shared].to_numpy(), constant="truth")
    return {**dict(zip(shared, np.round(r, 4).tolist(), strict=True)), "mean": float(np.mean(r))}


def ceiling(rna: Any, prot: Any) -> dict[str, float]:
    """The same concordance of measured proteins, in the batch where they were measured."""
    measured = pd.DataFrame(log_counts(dense(prot.X)), index=prot.obs_names, columns=prot.var_names)
    return concordance(measured, marker_expression(rna))


def notes(records: list[dict[str, Any]], out: Path) -> list[str]:
    """Lines under the table."""
    found = [r["scores"]["ceiling"]["mean"] for r in records if "ceiling" in r.get("scores", {})]
    if not found:
        return []
    return [
        f"Marker concordance of the *measured* proteins with their genes (pbmc10k): {found[0]:.3f}. It is no upper "
        "bound: a measured protein carries noise of its own, a prediction has seen the gene."
    ]

"""Table *imputation*: genes that a panel lacks, hidden from a panel that has them.

A tenth of the genes of a section is hidden at a time, and predicted for its cells from the other nine and from
reference cells with all genes: the other two sections (*starmap*: mouse cortex, 166 genes, one case per section), or
the left half for the right one (*xenium*: breast tumour, 313 genes). Three of ten folds of genes, the same for all
methods; all ten in the cases *all*. Scored by Pearson's correlation over cells, mean of all hidden genes, of log1p
counts (*raw*) and of log1p counts per count of the visible panel (*depth-free*): a method that multiplies by the
cell's depth gains on the first, and nothing on the second. Intervals are for raw counts. Settings were chosen on one
section of the reference (or a quarter of the tissue) predicted from another, with other folds of genes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anndata
import mudata
import numpy as np
import pandas as pd
import scipy.sparse as sp

from benchmarks.task import Output, Task
from scvcell.score import correlation, coverage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STARMAP, XENIUM = "starmap_mpfc/starmap_mpfc.h5ad", "breast_xenium_visium/xenium.h5ad"
SECTIONS = ("starmap1", "starmap2", "starmap3", "xenium")
CASES = (*SECTIONS, *(f"{case}_all" for case in SECTIONS))
FILES = {case: XENIUM if case.startswith("xenium") else STARMAP for case in CASES}
SEEDS = (0, 1, 2)
METHODS = ("panel_baselines", "tangram", "gimvi", "envi", "tissue_sc", "scvcell")
REFERENCE = "panel_baselines"
RATIO = "cpu_seconds"
COLUMNS = {
    "raw": "r, raw",
    "free": "r, depth-free",
    "coverage": "90 % cover",
    "coverage_decile": "cover, worst decile of genes",
    "width": "width, log1p",
    "trusted": "trusted genes",
    "raw_trusted": "r of trusted, raw",
    "raw_rest": "r of the others, raw",
}
N_FOLDS, FOLDS = 10, (0, 3, 6)


def task(data: Path, case: str, epochs: int | None) -> tuple[Task, dict[str, Any]]:
    """Reference and tissue with all genes; `evaluate` hides those of a fold from the tissue."""
    full = anndata.read_h5ad(data / FILES[case])
    if case.startswith("starmap"):
        section = full.obs["section"].astype(str).to_numpy()
        target = section == sorted(set(section))[int(case.removesuffix("_all")[-1]) - 1]
    else:
        target = full.obsm["spatial"][:, 0] >= np.median(full.obsm["spatial"][:, 0])
    tables = {}
    for name, cells in (("rna", ~target), ("tissue", target)):
        obs = pd.DataFrame({"batch": name}, index=full.obs_names[cells])
        x = sp.csr_matrix(full.X)[np.flatnonzero(cells)].astype(np.float32)
        tables[name] = anndata.AnnData(x, obs=obs, var=full.var[[]].copy())
        tables[name].obsm["spatial"] = full.obsm["spatial"][cells]
    fold = np.random.default_rng(0).permutation(full.n_vars) % N_FOLDS
    mdata = mudata.MuData(tables)
    return Task(mdata=mdata, source="rna", target="hidden", epochs=epochs), {
        "hidden": [fold == number for number in (range(N_FOLDS) if case.endswith("_all") else FOLDS)]
    }


def evaluate(
    run: Callable[[Task, int], Output], task: Task, truth: dict[str, Any], seed: int
) -> tuple[Output, dict[str, Any]]:
    """Every fold of genes in turn; genes of all folds are scored together."""
    total, parts = Output(fit_seconds=0.0, fit_cpu_seconds=0.0), []
    for hidden in truth["hidden"]:
        tissue = task.mdata["tissue"]
        seen = tissue[:, ~hidden].copy()
        mdata = mudata.MuData({"rna": task.mdata["rna"].copy(), "tissue": seen})
        out = run(Task(mdata=mdata, source="rna", target="hidden", epochs=task.epochs), seed)
        total.fit_seconds += out.fit_seconds
        total.fit_cpu_seconds += out.fit_cpu_seconds
        total.epochs = out.epochs
        total.notes.setdefault("folds", []).append(out.notes)
        parts.append(score(tissue[:, hidden], depth(seen), out))
    names = parts[0]
    scores = {name: _joined([part[name] for part in parts]) for name in names}
    return total, scores.pop("") | {"alternatives": scores}


def depth(tissue: anndata.AnnData) -> np.ndarray:
    """Counts of each cell over the visible panel, at least 1, ``(cells, 1)``."""
    return np.maximum(np.asarray(tissue.X.sum(1)), 1)


def score(true: anndata.AnnData, deep: np.ndarray, out: Output) -> dict[str, dict[str, np.ndarray]]:
    """By variant, values of each hidden gene."""
    counts = true.X.toarray()
    raw, free = np.log1p(counts), np.log1p(counts / deep * np.median(deep))
    scores = {}
    for name, (own, rates) in out.imputation.items():
        own, rates = (frame.loc[true.obs_names, true.var_names].to_numpy(float) for frame in (own, rates))
        scores[name] = {
            "raw": correlation(own, raw, constant="truth"),
            "free": correlation(rates, free, constant="truth"),
        }
    for name, (low, high) in out.intervals.items():
        low, high = (frame.loc[true.obs_names, true.var_names].to_numpy(float) for frame in (low, high))
        scores.setdefault(name, {})["covered"] = coverage(raw, low - 1e-4, high + 1e-4)
        scores[name]["width"] = (high - low).mean(0)
    if out.trusted_features is not None:
        scores[""]["trusted"] = out.trusted_features.loc[true.var_names].to_numpy(float)
    return scores


def _joined(parts: list[dict[str, np.ndarray]]) -> dict[str, float]:
    """Scores of all genes of all folds."""
    each = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    scores = {key: float(np.nanmean(each[key])) for key in ("raw", "free", "width", "trusted") if key in each}
    if "covered" in each:
        scores |= {
            "coverage": float(each["covered"].mean()),
            "coverage_decile": float(np.quantile(each["covered"], 0.1)),
        }
    if "trusted" in each:
        trusted = each["trusted"] > 0
        scores["raw_trusted"] = float(np.nanmean(each["raw"][trusted])) if trusted.any() else float("nan")
        scores["raw_rest"] = float(np.nanmean(each["raw"][~trusted])) if (~trusted).any() else float("nan")
    return scores

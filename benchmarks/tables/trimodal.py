"""Table *trimodal*: RNA, proteins and a third assay, each in different cells, no cell with all three.

The 6,855 cells of pbmc10k (10x CITE-seq): every other gene is the RNA; the remaining genes' counts, thinned to one in
four, stand in for chromatin, since no set with all three assays is at hand, and are measured by the ``atac`` operator.
A quarter of the cells has RNA and proteins, a quarter RNA and chromatin, a fifth RNA alone, 15 % proteins alone, 15 %
chromatin alone. Case ``rna_to_atac``: the chromatin of the cells with RNA alone; ``adt_to_rna``: the RNA of the cells
with proteins alone; ``adt_to_atac``: their chromatin, which no cell was measured with. Which cells have what never
changes; seeds are the methods'. Most entries of sparse counts are zero, so an interval covers them whatever its level.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mudata
import numpy as np
import pandas as pd
import scipy.sparse as sp

from benchmarks.task import Task
from scvcell.score import dense, inside, interval_scores, log_counts, prediction_scores

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.task import Output

CASES = ("rna_to_atac", "adt_to_rna", "adt_to_atac")
FILES = dict.fromkeys(CASES, "pbmc_citeseq_10k5k/pbmc_citeseq_10k5k.h5mu")
SEEDS = (0, 1, 2)
REFERENCE = "pca_knn"
METHODS = ("mean", "pca_knn", "pca_ridge", "scvcell")
SKIP = {(method, "adt_to_atac"): "no cell has both assays" for method in ("mean", "pca_knn", "pca_ridge")}
COLUMNS = {
    "pearson": "Pearson (log1p)",
    "rmse": "RMSLE (all entries)",
    "coverage": "90 % coverage",
    "coverage_frequent": "coverage, features in half of the cells",
}
GRID = {"n_pcs": (50,), "scaled": (False,), "k": (30,)}
THINNING = 0.25
SHARES = {"rna+adt": 0.25, "rna+atac": 0.25, "rna": 0.2, "adt": 0.15, "atac": 0.15}
FREQUENT = 0.5


def task(data: Path, case: str, epochs: int | None) -> tuple[Task, dict[str, Any]]:
    """Give every cell its assays. Returns the task and the truth, which only `score` may see."""
    full = mudata.read_h5mu(data / FILES[case])
    prot = full.mod["prot"]
    genes = full.mod["rna"][prot.obs_names].copy()
    rng = np.random.default_rng(0)
    even, odd = (np.arange(first, genes.n_vars, 2) for first in (0, 1))
    whole = {"rna": genes[:, even].copy(), "adt": prot.copy(), "atac": genes[:, odd].copy()}
    counts = sp.csr_matrix(whole["atac"].X)
    counts.data = rng.binomial(counts.data.astype(int), THINNING).astype(np.float32)
    counts.eliminate_zeros()
    whole["atac"].X = counts
    kind = rng.choice(list(SHARES), len(prot), p=list(SHARES.values()))
    source, target = case.split("_to_")
    query = prot.obs_names[kind == source]
    mods = {}
    for name, a in whole.items():
        a.obs = pd.DataFrame({"batch": "pbmc10k"}, index=a.obs_names)
        mods[name] = a[[name in k.split("+") for k in kind]].copy()
        mods[name] = mods[name][:, np.asarray((mods[name].X > 0).sum(0)).ravel() > 0].copy()
    truth = whole[target][query, mods[target].var_names]
    mdata = mudata.MuData(mods)
    mdata.obs["batch"] = "pbmc10k"
    values = pd.DataFrame(log_counts(dense(truth.X)), index=query, columns=truth.var_names)
    return Task(mdata=mdata, source=source, target=target, query=query, grid=GRID, epochs=epochs), {"log1p": values}


def score(task: Task, truth: dict[str, Any], out: Output) -> dict[str, Any]:
    """Accuracy on the log scale; coverage of all features, and of those that half of the cells have."""
    true = truth["log1p"].loc[task.query, task.features].to_numpy()
    scores: dict[str, Any] = prediction_scores(out.prediction.loc[task.query, task.features].to_numpy(), true)
    if out.lower is not None and out.upper is not None:
        lower, upper = (np.log1p(f.loc[task.query, task.features].to_numpy()) for f in (out.lower, out.upper))
        scores |= interval_scores(true, lower, upper, task.level)
        often = (true > 0).mean(0) >= FREQUENT
        scores["coverage_frequent"] = float(inside(true, lower, upper)[:, often].mean())
        scores["frequent"] = int(often.sum())
    return scores

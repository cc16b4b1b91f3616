"""Table *project*: do sums of cells of one platform say what spots of another one measured?

Xenium cells of a breast tumour are projected to the Visium spots of a neighbouring section (307 genes, 709 spots,
registered). Five blocks of spots (k-means of places, others for each seed) are asked about in turn: a method sees the
counts of the other blocks, the places of all spots, and the depth of those it is asked about. Deviance is that of a
negative binomial of one inverse dispersion for all methods. Pearson: mean over genes of the correlation over spots,
of logarithms at one depth, and beside it with each spot's own depth, which most methods are given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anndata
import mudata
import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from sklearn.cluster import KMeans

from benchmarks.task import Output, Task
from scvcell.objective import nb_deviance
from scvcell.score import correlation

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CASES = ("breast",)
FILES = {"breast": "breast_xenium_visium/visium.h5ad"}
SEEDS = (0, 1, 2)
METHODS = ("project_baselines", "scvcell")
REFERENCE = "project_baselines"
COLUMNS = {"deviance": "deviance", "pearson": "Pearson", "pearson_depth": "Pearson with depth"}
N_BLOCKS = 5
DISPERSION = 10.0


def task(data: Path, case: str, epochs: int | None) -> tuple[Task, dict[str, Any]]:
    """All cells and spots; `evaluate` hides blocks of the spots."""
    folder = data / "breast_xenium_visium"
    cells, spots = (anndata.read_h5ad(folder / f"{name}.h5ad") for name in ("xenium", "visium"))
    shared = cells.var_names[cells.var_names.isin(spots.var_names)]
    tables = {}
    for name, full in (("rna", cells), ("spots", spots)):
        x = sp.csr_matrix(full[:, shared].X).astype(np.float32)
        tables[name] = anndata.AnnData(x, obs=pd.DataFrame(index=full.obs_names), var=pd.DataFrame(index=shared))
        tables[name].obsm["spatial"] = np.asarray(full.obsm["spatial"])
    return Task(mdata=mudata.MuData(tables), source="rna", target="spots", scale="project", epochs=epochs), {}


def evaluate(
    run: Callable[[Task, int], Output], task: Task, truth: dict[str, Any], seed: int
) -> tuple[Output, dict[str, Any]]:
    """Ask about every block once, and score all spots together."""
    cells, spots = task.mdata["rna"], task.mdata["spots"]
    block = KMeans(N_BLOCKS, n_init=5, random_state=seed).fit_predict(spots.obsm["spatial"])
    parts: dict[str, list[pd.DataFrame]] = {}
    whole = Output(fit_seconds=0.0, fit_cpu_seconds=0.0)
    for number in range(N_BLOCKS):
        asked = spots[block == number]
        places = anndata.AnnData(obs=pd.DataFrame({"depth": np.asarray(asked.X.sum(1)).ravel()}, index=asked.obs_names))
        places.obsm["spatial"] = asked.obsm["spatial"]
        mdata = mudata.MuData({"rna": cells, "spots": spots[block != number].copy(), "places": places})
        out = run(Task(mdata=mdata, source="rna", target="spots", query=asked.obs_names, scale="project"), seed)
        for name, frame in {"": out.prediction, **out.alternatives}.items():
            parts.setdefault(name, []).append(frame)
        whole.fit_seconds += out.fit_seconds
        whole.fit_cpu_seconds += out.fit_cpu_seconds
        whole.notes[f"block {number}"] = out.notes
    true = spots.to_df()
    scores = {
        name: _scores(pd.concat(frames).loc[true.index, true.columns].to_numpy(), true.to_numpy(dtype=float))
        for name, frames in parts.items()
    }
    return whole, scores.pop("") | {"alternatives": scores}


def _scores(expected: np.ndarray, true: np.ndarray) -> dict[str, float]:
    depth = true.sum(1, keepdims=True)
    theta = torch.full((true.shape[1],), DISPERSION, dtype=torch.float64)
    x, mu = (torch.from_numpy(np.ascontiguousarray(each, dtype=float)) for each in (true, expected))

    def logs(values: np.ndarray) -> np.ndarray:
        return np.log1p(values / np.maximum(values.sum(1, keepdims=True), 1e-12) * np.median(depth))

    return {
        "deviance": float(nb_deviance(x, mu, theta).mean()),
        "pearson": float(correlation(logs(expected), logs(true)).mean()),
        "pearson_depth": float(correlation(np.log1p(expected), np.log1p(true)).mean()),
    }

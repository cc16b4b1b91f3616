"""Table *deconvolution*: which cells do spots hold, where the cells of each spot are known.

Cells of a section are joined to spots of about 8 neighbours (k-means of their places), whose counts are summed. The
reference are cells of other sections (*starmap*: mouse cortex, 166 genes, 15 types, one case per section) or of the
other half (*xenium*: breast tumour, 313 genes, two halves with 3,000 reference cells each; its types are our own argmax
of marker genes). Scored on the shares of all types in all spots. Settings of the lift were chosen on sections of the
reference that were left out, after these targets had been looked at three times.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anndata
import mudata
import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.cluster import KMeans

from benchmarks.task import Task

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.task import Output

CASES = ("starmap1", "starmap2", "starmap3", "xenium1", "xenium2")
STARMAP, XENIUM = "starmap_mpfc/starmap_mpfc.h5ad", "breast_xenium_visium/xenium.h5ad"
FILES = {case: STARMAP if case.startswith("starmap") else XENIUM for case in CASES}
SEEDS = (0, 1, 2)
METHODS = ("mean_composition", "nnls", "nb_types", "flashdeconv", "scvcell")
REFERENCE = "nnls (root mean)"
COLUMNS = {
    "rmse": "RMSE",
    "js": "Jensen-Shannon",
    "coverage": "90 % cover",
    "coverage_present": "cover, type is there",
    "width": "width",
    "trusted": "trusted",
}
PER_SPOT = 8
REFERENCE_CELLS = 3000


def task(data: Path, case: str, epochs: int | None) -> tuple[Task, dict[str, Any]]:
    """Sum cells to spots. Returns the task and the truth, which only `score` may see."""
    full = anndata.read_h5ad(data / FILES[case])
    kind = full.obs["cell_type" if case.startswith("starmap") else "cell_type_marker"].astype(str).to_numpy()
    number = int(case[-1]) - 1
    rng = np.random.default_rng(0)
    if case.startswith("starmap"):
        part = full.obs["section"].astype(str).to_numpy()
        target = part == sorted(set(part))[number]
        known = np.flatnonzero(~target)
        group = part
    else:
        left = full.obsm["spatial"][:, 0] < np.median(full.obsm["spatial"][:, 0])
        target = left if number == 0 else ~left
        known = np.sort(rng.choice(np.flatnonzero(~target), REFERENCE_CELLS, replace=False))
        upper = full.obsm["spatial"][:, 1] < np.median(full.obsm["spatial"][:, 1])
        group = np.where(upper, "upper", "lower")
    cells = np.flatnonzero(target)
    spot = KMeans(len(cells) // PER_SPOT, n_init=1, random_state=0).fit_predict(full.obsm["spatial"][cells])
    names = pd.Index([f"spot{i:04d}" for i in range(spot.max() + 1)])
    member = sp.csr_matrix((np.ones(len(cells)), (spot, np.arange(len(cells)))))
    counts = sp.csr_matrix(member @ sp.csr_matrix(full.X)[cells]).astype(np.float32)
    spots = anndata.AnnData(counts, obs=pd.DataFrame({"batch": "spots"}, index=names), var=full.var[[]].copy())
    size = np.asarray(member.sum(1))
    spots.obsm["spatial"] = np.asarray(member @ full.obsm["spatial"][cells]) / size
    obs = pd.DataFrame({"batch": group[known], "kind": kind[known]}, index=full.obs_names[known])
    reference = anndata.AnnData(sp.csr_matrix(full.X)[known].astype(np.float32), obs=obs, var=full.var[[]].copy())
    kinds = pd.Index(sorted(set(kind[known])))
    shares = pd.crosstab(names[spot], kind[cells], normalize="index").reindex(index=names, columns=kinds).fillna(0)
    mdata = mudata.MuData({"rna": reference, "spots": spots})
    return Task(mdata=mdata, source="rna", target="spots", epochs=epochs), {"shares": shares}


def score(task: Task, truth: dict[str, Any], out: Output) -> dict[str, Any]:
    """Distance from the true shares, and how often intervals hold them."""
    true = truth["shares"]
    found = {"": out.composition, **out.alternatives}
    scores = {
        name: _distances(frame.loc[true.index, true.columns].to_numpy(), true.to_numpy())
        for name, frame in found.items()
    }
    if out.lower is not None:
        lower, upper = (frame.loc[true.index, true.columns].to_numpy() for frame in (out.lower, out.upper))
        inside = (true.to_numpy() >= lower - 1e-6) & (true.to_numpy() <= upper + 1e-6)
        scores[""] |= {
            "coverage": float(inside.mean()),
            "coverage_present": float(inside[true.to_numpy() > 0].mean()),
            "width": float((upper - lower).mean()),
            "trusted": float(out.notes["trusted"]),
        }
    return scores.pop("") | {"alternatives": scores}


def _distances(found: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Root mean squared error over all shares; mean Jensen-Shannon divergence of spots, in bits."""
    middle = (found + true) / 2

    def divergence(p: np.ndarray) -> np.ndarray:
        ratio = np.divide(p, middle, out=np.ones_like(p), where=p > 0)
        return (p * np.log2(ratio)).sum(1)

    return {
        "rmse": float(np.sqrt(((found - true) ** 2).mean())),
        "js": float(((divergence(found) + divergence(true)) / 2).mean()),
    }

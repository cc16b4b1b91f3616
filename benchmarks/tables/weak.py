"""Table *weak*: RNA and proteins of blood cells without a single pair, joined by features of one name alone.

pbmc_mosaic with the pairing of both paired batches hidden; 17 of its 500 genes have the name of one of its 224
proteins. Scored on all hidden pairs: finding the pairing, and labels carried either way by 15 nearest neighbours
(Euclidean). How the first matches are made was chosen with the pairing of these cells known (and with that of the
development pools of *chromatin*): see it as a demonstration rather than as a blind test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mudata
import numpy as np
import pandas as pd

from benchmarks.task import Task
from scvcell.score import label_scores, match_scores, nearest, vote

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.task import Output

CASES = ("",)
FILES = {"": "pbmc_mosaic/pbmc_mosaic.h5mu"}
SEEDS = (0, 1, 2)
METHODS = ("linked_features", "scvcell")
REFERENCE = "linked_features"
COLUMNS = {
    "foscttm": "FOSCTTM",
    "foscttm_cosine": "FOSCTTM (cosine)",
    "top1": "top-1",
    "rna_to_adt_accuracy": "RNA to ADT acc.",
    "rna_to_adt_macro_f1": "F1",
    "adt_to_rna_accuracy": "ADT to RNA acc.",
    "adt_to_rna_macro_f1": "F1",
}
NEIGHBOURS = 15


def task(data: Path, case: str, epochs: int | None) -> tuple[Task, dict[str, Any]]:
    """Hide every pairing. Returns the task and the truth, which only `score` may see."""
    full = mudata.read_h5mu(data / FILES[case])
    rng = np.random.default_rng(0)
    both = full["rna"].obs_names.intersection(full["adt"].obs_names)
    mods, truth = {}, {}
    for name, a in full.mod.items():
        new = dict(zip(both, [f"{name}_{i}" for i in rng.permutation(len(both))], strict=True))
        truth[name] = pd.Index([new[c] for c in both])
        truth["labels"] = a.obs.loc[both, "celltype"].astype(str).to_numpy()
        a.obs_names = [new.get(c, c) for c in a.obs_names]
        a.obs = a.obs[["batch"]].astype(str)
        mods[name] = a[np.argsort(a.obs_names)].copy()
    mdata = mudata.MuData(mods)
    batch = pd.concat([a.obs["batch"] for a in mods.values()])
    mdata.obs["batch"] = batch.reindex(mdata.obs_names)
    return Task(mdata=mdata, source="rna", target="adt", links="name", epochs=epochs), truth


def score(task: Task, truth: dict[str, Any], out: Output) -> dict[str, Any]:
    """Matching of the hidden pairs, and labels carried either way."""
    rna, adt = (out.embedding[m].loc[truth[m]].to_numpy() for m in ("rna", "adt"))
    scores: dict[str, Any] = match_scores(rna, adt)
    scores["foscttm_cosine"] = match_scores(rna, adt, "cosine")["foscttm"]
    for name, query, reference in (("rna_to_adt", adt, rna), ("adt_to_rna", rna, adt)):
        given = label_scores(vote(nearest(query, reference, NEIGHBOURS), truth["labels"]), truth["labels"])
        scores |= {f"{name}_{key}": value for key, value in given.items()}
    return scores

"""Table *chromatin*: RNA and open chromatin of mouse cortex (SNARE-seq), most or all of the pairing hidden.

9,190 cells in 12 pools, 1,677 genes and all 25,734 peaks. Case ``bridge20``: one cell in five keeps both assays, the
others become two cells each under unrelated names; ``bridge5``: one in twenty; ``bridge0``: none, and what is known of
the assays' relation are positions in the genome. Which cells keep both depends on the case, not on the seed. Every
cell is fitted; scored are hidden pairs of every second pool, whose scores were never used for a choice (those of the
other pools were). Type ``Mis``, a remainder class, is left out. Scored: finding the pairing (FOSCTTM), and
transferring labels by 15 nearest neighbours in either direction, in Euclidean and in cosine distance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mudata
import numpy as np
import pandas as pd

from benchmarks.metrics import label_scores, match_scores, nearest, vote
from benchmarks.task import Task

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.task import Output

_FILE = "snareseq_mouse_cortex/snareseq_mouse_cortex.h5mu"
SHARES = {"bridge0": 0.0, "bridge5": 0.05, "bridge20": 0.2}
CASES = tuple(SHARES)
FILES = dict.fromkeys(CASES, _FILE)
SEEDS = (0, 1, 2)
REFERENCE = "multivi"
METHODS = (
    "gene_activity",
    "lsi_ridge",
    "lsi_cca",
    "multivi",
    "scglue",
    "scvcell_no_graph",
    "scvcell_rewired",
    "scvcell",
)
_PAIRS = "it needs pairs"
_GRAPH = "the graph is used where there are no pairs"
SKIP = {
    ("lsi_ridge", "bridge0"): _PAIRS,
    ("lsi_cca", "bridge0"): _PAIRS,
    **{
        (method, case): _GRAPH
        for method in ("gene_activity", "scglue", "scvcell_no_graph", "scvcell_rewired")
        for case in ("bridge5", "bridge20")
    },
}
COLUMNS = {
    "foscttm": "FOSCTTM",
    "foscttm_cosine": "FOSCTTM (cosine)",
    "rna_to_atac_accuracy": "RNA to ATAC acc.",
    "rna_to_atac_macro_f1": "F1",
    "rna_to_atac_accuracy_cosine": "acc. (cosine)",
    "rna_to_atac_macro_f1_cosine": "F1 (cosine)",
    "atac_to_rna_accuracy": "ATAC to RNA acc.",
    "atac_to_rna_macro_f1": "F1",
    "atac_to_rna_accuracy_cosine": "acc. (cosine)",
    "atac_to_rna_macro_f1_cosine": "F1 (cosine)",
}
SPLIT_SEED = 0
NEIGHBOURS = 15


def task(data: Path, case: str, epochs: int | None) -> tuple[Task, dict[str, Any]]:
    """Hide the pairing of most cells. Returns the task and the truth, which only `score` may see."""
    full = mudata.read_h5mu(data / FILES[case])
    rng = np.random.default_rng(SPLIT_SEED)
    rna, atac = full.mod["rna"], full.mod["atac"]
    labels = rna.obs["cell_type"].astype(str)
    rna, atac = (a[(labels != "Mis").to_numpy()].copy() for a in (rna, atac))
    pool = rna.obs["batch"].astype(str).to_numpy()
    hidden = rng.random(rna.n_obs) >= SHARES[case]
    names = {
        m: np.where(hidden, [f"{m}_{i}" for i in rng.permutation(rna.n_obs)], rna.obs_names) for m in ("rna", "atac")
    }
    scored = hidden & np.isin(pool, np.unique(pool)[1::2])
    truth = {m: pd.Index(names[m][scored]) for m in names} | {
        "labels": labels[labels != "Mis"].to_numpy()[scored],
    }
    mods = {}
    for m, a in (("rna", rna), ("atac", atac)):
        a.obs_names, a.obs = names[m], pd.DataFrame({"batch": pool}, index=names[m])
        mods[m] = a[np.argsort(names[m])].copy()
    mdata = mudata.MuData(mods)
    batch = pd.concat([a.obs["batch"] for a in mods.values()])
    mdata.obs["batch"] = batch[~batch.index.duplicated()].reindex(mdata.obs_names)
    return Task(mdata=mdata, source="rna", target="atac", epochs=epochs), truth


def evaluate(run: Callable[[Task, int], Output], task: Task, truth: dict[str, Any], seed: int) -> tuple[Output, dict]:
    """Run a method once and score it."""
    out = run(task, seed)
    return out, score(truth, out)


def score(truth: dict[str, Any], out: Output) -> dict[str, Any]:
    """Matching of the hidden pairs, and labels carried from one assay to the other."""
    rna, atac = (out.embedding[m].loc[truth[m]].to_numpy() for m in ("rna", "atac"))
    labels, scores = truth["labels"], {}
    for metric, suffix in (("euclidean", ""), ("cosine", "_cosine")):
        found = match_scores(rna, atac, metric)
        scores[f"foscttm{suffix}"] = found["foscttm"]
        scores[f"top1{suffix}"] = found["top1"]
        a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) if suffix else x for x in (rna, atac))
        for name, query, reference in (("rna_to_atac", b, a), ("atac_to_rna", a, b)):
            given = label_scores(labels, vote(nearest(query, reference, NEIGHBOURS), labels))
            scores |= {f"{name}_{key}{suffix}": value for key, value in given.items()}
    return scores

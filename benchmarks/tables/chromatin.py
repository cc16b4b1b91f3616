"""Table *chromatin*: RNA and open chromatin of mouse cortex (SNARE-seq), most or all of the pairing hidden.

9,190 cells in 12 pools, 1,677 genes and all 25,734 peaks. Case ``bridge20``: one cell in five keeps both assays, the
others become two cells each under unrelated names; ``bridge5``: one in twenty; ``bridge0``: none, and what is known of
the assays' relation are positions in the genome. Which cells keep both depends on the case, not on the seed. Every
cell is fitted; scored are hidden pairs of every second pool, whose scores were never used for a choice (those of the
other pools were). Type ``Mis``, a remainder class, is left out. Scored: finding the pairing (FOSCTTM);
transferring labels by 15 nearest neighbours in either direction, in Euclidean and in cosine distance; and translating
800 cells in either direction, by a cell's own profile: AUROC of its open peaks, and Pearson correlation of its genes
(log1p of counts per ten thousand), each a mean over cells. A method is translated by the mean of the 30 cells of the
other assay nearest in its latent (cosine), whatever it is, and by its own decoder where it has one. The mean profile is
the floor: single cells are so sparse that it is hard to beat. (UniVI decodes means of logs of counts, not of counts;
that suits the score of genes, .557 before it has learned anything.) Cases ``canary20`` and ``canary0``: as ``bridge20``
and ``bridge0``, without the chromatin of astrocytes. *Canary*: share of the astrocytes' RNA that is matched with
confidence to a wrong type all the same, that is, whose label `scvcell.tl.transfer_labels` would trust
(`scvcell.risk.trusted`); *trusted*: the same share of the other types. The other columns are of these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mudata
import numpy as np
import pandas as pd
from sklearn.preprocessing import normalize

from benchmarks.task import Task
from scvcell.score import (
    auroc,
    correlation,
    dense,
    label_scores,
    log_cp10k,
    match_scores,
    nearest,
    trusted,
    vote,
)

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.task import Output

_FILE = "snareseq_mouse_cortex/snareseq_mouse_cortex.h5mu"
SHARES = {"bridge0": 0.0, "bridge5": 0.05, "bridge20": 0.2, "canary0": 0.0, "canary20": 0.2}
ABSENT = "Astro"
"""Type that the chromatin of the canary cases lacks."""
CASES = tuple(SHARES)
FILES = dict.fromkeys(CASES, _FILE)
SEEDS = (0, 1, 2)
REFERENCE = "multivi"
METHODS = (
    "gene_activity",
    "lsi_ridge",
    "lsi_cca",
    "univi",
    "scmomat",
    "multivi",
    "scglue",
    "diagvi",
    "scvcell",
)
_PAIRS = "it needs pairs"
_GRAPH, _BY_GRAPH = "the graph is used where there are no pairs", ("gene_activity", "scglue", "diagvi")
SKIP = {
    **{(m, case): _PAIRS for m in ("lsi_ridge", "lsi_cca", "univi") for case in ("bridge0", "canary0")},
    **{(m, case): _GRAPH for m in _BY_GRAPH for case in ("bridge5", "bridge20", "canary20")},
}
COLUMNS = {
    "canary": "canary",
    "trusted": "trusted",
    "canary_cosine": "canary (cosine)",
    "trusted_cosine": "trusted (cosine)",
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
    "atac_auroc": "RNA to ATAC AUROC (neighbours)",
    "atac_auroc_own": "(own decoder)",
    "rna_pearson": "ATAC to RNA Pearson (neighbours)",
    "rna_pearson_own": "(own decoder)",
}
SPLIT_SEED = 0
NEIGHBOURS = 15
TRANSLATED, AVERAGED = 800, 30


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
    labels = labels[labels != "Mis"].to_numpy()
    absent = (labels == ABSENT) & case.startswith("canary")
    scored = hidden & np.isin(pool, np.unique(pool)[1::2]) & ~absent
    chosen = np.sort(rng.choice(np.flatnonzero(scored), TRANSLATED, replace=False))
    truth = {m: pd.Index(names[m][scored]) for m in names} | {
        "labels": labels[scored],
        "absent": pd.Index(names["rna"][absent]),
        "query": {m: pd.Index(names[m][chosen]) for m in names},
        "counts": {m: dense(a.X[chosen]) for m, a in (("rna", rna), ("atac", atac))},
    }
    mods = {}
    for m, a in (("rna", rna), ("atac", atac)):
        a.obs_names, a.obs = names[m], pd.DataFrame({"batch": pool}, index=names[m])
        kept = np.flatnonzero(~absent) if m == "atac" else np.arange(len(labels))
        mods[m] = a[kept[np.argsort(names[m][kept])]].copy()
    mdata = mudata.MuData(mods)
    batch = pd.concat([a.obs["batch"] for a in mods.values()])
    mdata.obs["batch"] = batch[~batch.index.duplicated()].reindex(mdata.obs_names)
    query = {"query": truth["query"]["rna"], "reverse": truth["query"]["atac"]}
    return Task(mdata=mdata, source="rna", target="atac", epochs=epochs, **query), truth


def score(task: Task, truth: dict[str, Any], out: Output) -> dict[str, Any]:
    """Everything this output allows to be scored."""
    return matching_scores(truth, out) | translation_scores(task, truth, out)


def translation_scores(task: Task, truth: dict[str, Any], out: Output) -> dict[str, Any]:
    """Profiles of single cells predicted from the other assay, by neighbours in the latent and by the method itself."""
    scores: dict[str, Any] = {}
    found = {"": by_neighbours(task, truth, out), "_own": out.translation, "_mean": mean_profiles(task, truth)}
    for suffix, predicted in found.items():
        if "atac" in predicted:
            scores[f"atac_auroc{suffix}"] = auroc(predicted["atac"].to_numpy(), truth["counts"]["atac"] > 0)
        if "rna" in predicted:
            shares = predicted["rna"].to_numpy()
            scores[f"rna_pearson{suffix}"] = profile_pearson(truth["counts"]["rna"], shares)
    return scores


def by_neighbours(task: Task, truth: dict[str, Any], out: Output) -> dict[str, pd.DataFrame]:
    """Mean shares of the cells of the other assay that are nearest."""
    found = {}
    for target, source in (("atac", "rna"), ("rna", "atac")):
        names = truth["query"][source]
        query = normalize(out.embedding[source].loc[names].to_numpy())
        reference = normalize(out.embedding[target].loc[task.names(target)].to_numpy())
        shares = normalize(task.mdata.mod[target].X.astype(np.float32), norm="l1")
        mean = [np.asarray(shares[rows].mean(0)).ravel() for rows in nearest(query, reference, AVERAGED)]
        found[target] = pd.DataFrame(np.stack(mean), index=names)
    return found


def mean_profiles(task: Task, truth: dict[str, Any]) -> dict[str, pd.DataFrame]:
    """The same profile for every cell: what a translation has to beat."""
    n = len(truth["query"]["rna"])
    shares = {m: np.asarray(a.X.sum(0)).ravel() for m, a in task.mdata.mod.items()}
    return {m: pd.DataFrame(np.tile(x / x.sum(), (n, 1))) for m, x in shares.items()}


def profile_pearson(counts: np.ndarray, shares: np.ndarray) -> float:
    """Correlation over genes of log1p counts per ten thousand, mean over cells."""
    return float(np.mean(correlation(np.log1p(1e4 * shares).T, log_cp10k(counts).T, constant="truth")))


def notes(records: list[dict[str, Any]], out: Path) -> list[str]:
    """Lines under the table."""
    found = {k: {r["scores"][k] for r in records if k in r["scores"]} for k in ("atac_auroc_mean", "rna_pearson_mean")}
    if not all(found.values()):
        return []
    auc, r = (np.mean(list(values)) for values in found.values())
    return [f"The mean profile reaches an AUROC of {auc:.3f} and a Pearson correlation of {r:.3f}."]


def matching_scores(truth: dict[str, Any], out: Output) -> dict[str, Any]:
    """Matching of the hidden pairs, and labels carried from one assay to the other."""
    rna, atac = (out.embedding[m].loc[truth[m]].to_numpy() for m in ("rna", "atac"))
    labels, scores = truth["labels"], {}
    for metric, suffix in (("euclidean", ""), ("cosine", "_cosine")):
        found = match_scores(rna, atac, metric)
        scores[f"foscttm{suffix}"] = found["foscttm"]
        scores[f"top1{suffix}"] = found["top1"]
        scaled = normalize if suffix else np.asarray
        a, b = scaled(rna), scaled(atac)
        for name, query, reference in (("rna_to_atac", b, a), ("atac_to_rna", a, b)):
            given = label_scores(vote(nearest(query, reference, NEIGHBOURS), labels), labels)
            scores |= {f"{name}_{key}{suffix}": value for key, value in given.items()}
        if len(truth["absent"]):
            lonely = scaled(out.embedding["rna"].loc[truth["absent"]].to_numpy())
            found = trusted(np.concatenate([lonely, a]), b, labels)
            scores |= {
                f"canary{suffix}": float(found[: len(lonely)].mean()),
                f"trusted{suffix}": float(found[len(lonely) :].mean()),
            }
    return scores

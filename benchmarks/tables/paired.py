"""Table *paired*: every cell has both assays. Is the joint state worth more than its best assay alone?

Cases ``snare1200``, ``snare3000``, ``snare``: 1,200, 3,000 or all 9,000 cells of mouse cortex (SNARE-seq; RNA and all
25,734 peaks, or, ``_filtered``, those open in 8 or more of the cells), the commonest multiome and a sparse one; seeds
draw the cells. Case ``cite``: 6,855 PBMC with 4,000 genes and 14 proteins. Scored: share of cells whose type is that of
their 15 nearest neighbours, in the joint state and with each assay encoded alone by the same fit; what each assay adds
to the other, bits (scvcell); CPU seconds. Types of SNARE-seq are the authors', without ``Mis``, ``Peri`` and ``MGC``;
those of PBMC are gated on proteins, which favours proteins. No method sees labels. Of SNARE-seq the cells of every
second pool are scored; choices were made on the other pools' scores.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mudata
import numpy as np
import pandas as pd

from benchmarks.task import Task
from scvcell.score import label_scores, nearest, vote

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from anndata import AnnData

    from benchmarks.task import Output

_SNARE = "snareseq_mouse_cortex/snareseq_mouse_cortex.h5mu"
SIZES = {"snare1200": 1200, "snare3000": 3000, "snare": None}
FILTERED = "_filtered"
CASES = (*(f"{name}{kind}" for name in SIZES for kind in (FILTERED, "")), "cite")
FILES = dict.fromkeys(CASES, _SNARE) | {"cite": "pbmc_citeseq_10k5k/pbmc_citeseq_10k5k.h5mu"}
SEEDS = (0, 1, 2, 3, 4)
REFERENCE = "multivi"
METHODS = ("components", "wnn", "multivi", "totalvi", "scvcell_alone", "scvcell")
SKIP = {("totalvi", case): "it takes proteins" for case in CASES if case != "cite"}
COLUMNS = {
    "joint": "labels, both assays",
    "joint_macro_f1": "F1",
    "source": "labels, RNA only",
    "target": "labels, other assay only",
    "bits_source": "bits of RNA",
    "bits_target": "bits of the other",
}
LEFT_OUT = ("Mis", "Peri", "MGC")
FEWEST_CELLS = 8
NEIGHBOURS = 15


def task(data: Path, case: str, epochs: int | None) -> tuple[Task, dict[str, Any]]:
    """All paired cells, without labels. Returns the task and the truth, which only the scorer may see."""
    full = mudata.read_h5mu(data / FILES[case])
    if case == "cite":
        names = full.mod["prot"].obs_names
        mods, labels = {m: full.mod[m][names].copy() for m in ("rna", "prot")}, "cell_type_adt_gate"
    else:
        rna = full.mod["rna"]
        names = rna.obs_names[~rna.obs["cell_type"].isin(LEFT_OUT).to_numpy()]
        mods, labels = {m: full.mod[m][names].copy() for m in ("rna", "atac")}, "cell_type"
    source, target = mods
    obs = mods[source].obs
    truth = {"labels": obs[labels].astype(str), "case": case}
    mdata = _mudata({m: (a, obs["batch"].astype(str)) for m, a in mods.items()})
    return Task(mdata=mdata, source=source, target=target, epochs=epochs), truth


def _mudata(mods: dict[str, tuple[AnnData, pd.Series]]) -> mudata.MuData:
    for a, batch in mods.values():
        a.obs = pd.DataFrame({"batch": batch.to_numpy()}, index=a.obs_names)
    mdata = mudata.MuData({m: a for m, (a, _) in mods.items()})
    mdata.obs["batch"] = next(iter(mods.values()))[1].to_numpy()
    return mdata


def drawn(task: Task, case: str, seed: int) -> Task:
    """The cells and features of one seed."""
    size = SIZES.get(case.removesuffix(FILTERED))
    names = task.paired
    if size is not None:
        names = names[np.sort(np.random.default_rng(seed).choice(len(names), size, replace=False))]
    mods = {}
    for m, a in task.mdata.mod.items():
        part = a[names].copy()
        if m == "atac" and case.endswith(FILTERED):
            part = part[:, np.asarray((part.X > 0).sum(0)).ravel() >= FEWEST_CELLS].copy()
        mods[m] = (part, part.obs["batch"])
    return Task(mdata=_mudata(mods), source=task.source, target=task.target, epochs=task.epochs)


def evaluate(run: Callable[[Task, int], Output], task: Task, truth: dict[str, Any], seed: int) -> tuple[Output, dict]:
    """Run a method on the cells of a seed and score it."""
    task = drawn(task, truth["case"], seed)
    out = run(task, seed)
    return out, score(task, truth, out)


def score(task: Task, truth: dict[str, Any], out: Output) -> dict[str, Any]:
    """Labels by neighbours among the scored cells."""
    batch = task.batch(task.source)
    pools = np.unique(batch)
    names = task.paired[np.isin(batch, pools[1::2] if len(pools) > 1 else pools)]
    labels = truth["labels"].loc[names].to_numpy()
    places = {"joint": out.joint, "source": out.embedding.get(task.source), "target": out.embedding.get(task.target)}
    scores: dict[str, Any] = {}
    for name, place in places.items():
        if place is not None:
            z = place.loc[names].to_numpy()
            found = label_scores(vote(nearest(z, z, NEIGHBOURS, exclude_self=True), labels), labels)
            scores |= {name: found["accuracy"], f"{name}_macro_f1": found["macro_f1"]}
    if out.neighbours is not None:
        near = out.neighbours.loc[names].to_numpy()
        found = label_scores(vote_among(near, names, truth["labels"]), labels)
        scores |= {"joint": found["accuracy"], "joint_macro_f1": found["macro_f1"]}
    for side, m in (("source", task.source), ("target", task.target)):
        if f"bits_{m}" in out.notes:
            scores[f"bits_{side}"] = out.notes[f"bits_{m}"]
    return scores


def vote_among(near: np.ndarray, names: pd.Index, labels: pd.Series) -> np.ndarray:
    """Label by the neighbours of a graph that are scored cells; all of the graph's where none is."""
    inside = pd.Series(True, index=names).reindex(near.ravel(), fill_value=False).to_numpy().reshape(near.shape)
    out = []
    for row, kept in zip(near, inside, strict=True):
        votes = labels.loc[row[kept] if kept.any() else row].value_counts()
        out.append(sorted(votes.index[votes == votes.max()])[0])
    return np.array(out)

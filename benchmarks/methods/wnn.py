"""Weighted nearest neighbours of muon, for paired cells only: it crashes on a MuData whose cells lack an assay.

It gives neither a state for cells with one assay nor a prediction, so of all scores only the purity of the p3 pairs'
neighbours applies, and the table *protein* has nothing to score. Inputs as in muon's CITE-seq tutorial: PCA of
log-normalised RNA, PCA of the protein on the scored scale or LSI of chromatin, 15 neighbours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anndata
import mudata
import muon
import numpy as np
import pandas as pd
import scanpy as sc

from benchmarks.clock import Stopwatch
from benchmarks.features import components, pair_rows
from benchmarks.methods._lsi import atac_components, rna_components
from benchmarks.task import Output
from scvcell.score import log_cp10k

if TYPE_CHECKING:
    from benchmarks.task import Task

TABLES = ("mosaic", "paired")
K = 15


def run(task: Task, seed: int) -> Output:
    """Build the joint graph of the paired cells."""
    watch = Stopwatch()
    rows = dict(zip((task.source, task.target), pair_rows(task), strict=True))
    if task.target == "atac":
        places = {task.source: rna_components(task, 30, seed), task.target: atac_components(task, 30, seed)}
        places = {name: z[rows[name]] for name, z in places.items()}
    else:
        values = {task.source: log_cp10k(task.counts(task.source)), task.target: task.scaled_target()}
        places = {name: components(x[rows[name]], min(30, x.shape[1] - 1), seed) for name, x in values.items()}
    mods = {}
    for name, place in places.items():
        a = anndata.AnnData(place.astype(np.float32))
        a.obs_names = task.paired
        a.var_names = [f"{name}:{i}" for i in range(place.shape[1])]
        a.obsm["X_pca"] = place
        sc.pp.neighbors(a, n_neighbors=K, use_rep="X_pca", random_state=seed)
        mods[name] = a
    mdata = mudata.MuData(mods)
    muon.pp.neighbors(mdata, n_neighbors=K + 1, key_added="wnn", random_state=seed)
    distances = mdata.obsp["wnn_distances"].tocsr()
    names = []
    for i in range(distances.shape[0]):
        part = slice(distances.indptr[i], distances.indptr[i + 1])
        order = np.argsort(distances.data[part], kind="stable")
        found = [j for j in distances.indices[part][order] if j != i][:K]
        names.append(np.resize(mdata.obs_names[found].to_numpy(), K))
    graph = pd.DataFrame(np.stack(names), index=mdata.obs_names)
    return watch.stamp(Output(neighbours=graph))

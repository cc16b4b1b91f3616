"""GLUE (scglue) with its defaults: guidance graph from positions, NB decoders, PCA and LSI encoders; no pairs are used.

As in its tutorial: the 2,000 most variable genes and the peaks linked to them; RNA by 100 components of scaled
log counts, ATAC by 100 components of scglue's LSI; batches not given. Graph: `gene_activity`'s weights and self-loops.
Runs in an environment of its own (``--python``) with pandas below 3.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np
import pandas as pd
import scanpy as sc
import scglue
import scipy.sparse as sp
import torch

from benchmarks.clock import Stopwatch
from benchmarks.methods.gene_activity import gene_weights
from benchmarks.task import Output

if TYPE_CHECKING:
    from benchmarks.task import Task

TABLES = ("chromatin",)
COMPONENTS = 100
GENES = 2000
if not hasattr(sp.csr_array, "getnnz"):  # scanpy asks it of what scikit-learn returns; without it scglue ends midway
    sp.csr_array.getnnz = lambda self, axis=None: self._getnnz(axis)


def run(task: Task, seed: int) -> Output:
    """Fit on all cells, embed each assay."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    rna, atac = (task.mdata.mod[m].copy() for m in ("rna", "atac"))
    weights = gene_weights(task).tocsc()
    watch = Stopwatch()
    rna.layers["counts"] = rna.X.copy()
    sc.pp.highly_variable_genes(rna, n_top_genes=GENES, flavor="seurat_v3")
    atac.var["highly_variable"] = np.asarray(weights[:, rna.var["highly_variable"].to_numpy()].sum(1)).ravel() > 0
    sc.pp.normalize_total(rna)
    sc.pp.log1p(rna)
    sc.pp.scale(rna)
    sc.tl.pca(rna, n_comps=COMPONENTS, svd_solver="arpack", random_state=seed)
    scglue.data.lsi(atac, n_components=COMPONENTS, n_iter=15, random_state=seed)
    atac.layers["counts"] = atac.X.copy()
    graph, edges = nx.MultiDiGraph(), weights.tocoo()
    for name in [*rna.var_names, *atac.var_names]:
        graph.add_edge(name, name, key="loop", weight=1.0, sign=1)
    for peak, gene, weight in zip(edges.row, edges.col, edges.data, strict=True):
        a, b = rna.var_names[gene], atac.var_names[peak]
        graph.add_edge(a, b, key="fwd", weight=float(weight), sign=1)
        graph.add_edge(b, a, key="rev", weight=float(weight), sign=1)
    for a, rep in ((rna, "X_pca"), (atac, "X_lsi")):
        scglue.models.configure_dataset(a, "NB", use_highly_variable=True, use_layer="counts", use_rep=rep)
    fit = {"directory": os.environ.get("TMPDIR", "/tmp"), "max_epochs": task.epochs or scglue.utils.AUTO}
    used = [*rna.var_names[rna.var["highly_variable"]], *atac.var_names[atac.var["highly_variable"]]]
    graph = graph.subgraph(used)
    glue = scglue.models.fit_SCGLUE({"rna": rna, "atac": atac}, graph, fit_kws=fit, init_kws={"random_seed": seed})
    out = watch.stamp(Output())
    for name, a in (("rna", rna), ("atac", atac)):
        out.embedding[name] = pd.DataFrame(np.asarray(glue.encode_data(name, a)), index=a.obs_names)
    return out

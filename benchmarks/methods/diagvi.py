"""DIAGVI of scvi-tools 1.5.1 with its defaults; guidance graph from positions, no pairs are used.

50 dimensions, negative binomial counts of both assays, batches given to the decoders, up to 400 epochs with its early
stopping. Graph: a gene and every peak that `gene_activity` gives it a weight for, and self-loops; DIAGVI's encoder and
graph loss look at the edges only, not at their weights. As its authors have no recipe for chromatin, features are
those of GLUE's: all genes, being fewer than its 2,000 variable ones, and the peaks linked to them. Cells are embedded
at the posterior mean, not at a draw. Translated by its imputed values in the cell's own batch; a peak without a link
has its mean share.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from scipy import sparse
from scvi.external import DIAGVI
from torch_geometric.data import Data

from benchmarks.clock import Stopwatch
from benchmarks.methods._scvi import prepare
from benchmarks.methods.gene_activity import gene_weights
from benchmarks.task import Output

if TYPE_CHECKING:
    from benchmarks.task import Task

TABLES = ("chromatin",)


def run(task: Task, seed: int) -> Output:
    """Fit on all cells, embed each assay, decode the other."""
    prepare(seed)
    weights = gene_weights(task)
    watch = Stopwatch()
    linked = np.asarray(weights.sum(1)).ravel() > 0
    data = {"rna": task.mdata.mod["rna"].copy(), "atac": task.mdata.mod["atac"][:, linked].copy()}
    for a in data.values():
        a.X = sparse.csr_matrix(a.X, dtype=np.float32)
        DIAGVI.setup_anndata(a, batch_key="batch")
    model = DIAGVI(data, guidance_graph=guidance(weights[linked]))
    model.train(max_epochs=task.epochs, accelerator="cpu")
    out = watch.stamp(Output(epochs=len(model.history["validation_loss"])))
    for name, a in data.items():
        out.embedding[name] = pd.DataFrame(posterior_mean(model, name), index=a.obs_names)
    for target, source, names in (("atac", "rna", task.query), ("rna", "atac", task.reverse)):
        rows = task.rows(source, names)
        values = model.get_imputed_values(source, indices=rows, reference_batch=task.batch(source)[rows])
        out.translation[target] = shares(task, target, values, data[target].var_names, names)
    return out


def guidance(weights: sparse.csr_matrix) -> Data:
    """Graph of genes, then peaks; edges both ways and self-loops."""
    edges = weights.tocoo()
    genes, peaks = edges.col, edges.row + weights.shape[1]
    n = sum(weights.shape)
    index = np.stack([np.concatenate(x) for x in ((genes, peaks, np.arange(n)), (peaks, genes, np.arange(n)))])
    weight = np.concatenate([edges.data, edges.data, np.ones(n)])
    return Data(
        num_nodes=n,
        edge_index=torch.as_tensor(index, dtype=torch.long),
        edge_weight=torch.as_tensor(weight, dtype=torch.float32),
        edge_sign=torch.ones(len(weight)),
        rna_indices=torch.arange(weights.shape[1]),
        atac_indices=torch.arange(weights.shape[1], n),
    )


@torch.inference_mode()
def posterior_mean(model: DIAGVI, name: str) -> np.ndarray:
    """Means of the cells' posteriors; `get_latent_representation` draws."""
    model.module.eval()
    found = []
    for tensors in model._make_data_loader(model.adatas[name], batch_size=1024):
        inputs = model.module._get_inference_input(tensors)
        found.append(model.module.inference(**inputs, mode=name, deterministic=True)["z"])
    return torch.cat(found).numpy()


def shares(task: Task, target: str, values: np.ndarray, features: pd.Index, names: pd.Index) -> pd.DataFrame:
    """Shares of counts; what was left out of the model has its mean share."""
    a = task.mdata.mod[target]
    total = np.asarray(a.X.sum(0)).ravel()
    rows = a.var_names.get_indexer(features)
    found = np.tile(total / total.sum(), (len(names), 1))
    found[:, rows] = values / values.sum(1, keepdims=True) * found[0, rows].sum()
    return pd.DataFrame(found, index=names, columns=a.var_names)

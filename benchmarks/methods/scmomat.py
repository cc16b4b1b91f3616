"""scMoMaT 0.2.2 as in its authors' demonstration, whose first batch is this very data set.

Three batches: the pairs with both assays, the cells with RNA alone, the cells with ATAC alone. RNA quantile-normalised
without logarithm and peaks binarised, both by its own function. Cells with ATAC alone get a pseudo-count of RNA:
whether any peak is open that the authors link to the gene (gene body and 2 kb upstream; the data come with these
links). 30 factors, lambda .001, 4,000 iterations. Embedding: the cell factors; a paired cell has one for both assays.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scmomat
import torch
from scipy import sparse

from benchmarks.clock import Stopwatch
from benchmarks.features import pair_rows
from benchmarks.task import Output

if TYPE_CHECKING:
    from benchmarks.task import Task

TABLES = ("chromatin",)
FACTORS, ITERATIONS = 30, 4000


def run(task: Task, seed: int) -> Output:
    """Factorise all batches together."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    watch = Stopwatch()
    rna, atac = (task.mdata.mod[m] for m in ("rna", "atac"))
    pairs = pair_rows(task)
    alone = [np.setdiff1d(np.arange(a.n_obs), rows) for a, rows in zip((rna, atac), pairs, strict=True)]
    expression = [_normalised(rna.X[rows], "RNA") for rows in (pairs[0], alone[0])]
    peaks = [_normalised(atac.X[rows], "ATAC") for rows in (pairs[1], alone[1])]
    activity = (sparse.csr_matrix(peaks[1]) @ _links(task)).toarray() != 0
    counts = {"rna": [*expression, activity.astype(np.float32)], "atac": [peaks[0], None, peaks[1]]}
    names = [task.paired, rna.obs_names[alone[0]], atac.obs_names[alone[1]]]
    kept = [batch for batch, n in enumerate(names) if len(n)]
    counts = {m: [x[batch] for batch in kept] for m, x in counts.items()} | {"nbatches": len(kept)}
    model = scmomat.scmomat_model(counts, K=FACTORS, seed=seed, device=torch.device("cpu"))
    model.train_func(T=task.epochs or ITERATIONS)
    out = watch.stamp(Output(epochs=task.epochs or ITERATIONS))
    factors = dict(zip(kept, model.extract_cell_factors(), strict=True))
    placed = pd.concat([pd.DataFrame(factors[batch], index=names[batch]) for batch in kept])
    out.embedding = {m: placed.loc[task.names(m)] for m in ("rna", "atac")}
    return out


def _normalised(counts: sparse.csr_matrix, modality: str) -> np.ndarray:
    """Preprocess as the authors do."""
    if counts.shape[0] == 0:
        return np.zeros(counts.shape, dtype=np.float32)
    return scmomat.preprocess(counts.toarray(), modality=modality, log=False).astype(np.float32)


def _links(task: Task) -> sparse.csr_matrix:
    """The gene of every peak according to the authors, peaks x genes."""
    rna, atac = (task.mdata.mod[m] for m in ("rna", "atac"))
    gene = rna.var_names.get_indexer(atac.var["linked_gene"])
    peak = np.flatnonzero(gene >= 0)
    return sparse.csr_matrix((np.ones(len(peak)), (peak, gene[peak])), shape=(atac.n_vars, rna.n_vars))

"""Unpaired: peaks near a gene summed to its activity, smoothed over similar cells, then CCA of cells as in Seurat.

Gene activity: fragments within 150 kb of the transcription start, weighted by exp(-distance / 60 kb), averaged over the
50 nearest cells in latent semantic indexing; RNA averaged over its 15 nearest. Both z-scored within batch over their
common genes; the leading singular vectors of their cross-product place the cells of both (Stuart et al., Cell 2019).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.preprocessing import normalize
from sklearn.utils.extmath import randomized_svd

from benchmarks.clock import Stopwatch
from benchmarks.features import within_batch
from benchmarks.methods._lsi import atac_components, rna_components
from benchmarks.task import Output
from scvcell.score import log_cp10k, nearest

if TYPE_CHECKING:
    from benchmarks.task import Task

TABLES = ("chromatin",)
WINDOW, DECAY = 150_000, 60_000.0
DIMENSIONS = 15


def run(task: Task, seed: int) -> Output:
    """Place all cells without using a pair."""
    watch = Stopwatch()
    rna = _smooth(log_cp10k(task.counts("rna")), rna_components(task, 30, seed), 15)
    activity = task.mdata.mod["atac"].X @ gene_weights(task)
    activity = _smooth(log_cp10k(activity.toarray()), atac_components(task, 30, seed), 50)
    x = within_batch(rna, task.batch("rna"), scaled=True)
    y = within_batch(activity, task.batch("atac"), scaled=True)
    u, s, vt = randomized_svd(x @ y.T, DIMENSIONS, random_state=seed)
    placed = {
        "rna": pd.DataFrame(normalize(u * np.sqrt(s)), index=task.names("rna")),
        "atac": pd.DataFrame(normalize(vt.T * np.sqrt(s)), index=task.names("atac")),
    }
    return watch.stamp(Output(embedding=placed))


def _smooth(values: np.ndarray, space: np.ndarray, k: int) -> np.ndarray:
    found = nearest(space, space, k)
    return np.stack([values[rows].mean(0) for rows in found])


def gene_weights(task: Task) -> sp.csr_matrix:
    """Weight of every peak for every gene, peaks x genes."""
    genes, peaks = task.mdata.mod["rna"].var, task.mdata.mod["atac"].var
    rows, columns, weights = [], [], []
    start, end, chrom = (peaks[c].to_numpy() for c in ("start", "end", "chrom"))
    for column, (where, site) in enumerate(zip(genes["chrom"], genes["tss"], strict=True)):
        gap = np.maximum(np.maximum(start - site, site - end), 0)
        near = np.flatnonzero((chrom == where) & (gap <= WINDOW))
        rows.append(near)
        columns.append(np.full(len(near), column))
        weights.append(np.exp(-gap[near] / DECAY))
    parts = (np.concatenate(p) for p in (weights, rows, columns))
    value, row, col = parts
    return sp.csr_matrix((value, (row, col)), shape=(len(peaks), len(genes)))

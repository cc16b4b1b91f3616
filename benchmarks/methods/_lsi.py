"""Components of RNA and of chromatin for the simple baselines on RNA and ATAC."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp
from sklearn.decomposition import TruncatedSVD

from benchmarks.features import source_components, within_batch

if TYPE_CHECKING:
    from benchmarks.task import Task


def rna_components(task: Task, n: int, seed: int) -> np.ndarray:
    """Principal components of log-normalised RNA, within batch."""
    return source_components(task, n, seed, scaled=False)


def tf_idf(x: sp.spmatrix) -> sp.csr_matrix:
    """Term frequency times inverse document frequency, log-transformed (signac's first method)."""
    x = sp.csr_matrix(x, dtype=np.float64)
    x.data[:] = 1.0
    depth = np.maximum(np.asarray(x.sum(1)).ravel(), 1.0)
    share = np.maximum(np.asarray(x.mean(0)).ravel(), 1e-9)
    out = sp.csr_matrix(sp.diags(1 / depth) @ x @ sp.diags(1 / share))
    out.data = np.log1p(out.data * 1e4)
    return out


def atac_components(task: Task, n: int, seed: int) -> np.ndarray:
    """Latent semantic indexing of peaks: TF-IDF, SVD, the first component (depth) left out, scaled, within batch."""
    scores = TruncatedSVD(n + 1, random_state=seed).fit_transform(tf_idf(task.mdata.mod["atac"].X))[:, 1:]
    return within_batch(scores / scores.std(0), task.batch("atac"), scaled=False)

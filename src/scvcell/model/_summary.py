"""Feature statistics that operators are initialised with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from scvcell.measure import Summary

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scvcell._containers import Matrix
    from scvcell._types import Mask, Rows
    from scvcell.measure import Measurement


def summarise(
    x: Matrix,
    rows: Rows,
    batch: Rows,
    n_batches: int,
    n_context: int,
    operator: type[Measurement],
    panel: Mask | None = None,
) -> Summary:
    """One pass over the rows of a modality; what a batch did not measure gets the mean of the batches that did."""
    n = x.shape[1]
    cells = np.bincount(batch, minlength=n_batches).astype(float)
    count = cells[:, None] * (np.ones((n_batches, n)) if panel is None else panel)
    first, second = np.zeros((n_batches, n)), np.zeros((n_batches, n))
    raw = np.zeros(n)
    totals = np.empty(len(rows))
    start = 0
    for chunk in x.chunks(rows):
        stop = start + chunk.shape[0]
        sparse = sp.csr_matrix(chunk)
        raw += np.asarray(sparse.sum(0)).ravel()
        totals[start:stop] = x.depths(rows[start:stop], chunk, operator.size)
        onehot = sp.csr_matrix(
            (np.ones(stop - start), (batch[start:stop], np.arange(stop - start))), shape=(n_batches, stop - start)
        )
        logged = sparse.log1p() if operator.count_data else sparse
        first += (onehot @ logged).toarray()
        second += (onehot @ logged.multiply(logged)).toarray()
        start = stop
    mean = _fill(first, count)
    sd = np.sqrt(np.maximum(_fill(second, count) - mean**2, 1e-6))
    overall = float(np.median(totals)) if len(totals) else 1.0
    depth = np.array([np.median(totals[batch == b]) if cells[b] else overall for b in range(n_batches)])
    return Summary(
        n_features=n,
        n_context=n_context,
        n_batches=n_batches,
        mean_log=mean.astype(np.float32),
        sd_log=sd.astype(np.float32),
        depth=np.maximum(depth, 1.0).astype(np.float32),
        mean=(raw / np.maximum(count.sum(0), 1)).astype(np.float32),
        cells=cells.astype(np.int64),
        panel=panel,
        rest=None if x.depth is None else max(float((totals.sum() - raw.sum()) / max(len(rows), 1)), 1e-3),
    )


def _fill(total: NDArray[np.float64], count: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means per batch and feature; where nothing was counted, the mean over the other batches."""
    overall = total.sum(0) / np.maximum(count.sum(0), 1)
    return np.where(count > 0, total / np.maximum(count, 1), overall)

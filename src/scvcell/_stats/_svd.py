"""Randomised SVD of a matrix that is read block by block, centred within batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from scvcell._types import Rows

PASSES = 10
"""Passes over the data at most; those with a flat spectrum (ATAC) need more of them than others."""
LEAST_GAIN = 0.005
"""Relative gain of what the components capture below which it stops."""
OVERSAMPLED = 10
"""Directions beyond those that are asked for, which make these more exact."""
SILENT = 1e-3
"""Strength over that of the first below which a component is none of the data."""


def centred_svd(
    blocks: Callable[[], Iterable[tuple[Any, Any]]],
    mean: NDArray[np.float32],
    batch: Rows,
    n_components: int,
    rng: np.random.Generator,
    without: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Leading right singular vectors of a matrix minus the mean of each row's batch.

    Parameters
    ----------
    blocks
        Gives the matrix anew: pairs of rows, dense or csr, and where they are.
    mean
        Mean of each batch, ``(batches, features)``.
    batch
        Batch code of each row, ``(rows,)``.
    n_components
        Components.
    rng
        Draws the first directions.
    without
        Direction to which components are orthogonal, ``(features,)``.

    Returns
    -------
    ``(features, n_components)``; components beyond the rank of the data are zero, signs such that the largest entry of
    each is positive.

    References
    ----------
    Halko, Martinsson and Tropp, Finding structure with randomness, SIAM Review 2011.
    """
    n_features, onehot = mean.shape[1], indicators(batch, len(mean))
    width = min(n_components + OVERSAMPLED, n_features)
    basis = _orthogonal(rng.standard_normal((n_features, width)).astype(np.float32), without)
    captured = 0.0
    for _ in range(PASSES):
        basis, _ = np.linalg.qr(basis)
        forward = np.empty((len(batch), basis.shape[1]), np.float32)
        for value, at in blocks():
            forward[at] = value @ basis - onehot[at] @ (mean @ basis)
        forward, _ = np.linalg.qr(forward)
        back = np.zeros((n_features, forward.shape[1]), np.float32)
        for value, at in blocks():
            back += value.T @ forward[at] - mean.T @ (onehot[at].T @ forward[at])
        basis = _orthogonal(back, without)
        before, captured = captured, float(np.linalg.norm(basis))
        if captured < (1 + LEAST_GAIN) * before:
            break
    left, strength, _ = np.linalg.svd(basis, full_matrices=False)
    left = left[:, :n_components]
    left = left * np.sign(left[np.abs(left).argmax(0), np.arange(left.shape[1])])
    # directions beyond the rank of the data are arbitrary; they and missing ones are silent
    left[:, strength[: left.shape[1]] < SILENT * strength[0]] = 0
    return np.pad(left, ((0, 0), (0, n_components - left.shape[1])))


def indicators(batch: Rows, n_batches: int) -> sp.csr_matrix:
    """Batches as columns, ``(cells, n_batches)``."""
    n = len(batch)
    return sp.csr_matrix((np.ones(n, np.float32), batch, np.arange(n + 1)), shape=(n, n_batches))


def _orthogonal(basis: NDArray[np.float32], direction: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """`basis` projected orthogonally to a direction."""
    if direction is None:
        return basis
    unit = (direction / np.linalg.norm(direction))[:, None]
    return (basis - unit @ (unit.T @ basis)).astype(np.float32)

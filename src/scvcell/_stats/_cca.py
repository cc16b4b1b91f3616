"""Regularised canonical correlation of two views of the same cells, the linear baseline of alignment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scvcell._types import Array

LEAST_VARIANCE = 1e-9
"""Variance below which a direction of one view counts as having this one, so that it can be divided by."""


def cca(x: Array, y: Array, n_components: int, ridge: float = 0.1, *, weighted: bool = True) -> tuple[Array, Array]:
    """Regularised canonical correlation: maps of two views into one space, the linear baseline of alignment.

    Parameters
    ----------
    x, y
        Standardised features of paired cells.
    n_components
        Canonical components.
    ridge
        Added to the diagonal of both covariances, relative to the mean variance; 0 is the textbook method.
    weighted
        Whether each component is multiplied by its canonical correlation, so that those of noise count less.

    Returns
    -------
    Two matrices ``(features, components)``; if `weighted`, columns carry the canonical correlation as weight.

    References
    ----------
    Hotelling, Relations between two sets of variates, Biometrika 1936; Vinod, Canonical ridge and econometrics of joint
    production, J Econometrics 1976.
    """
    x, y = x - x.mean(0), y - y.mean(0)
    roots = []
    for v in (x, y):
        covariance = v.T @ v / len(v)
        roots.append(
            _inverse_root(covariance + ridge * np.trace(covariance) / len(covariance) * np.eye(len(covariance)))
        )
    u, s, vt = np.linalg.svd(roots[0] @ (x.T @ y / len(x)) @ roots[1])
    k = min(n_components, len(s))
    weight = s[:k] if weighted else np.ones(k)
    return roots[0] @ u[:, :k] * weight, roots[1] @ vt[:k].T * weight


def _inverse_root(matrix: Array) -> Array:
    value, vector = np.linalg.eigh(matrix)
    return vector @ np.diag(np.maximum(value, LEAST_VARIANCE) ** -0.5) @ vector.T  # type: ignore[no-any-return]

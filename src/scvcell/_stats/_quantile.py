"""The conformal quantile: the score that a new unit does not exceed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scvcell._types import Array


def conformal_quantile(scores: Array, level: float, weights: Array | None = None, own: float | None = None) -> Array:
    r"""Score that a new unit does not exceed with probability `level`, ``()`` or ``(features,)``.

    .. math:: s_{(\lceil (n+1)\,level \rceil)}, \quad \text{or the least } s \text{ with }
              \sum_{s_i \le s} w_i \ge level\,\Big(\sum_i w_i + w_{new}\Big)

    Parameters
    ----------
    scores
        Of calibration units, ``(n,)`` or ``(n, features)``.
    level
        In (0, 1).
    weights
        How much more likely each unit is where intervals are asked for than where scores come from, ``(n,)``, as under
        a declared shift of covariates. None: the new unit is exchangeable with the others.
    own
        Weight of the new unit; the largest of the others by default, which is on the safe side.

    Returns
    -------
    Infinite where there are too few units.

    Raises
    ------
    ValueError
        If weights are not as many as scores, or one of them is below 0 or not finite.

    References
    ----------
    Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World, 2005; Tibshirani, Barber, Candes and Ramdas,
    Conformal prediction under covariate shift, NeurIPS 2019.
    """
    s, n = np.sort(scores, axis=0), len(scores)
    if weights is None:
        rank = int(np.ceil((n + 1) * level))
        return np.asarray(s[rank - 1] if rank <= n else np.full(s.shape[1:], np.inf))
    w = np.asarray(weights, dtype=float)
    if w.shape != (n,) or not np.isfinite(w).all() or (w < 0).any():
        raise ValueError(f"One finite weight of at least 0 is needed for each of {n} scores; weights are {w.shape}.")
    if not n:
        return np.full(s.shape[1:], np.inf)
    mass = np.cumsum(w[np.argsort(scores, axis=0, kind="stable")], axis=0)
    wanted = level * (w.sum() + (w.max() if own is None else own))
    # A share that is met but for rounding is met.
    first = (mass < wanted * (1 - 1e-12)).sum(0)
    found = np.take_along_axis(s, np.minimum(first, n - 1)[None], 0)[0]
    return np.where(first < n, found, np.inf)

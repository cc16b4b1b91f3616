r"""L of a spot: how much of each kind of cell it holds, from counts that are sums over its cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scvcell._types import Array

SPOTS_PER_BLOCK = 1024
"""Spots that are lifted at once."""
MAX_UPDATES = 300
"""Multiplicative updates at most."""
MIN_CHANGE = 1e-4
"""Largest change of a share in an update at which updates end; it is looked at every tenth."""
LOOK_EVERY = 10
PRIOR_STRENGTH = 0.01
"""Weight of the prior over what all counts of a mean cell say."""


def spot_weights(
    x: Array, rates: Array, theta: Array, prior: Array | None = None, strength: float = PRIOR_STRENGTH
) -> Array:
    r"""Number of cells of each kind in each spot.

    .. math::
        x_{rg} \sim \mathrm{NB}\Big(\sum_k w_{rk} \rho_{kg},\ \theta_g\Big), \qquad
        w \leftarrow w\, \frac{\sum_g (x_g / \mu_g) \rho_g + c\,\pi\,|w| / w}{\sum_g \frac{x_g + \theta_g}{\mu_g +
        \theta_g} \rho_g + c}

    The updates raise the likelihood in every step (majorisation), weights stay at or above 0, and each spot is lifted
    alone, so that neither other spots nor their order matter.

    Parameters
    ----------
    x
        Counts, ``(spots, features)``.
    rates
        Mean counts of a cell of each kind, ``(kinds, features)``.
    theta
        Inverse dispersion, ``(features,)``.
    prior
        Shares that are expected, :math:`\pi`, ``(spots, kinds)``; None for none.
    strength
        Weight of the prior, c, over the mean total of the rates.

    Returns
    -------
    ``(spots, kinds)``, in cells.

    References
    ----------
    Lee and Seung, Algorithms for non-negative matrix factorization, NeurIPS 2000; Kleshchevnikov et al., Cell2location
    maps fine-grained cell types in spatial transcriptomics, Nat Biotechnol 2022 (the model).
    """
    c = strength * float(rates.sum(1).mean())
    out = np.empty((len(x), len(rates)))
    for start in range(0, len(x), SPOTS_PER_BLOCK):
        at = slice(start, start + SPOTS_PER_BLOCK)
        out[at] = _block(np.asarray(x[at], dtype=float), rates, theta, None if prior is None else prior[at], c)
    return out


def _block(x: Array, rates: Array, theta: Array, prior: Array | None, c: float) -> Array:
    """Weights of some spots; each one's updates end by itself, so that it does not matter which others are there."""
    total = float(rates.sum(1).mean())
    w = np.repeat(x.sum(1, keepdims=True) / max(total, 1e-12) / len(rates), len(rates), 1)
    going, before = np.arange(len(x)), shares(w)
    for step in range(MAX_UPDATES):
        w[going] = _updated(w[going], x[going], rates, theta, None if prior is None else prior[going], c)
        if step % LOOK_EVERY == LOOK_EVERY - 1:
            now = shares(w[going])
            moving = np.abs(now - before).max(1) >= MIN_CHANGE
            going, before = going[moving], now[moving]
            if not len(going):
                break
    return w


def _updated(w: Array, x: Array, rates: Array, theta: Array, prior: Array | None, c: float) -> Array:
    """Weights after one update, ``(spots, kinds)``."""
    mu = np.maximum(w @ rates, 1e-9)
    up, down = (x / mu) @ rates.T, ((x + theta) / (mu + theta)) @ rates.T
    if prior is None:
        return w * up / np.maximum(down, 1e-12)
    return (w * up + c * prior * w.sum(1, keepdims=True)) / np.maximum(down + c, 1e-12)


def shares(weights: Array) -> Array:
    """Weights over their sum in each unit; all alike where there are none."""
    total = weights.sum(1, keepdims=True)
    return np.where(total > 0, weights / np.maximum(total, 1e-300), 1 / weights.shape[1])  # type: ignore[no-any-return]


def platform(x: Array, weights: Array, rates: Array) -> Array:
    r"""How much better a platform sees each feature than the reference did, geometric mean 1, ``(features,)``.

    One step, :math:`m_g = (1 + \sum_r x_{rg}) / (1 + \sum_{rk} w_{rk} \rho_{kg})`; fitting it in turn with the weights
    makes these worse.
    """
    m = (x.sum(0) + 1) / ((weights @ rates).sum(0) + 1)
    return m / np.exp(np.log(m).mean())  # type: ignore[no-any-return]


def dispersion(x: Array, expected: Array) -> Array:
    """Inverse dispersion of each feature by moments, ``(features,)``.

    Parameters
    ----------
    x, expected
        Counts and what was expected of them, ``(cells, features)``.
    """
    excess = ((x - expected) ** 2 - expected).sum(0)
    return np.clip((expected**2).sum(0) / np.maximum(excess, 1e-9), 0.1, 1e3)  # type: ignore[no-any-return]

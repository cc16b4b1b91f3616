"""L within a kind: the expected state of the cells of each kind in each spot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.cluster import KMeans

from scvcell.scale import SPOTS_PER_BLOCK

if TYPE_CHECKING:
    import scipy.sparse as sp

    from scvcell._types import Array
    from scvcell.tissue._composition import Composition, Reference

MAX_PROTOTYPES = 6
"""Prototypes of a kind at most."""
CELLS_PER_PROTOTYPE = 20
"""Cells of a kind for each of its prototypes, at least."""
N_UPDATES = 30
PRIOR_CELLS = 0.03
"""Cells of the kind's own mixture of prototypes that are added to a spot's; kinds of few cells are drawn most."""


def states(x: sp.csr_matrix, found: Composition, reference: Reference, z: Array, seed: int) -> Array:
    r"""Expected state of each kind within each spot, drawn to the kind's mean where counts say little.

    .. math:: \bar z_{rk} = \sum_{j \in k} v_{rj} z_j \Big/ \sum_{j \in k} v_{rj}

    over prototypes j, k-means of the kind's cells by their states, with weights v of the spot's counts as of kinds,
    whose sum over a kind is the number of its cells.

    Parameters
    ----------
    x
        Counts of spots, ``(spots, features)``.
    found
        Their composition.
    reference, z
        Cells it was found by, and their states, ``(cells, latent)``.
    seed
        Drives k-means.

    Returns
    -------
    ``(spots, kinds, latent)``; the kind's mean state where a spot has none of it.
    """
    kind, centre, rates, share = _prototypes(reference, z, seed)
    rates = rates * found.factor
    member = np.equal.outer(kind, np.arange(len(reference.kinds))).astype(float)
    out = np.empty((x.shape[0], len(reference.kinds), z.shape[1]), np.float32)
    for start in range(0, x.shape[0], SPOTS_PER_BLOCK):
        at = slice(start, start + SPOTS_PER_BLOCK)
        cells = np.maximum(found.cells[at], 1e-6)[:, kind]
        weight = _weights(np.asarray(x[at].toarray(), dtype=float), rates, found.theta, cells, share, member)
        weight /= (weight @ member)[:, kind]
        for k in range(len(reference.kinds)):
            out[at, k] = weight[:, kind == k] @ centre[kind == k]
    return out


def _prototypes(reference: Reference, z: Array, seed: int) -> tuple[Array, Array, Array, Array]:
    """Kind, state, mean counts and share within the kind of every prototype."""
    kinds, centres, rates, shares = [], [], [], []
    for k in range(len(reference.kinds)):
        cells = np.flatnonzero(reference.kind == k)
        n = int(np.clip(len(cells) // CELLS_PER_PROTOTYPE, 1, MAX_PROTOTYPES))
        code = KMeans(n, n_init=1, random_state=seed).fit_predict(z[cells]) if n > 1 else np.zeros(len(cells), int)
        for j in np.unique(code):
            of = cells[code == j]
            kinds.append(k)
            centres.append(z[of].mean(0))
            rates.append(np.asarray(reference.counts[of].mean(0)).ravel())
            shares.append(len(of) / len(cells))
    return np.array(kinds), np.array(centres), np.array(rates), np.array(shares)


def _weights(x: Array, rates: Array, theta: Array, cells: Array, share: Array, member: Array) -> Array:
    """Cells of each prototype, of each kind as many as `cells` says, ``(spots, prototypes)``."""
    weight, kind = cells * share, member.argmax(1)
    for _ in range(N_UPDATES):
        mu = np.maximum(weight @ rates, 1e-9)
        up, down = (x / mu) @ rates.T, ((x + theta) / (mu + theta)) @ rates.T
        weight = weight * up / np.maximum(down, 1e-12) + PRIOR_CELLS * share
        weight = weight * cells / np.maximum(weight @ member, 1e-300)[:, kind]
    return weight

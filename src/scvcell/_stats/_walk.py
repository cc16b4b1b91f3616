"""A random walk among neighbouring cells that follows their velocity, where there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp
from sklearn.neighbors import kneighbors_graph

if TYPE_CHECKING:
    from scvcell._types import Array


N_NEIGHBOURS = 30


def neighbours(latent: Array) -> sp.coo_array:
    """Who is a neighbour of whom, either way, ``(cells, cells)``."""
    graph = kneighbors_graph(latent, min(N_NEIGHBOURS, len(latent) - 1))
    return sp.coo_array(graph.maximum(graph.T))


def walk(latent: Array, velocity: Array, graph: sp.coo_array) -> sp.csr_array:
    r"""Probabilities of the next cell, ``(cells, cells)``; rows sum to 1.

    .. math:: p_{ij} \propto \exp(\cos(f(z_i),\, z_j - z_i) / \kappa)

    over neighbours, with :math:`\kappa` the median of the absolute cosines; all alike where the velocity is zero.

    References
    ----------
    Bergen et al., Generalizing RNA velocity to transient cell states through dynamical modeling, Nat Biotechnol 2020;
    Lange et al., CellRank for directed single-cell fate mapping, Nat Methods 2022.
    """
    i, j = graph.coords
    step, ahead = latent[j] - latent[i], velocity[i]
    length = np.linalg.norm(step, axis=1) * np.linalg.norm(ahead, axis=1)
    cosine = (step * ahead).sum(1) / np.maximum(length, 1e-12)
    moving = np.abs(cosine[length > 0])
    weight = np.exp(cosine / max(float(np.median(moving)) if len(moving) else 1.0, 1e-6))
    total = np.bincount(i, weight, len(latent))
    return sp.csr_array((weight / total[i], (i, j)), shape=graph.shape)

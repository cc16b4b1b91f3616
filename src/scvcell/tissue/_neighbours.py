"""Expected neighbours of kinds of cells, also where units hold several cells: A C A^T."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

if TYPE_CHECKING:
    from scvcell._containers import Membership
    from scvcell._types import Array, Rows

N_PERMUTED = 100
"""Permutations of the places."""


@dataclass(frozen=True, eq=False, repr=False)
class Neighbours:
    """How often kinds of cells are neighbours.

    Attributes
    ----------
    observed, expected
        Pairs of neighbours, and their mean where places are permuted within section, ``(kinds, kinds)``.
    z
        Difference of the two in standard deviations of the permutations, ``(kinds, kinds)``.
    around
        Share of each kind in the surroundings of each unit, NaN where nothing surrounds it, ``(units, kinds)``.
    """

    observed: Array
    expected: Array
    z: Array
    around: Array


def neighbours(near: Membership, composition: Membership, section: Rows, order: Rows, seed: int) -> Neighbours:
    r"""Pairs of neighbouring cells by kind.

    .. math:: N = C^\top A\, C + \sum_r \Big(1 - \tfrac{1}{n_r}\Big) C_r^\top C_r

    Cells of one unit are neighbours of each other, too: the second term are its pairs, with :math:`n_r` cells in it.

    Parameters
    ----------
    near
        What surrounds each unit, ``(units, units)``; a unit itself does not count.
    composition
        Cells of each kind in each unit, ``(units, kinds)``; empty where that is not known.
    section
        Section of each unit, -1 without a place, ``(units,)``.
    order
        Units in an order that does not depend on how the data are sorted.
    seed
        Drives permutations.
    """
    cells = composition.matrix.toarray()
    known = (cells.sum(1) > 0) & (section >= 0)
    cells[~known] = 0
    around = sp.csr_array(near.matrix - sp.diags_array(near.matrix.diagonal()))
    within = cells.T @ (cells * np.maximum(1 - 1 / np.maximum(cells.sum(1), 1), 0)[:, None])
    observed = cells.T @ (around @ cells) + within
    rng = np.random.default_rng(seed)
    sums = np.zeros((2, *observed.shape))
    for _ in range(N_PERMUTED):
        other = cells.copy()
        for code in np.unique(section[known]):
            here = order[known[order] & (section[order] == code)]
            other[here] = cells[rng.permutation(here)]
        found = other.T @ (around @ other) + within - observed
        sums += found, found**2
    mean = sums[0] / N_PERMUTED
    sd = np.sqrt(np.maximum(sums[1] / N_PERMUTED - mean**2, 0))
    z = np.divide(-mean, sd, out=np.zeros_like(sd), where=sd > 1e-9)
    nearby = around @ cells
    total = nearby.sum(1, keepdims=True)
    return Neighbours(
        observed, observed + mean, z, np.divide(nearby, total, out=np.full_like(nearby, np.nan), where=total > 0)
    )

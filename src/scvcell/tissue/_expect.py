"""The niche that a dissociated cell is expected to come from: ridge from its state to the state of niches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sklearn.linear_model import Ridge
from sklearn.neighbors import NearestNeighbors

from scvcell.tissue._head import N_FOLDS, N_NEAR, REACH, coarsest, thinned

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scvcell._types import Array, Mask, Rows

PENALTIES = (1.0, 10.0, 100.0, 1e3, 1e4, 1e5)
"""Penalties of the ridge, of which one is chosen on blocks that were left out."""


@dataclass(frozen=True, eq=False, repr=False)
class Expected:
    """Niches of dissociated cells.

    Attributes
    ----------
    value
        Expected state of the niche, ``(cells, columns)``.
    near
        Whether a cell is as near to cells of the tissue as these are to each other, ``(cells,)``.
    r2
        By block of columns, the share of the variance that is explained in blocks of tissue that were left out.
    """

    value: Array
    near: Mask
    r2: dict[str, float]


def expected_niche(
    asked: Array, z: Array, niche: Array, columns: Mapping[str, slice], levels: list[Rows], known: Rows
) -> Expected:
    """What niche the state of a cell lets expect.

    Parameters
    ----------
    asked
        States of the dissociated cells, ``(cells, latent)``.
    z, niche
        States and niches of the cells of a tissue, ``(units, latent)``, ``(units, columns)``.
    columns
        Columns of each block of the niche.
    levels
        Groups of units that are left out together, from coarse to fine.
    known
        Units with a state and a niche.
    """
    fold = np.unique(coarsest(levels, known), return_inverse=True)[1] % N_FOLDS
    parts = [(known[fold != each], known[fold == each]) for each in np.unique(fold)]
    parts = [(train, out) for train, out in parts if len(train)]
    error = np.zeros((len(PENALTIES), niche.shape[1]))
    total = np.zeros(niche.shape[1])
    for train, out in parts:
        total += ((niche[out] - niche[train].mean(0)) ** 2).sum(0)
        for i, penalty in enumerate(PENALTIES):
            error[i] += ((niche[out] - _fit(z, niche, train, penalty).predict(z[out])) ** 2).sum(0)
    best = int(error.sum(1).argmin())
    r2 = {
        name: float(1 - error[best, at].sum() / max(float(total[at].sum()), 1e-12)) if parts else np.nan
        for name, at in columns.items()
    }
    some = thinned(known)
    k = min(N_NEAR, max(len(some) - 1, 1))
    tree = NearestNeighbors(n_neighbors=k).fit(z[some])
    reach = np.quantile(tree.kneighbors()[0].mean(1), REACH) if len(some) > 1 else 0.0
    near = tree.kneighbors(asked)[0].mean(1) <= reach
    return Expected(_fit(z, niche, known, PENALTIES[best]).predict(asked), near, r2)


def _fit(z: Array, niche: Array, rows: Rows, penalty: float) -> Ridge:
    return Ridge(alpha=penalty).fit(z[thinned(rows)], niche[thinned(rows)])

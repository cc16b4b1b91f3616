"""Compositions of neighbouring spots: how far to draw each to those around it, found by genes that it has not seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scvcell._containers import Space
    from scvcell._types import Array

N_NEIGHBOURS = 6
"""Spots around each one, as on a hexagonal grid."""


def around(space: Space) -> sp.csr_array:
    """Weights of the mean over each spot's neighbours; a spot without any is its own, ``(spots, spots)``."""
    found = space.nearest(N_NEIGHBOURS, itself=False).shares().matrix
    alone = (np.diff(found.indptr) == 0).astype(float)
    return sp.csr_array(found + sp.diags_array(alone))


def smoothed(share: Array, near: sp.csr_array, strength: float) -> Array:
    r"""Draw every unit to the mean of its neighbours, :math:`(1 - \kappa) s + \kappa N s`.

    Parameters
    ----------
    share
        Values of units, ``(units, kinds)``.
    near
        Weights of neighbours, see `around`.
    strength
        Between 0 and 1.
    """
    return (1 - strength) * share + strength * (near @ share)  # type: ignore[no-any-return]


def best_strength(
    share: Array, without: Sequence[Array], near: sp.csr_array, left_out: tuple[Array, Array] | None = None
) -> float:
    r"""The strength that makes the squared error of compositions least.

    .. math:: \kappa = \frac{\frac{J - 1}{J} \sum_j E \langle e_j, e_j - N e_j \rangle}{E\, |s - N s|^2}, \qquad
        e_j = s^{(-j)} - \tfrac1J \textstyle\sum_i s^{(-i)}

    The numerator is how much of the step is chance, by the jackknife over parts of the genes: compositions that have
    not seen one part differ from those that have not seen another by chance alone. A lift that draws to the mean by
    itself needs less: where left-out mixtures turn out farther from the mean than predicted, by a factor above 1, the
    excess over 1 times :math:`E \langle s, s - N s \rangle` goes off the numerator.

    Parameters
    ----------
    share
        Compositions by all genes, ``(spots, kinds)``.
    without
        Those without each part of the genes in turn.
    near
        Weights of neighbours, see `around`.
    left_out
        Predicted and true shares of mixtures of cells that were left out, ``(mixtures, kinds)``.

    Returns
    -------
    From 0, where compositions vary between neighbours and not by chance, to 1.

    References
    ----------
    Stein, Estimation of the mean of a multivariate normal distribution, Ann Stat 1981 (the risk of a linear step);
    Efron, The jackknife, the bootstrap and other resampling plans, 1982.
    """
    mean = np.mean(without, axis=0)
    parts = [each - mean for each in without]
    chance = sum(float((each * (each - near @ each)).mean()) for each in parts) * (len(parts) - 1) / len(parts)
    if left_out is not None:
        predicted, true = left_out
        centred = predicted - predicted.mean(0)
        excess = float(((true - predicted) * centred).mean() / max((centred**2).mean(), 1e-300))
        chance -= max(excess, 0.0) * float((share * (share - near @ share)).mean())
    apart = float(((share - near @ share) ** 2).mean())
    return float(np.clip(chance / max(apart, 1e-300), 0, 1))

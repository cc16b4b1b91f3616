"""Distributions of cells: distance between sets, and variances."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.distance import cdist, pdist

from scvcell.score._base import metric
from scvcell.score._point import r2

if TYPE_CHECKING:
    from scvcell._types import Array, Rows


@metric(
    "energy_distance",
    takes="sets",
    better="lower",
    per="set of cells",
    scale="any; it grows with the number of features",
    formula="2 E|x - y| - E|x - x'| - E|y - y'|",
    source="Szekely and Rizzo, J Stat Plan Inference 2013",
    fooled_by="few cells, in its biased form: above 0 between samples of one distribution",
)
def energy_distance(x: Array, y: Array, *, unbiased: bool = True) -> float:
    r"""Euclidean energy distance between two sets of cells.

    .. math:: D(X, Y) = 2 E\|x - y\| - E\|x - x'\| - E\|y - y'\|

    Parameters
    ----------
    x, y
        Sets of at least two cells, ``(cells, features)``.
    unbiased
        Whether pairs of a cell with itself are left out, as in `scvcell.objective`, so that two samples of one
        distribution are at 0 in the mean (and may be below). With them it is never negative, and 0 for equal sets
        only: so it stands in the committed table *perturbation*.

    References
    ----------
    Szekely and Rizzo, Energy statistics: a class of statistics based on distances, J Stat Plan Inference 2013.
    """
    if not unbiased:
        return float(2 * cdist(x, y).mean() - cdist(x, x).mean() - cdist(y, y).mean())
    within = [cdist(a, a).sum() / (len(a) * (len(a) - 1)) for a in (x, y)]
    return float(2 * cdist(x, y).mean() - within[0] - within[1])


@metric(
    "mmd",
    takes="sets",
    better="lower",
    per="set of cells",
    scale="any; its unit is the typical distance of true cells",
    formula="E k(x, x') + E k(y, y') - 2 E k(x, y), k rational-quadratic, at three widths around the median of y",
    source="Gretton et al., JMLR 2012",
    fooled_by="many features: all cells are as far apart, and the kernel sees little but means",
)
def mmd(x: Array, y: Array, scale: float | None = None) -> float:
    r"""Squared maximum mean discrepancy between two sets of cells, unbiased; 0 in the mean for one distribution.

    .. math:: E\,k(x, x') + E\,k(y, y') - 2 E\,k(x, y),
              \quad k(x, y) = \tfrac13 \sum_s \frac{s c}{s c + \|x - y\|^2}, \quad s = .2, 1, 5

    The kernel is characteristic: no two distributions are at 0 of each other. With a linear one only means would count.

    Parameters
    ----------
    x, y
        Predicted and true cells, at least two each, ``(cells, features)``.
    scale
        Squared distance c; by default the median among true cells, which is the same for all predictions.

    References
    ----------
    Gretton et al., A kernel two-sample test, JMLR 2012.
    """
    c = float(np.median(pdist(y, "sqeuclidean"))) if scale is None else scale
    c = c if c > 0 else 1.0

    def kernel(a: Array, b: Array) -> Array:
        d2 = cdist(a, b, "sqeuclidean")
        return sum(s * c / (s * c + d2) for s in (0.2, 1.0, 5.0)) / 3

    within = [(kernel(a, a).sum() - len(a)) / (len(a) * (len(a) - 1)) for a in (x, y)]
    return float(within[0] + within[1] - 2 * kernel(x, y).mean())


@metric(
    "r2_variance",
    takes="sets",
    better="higher",
    per="set of cells",
    scale="log1p counts per 10,000",
    formula="R2 of the variances of features over cells",
    source="Lotfollahi, Wolf and Theis, scGen, Nat Methods 2019",
    fooled_by="variances that go with the mean: a right mean makes it high",
)
def variance_r2(predicted: Array, true: Array, features: Rows | None = None) -> float:
    """Coefficient of determination of the variances of features over cells.

    Parameters
    ----------
    predicted, true
        Sets of cells, ``(cells, features)``.
    features
        Positions of the features that count; all by default.
    """
    some = slice(None) if features is None else features
    return r2(predicted.var(0)[some], true.var(0)[some])

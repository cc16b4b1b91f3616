"""phi: activities of pathways and regulators, from values of features and a network of weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scvcell.score._base import dense

if TYPE_CHECKING:
    from scvcell._types import Array

ALIKE = 2.2e-16
"""Smallest difference of a correlation from 1, so that a perfect one has a statistic."""


def ulm(values: Array, weights: Array) -> Array:
    r"""Activities of sources by a univariate linear model each, ``(units, sources)``.

    .. math:: x_g = a + b\,w_g + e_g, \qquad t = \frac{b}{\mathrm{se}(b)} = r \sqrt{\frac{G - 2}{1 - r^2}}

    For every unit and source, the t statistic of the slope of the unit's values over the source's weights, one point
    per feature; :math:`r` is their Pearson correlation.

    Parameters
    ----------
    values
        Effects or expression, ``(units, features)``, dense or sparse.
    weights
        Weight of each feature in each source, ``(features, sources)``; 0 for features that a source does not target.

    Returns
    -------
    Above 0 where targets with larger weights have larger values. 0 for a unit whose values are all equal; NaN for a
    source whose weights are, since nothing can be asked of it.

    Raises
    ------
    ValueError
        If the features of the two are not as many, or fewer than three.

    References
    ----------
    Badia-i-Mompel et al., decoupleR: ensemble of computational methods to infer biological activities from omics data,
    Bioinform Adv 2022.
    """
    x, w = dense(values), dense(weights)
    n = len(w)
    if x.ndim != 2 or w.ndim != 2 or x.shape[1] != n or n < 3:
        raise ValueError(
            f"ulm takes (units, features) and (features, sources), at least 3 features, not {x.shape} and {w.shape}."
        )
    x, w = x - x.mean(1, keepdims=True), w - w.mean(0)
    x_length, w_length = np.linalg.norm(x, axis=1), np.linalg.norm(w, axis=0)
    flat = x_length <= 1e-12 * np.maximum(np.abs(dense(values)).max(1, initial=0.0), 1e-300) * np.sqrt(n)
    still = w_length <= 1e-12 * np.maximum(np.abs(dense(weights)).max(0, initial=0.0), 1e-300) * np.sqrt(n)
    with np.errstate(invalid="ignore", divide="ignore"):
        r = np.clip(x @ w / np.outer(x_length, w_length), -1.0, 1.0)
        t = r * np.sqrt((n - 2) / ((1.0 - r + ALIKE) * (1.0 + r + ALIKE)))
    t[flat] = 0.0
    t[:, still] = np.nan
    return t

"""Statistics on plain arrays: no cell, no model, no module."""

from scvcell._stats._banded import Banded
from scvcell._stats._boot import (
    FEWEST_UNITS,
    boot_weights,
    draws_of_ratio,
    interval,
    mean_variance,
    permutation_p,
    weighted_mean,
    weighted_ratio,
)
from scvcell._stats._cca import cca
from scvcell._stats._conformal import MIN_CALIBRATION_CELLS, Conformal
from scvcell._stats._hill import N_JACKKNIFE, fit_curves
from scvcell._stats._jackknife import jackknife_variance
from scvcell._stats._mondrian import Mondrian
from scvcell._stats._quantile import conformal_quantile
from scvcell._stats._svd import centred_svd, indicators
from scvcell._stats._walk import neighbours, walk

__all__ = [
    "FEWEST_UNITS",
    "MIN_CALIBRATION_CELLS",
    "N_JACKKNIFE",
    "Banded",
    "Conformal",
    "Mondrian",
    "boot_weights",
    "cca",
    "centred_svd",
    "conformal_quantile",
    "draws_of_ratio",
    "fit_curves",
    "indicators",
    "interval",
    "jackknife_variance",
    "mean_variance",
    "neighbours",
    "permutation_p",
    "walk",
    "weighted_mean",
    "weighted_ratio",
]

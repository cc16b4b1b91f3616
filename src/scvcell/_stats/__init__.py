"""Estimators on plain arrays: no cell, no model, no module."""

from scvcell._stats._cca import cca
from scvcell._stats._conformal import MINIMUM, Conformal

__all__ = ["MINIMUM", "Conformal", "cca"]

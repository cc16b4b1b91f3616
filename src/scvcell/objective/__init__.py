"""The objective, one file per equation: (1) align, (2) observe, (4) perturb."""

from scvcell.objective._align import info_nce, mmd
from scvcell.objective._obs import TERMS, Weights
from scvcell.objective._pert import energy_distance

__all__ = [
    "TERMS",
    "Weights",
    "energy_distance",
    "info_nce",
    "mmd",
]

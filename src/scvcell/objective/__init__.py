"""The objective, one file per equation: (1) align, (2) observe."""

from scvcell.objective._align import info_nce, mmd
from scvcell.objective._obs import TERMS, Weights

__all__ = ["TERMS", "Weights", "info_nce", "mmd"]

"""The loss, one equation a file: (1) align, (2) observe, (4) perturb; each term is registered."""

from scvcell.objective._align import info_nce, mmd
from scvcell.objective._base import TERMS, Network, Term, Weights
from scvcell.objective._obs import likelihood
from scvcell.objective._pert import energy_distance

__all__ = [
    "TERMS",
    "Network",
    "Term",
    "Weights",
    "energy_distance",
    "info_nce",
    "likelihood",
    "mmd",
]

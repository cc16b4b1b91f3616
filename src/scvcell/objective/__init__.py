"""The loss, one equation a file: (1) align, (2) observe, (3) scales, (4) perturb; each term is registered."""

from scvcell.objective._align import info_nce, mmd
from scvcell.objective._base import TERMS, Network, Term, Weights
from scvcell.objective._obs import ACROSS_CELLS, likelihood
from scvcell.objective._pert import energy_distance
from scvcell.objective._xscale import cycle, nb_deviance, response_agreement

__all__ = [
    "ACROSS_CELLS",
    "TERMS",
    "Network",
    "Term",
    "Weights",
    "cycle",
    "energy_distance",
    "info_nce",
    "likelihood",
    "mmd",
    "nb_deviance",
    "response_agreement",
]

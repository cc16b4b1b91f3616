"""P, L: cells to the coarser thing they form, and back."""

from scvcell._containers import Membership, Space
from scvcell.scale._amortise import CompositionPrior, Mixtures, mix
from scvcell.scale._assign import assign, whole_numbers
from scvcell.scale._bins import Bins, bins, geometric_median, mass_needed, radius_of, region_share
from scvcell.scale._place import Place, learn_places
from scvcell.scale._spot import SPOTS_PER_BLOCK, dispersion, platform, shares, spot_weights

__all__ = [
    "SPOTS_PER_BLOCK",
    "Bins",
    "CompositionPrior",
    "Membership",
    "Mixtures",
    "Place",
    "Space",
    "assign",
    "bins",
    "dispersion",
    "geometric_median",
    "learn_places",
    "mass_needed",
    "mix",
    "platform",
    "radius_of",
    "region_share",
    "shares",
    "spot_weights",
    "whole_numbers",
]

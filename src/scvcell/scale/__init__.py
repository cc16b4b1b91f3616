"""P, L: cells to the coarser thing they form, and back."""

from scvcell._containers import Membership, Space
from scvcell.scale._amortise import CompositionPrior, Mixtures, mix
from scvcell.scale._spot import SPOTS_PER_BLOCK, dispersion, platform, shares, spot_weights

__all__ = [
    "SPOTS_PER_BLOCK",
    "CompositionPrior",
    "Membership",
    "Mixtures",
    "Space",
    "dispersion",
    "mix",
    "platform",
    "shares",
    "spot_weights",
]

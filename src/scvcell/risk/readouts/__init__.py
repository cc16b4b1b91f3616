"""Eq. 5: the readouts phi, what is looked at in an answer and in the truth, one file each."""

from scvcell.risk.readouts._activity import Activity
from scvcell.risk.readouts._base import READOUTS, Readout, readouts_of
from scvcell.risk.readouts._distribution import Distribution
from scvcell.risk.readouts._effect import EffectReadout
from scvcell.risk.readouts._endpoint import Endpoint
from scvcell.risk.readouts._labels import Labels
from scvcell.risk.readouts._neighbourhood import Neighbourhood

__all__ = [
    "READOUTS",
    "Activity",
    "Distribution",
    "EffectReadout",
    "Endpoint",
    "Labels",
    "Neighbourhood",
    "Readout",
    "readouts_of",
]

"""What the cells of a spot, niche or section are."""

from scvcell.tissue._composition import Composition, Reference, lift, skill
from scvcell.tissue._features import features
from scvcell.tissue._map import MIN_LOCATED, Frame, learn_frame
from scvcell.tissue._map_spots import Kinds, Spots
from scvcell.tissue._pool import annotation, constant, encode, observed, pooled

__all__ = [
    "MIN_LOCATED",
    "Composition",
    "Frame",
    "Kinds",
    "Reference",
    "Spots",
    "annotation",
    "constant",
    "encode",
    "features",
    "learn_frame",
    "lift",
    "observed",
    "pooled",
    "skill",
]

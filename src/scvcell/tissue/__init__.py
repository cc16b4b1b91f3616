"""What the cells of a spot, niche or section are."""

from scvcell.tissue._composition import Composition, Reference, lift, skill
from scvcell.tissue._pool import annotation, constant, encode, observed, pooled

__all__ = [
    "Composition",
    "Reference",
    "annotation",
    "constant",
    "encode",
    "lift",
    "observed",
    "pooled",
    "skill",
]

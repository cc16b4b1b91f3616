"""What the cells of a spot, niche or section are."""

from scvcell.tissue._composition import Composition, Reference, lift, skill
from scvcell.tissue._impute import Imputed, impute
from scvcell.tissue._pool import annotation, constant, encode, observed, pooled

__all__ = [
    "Composition",
    "Imputed",
    "Reference",
    "annotation",
    "constant",
    "encode",
    "impute",
    "lift",
    "observed",
    "pooled",
    "skill",
]

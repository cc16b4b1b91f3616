"""What the cells of a spot, niche or section are."""

from scvcell.tissue._blocks import blocks
from scvcell.tissue._composition import Composition, Reference, lift
from scvcell.tissue._cycle import L_OF_P, P_OF_L, Scene, cycle_scores, summary
from scvcell.tissue._features import features
from scvcell.tissue._impute import Imputed, impute
from scvcell.tissue._kernel import KernelFit, fit_kernel, pitch
from scvcell.tissue._map import MIN_LOCATED, Frame, learn_frame
from scvcell.tissue._map_spots import Kinds, Spots
from scvcell.tissue._pool import annotation, constant, encode, observed, pooled
from scvcell.tissue._states import states

__all__ = [
    "L_OF_P",
    "MIN_LOCATED",
    "P_OF_L",
    "Composition",
    "Frame",
    "Imputed",
    "KernelFit",
    "Kinds",
    "Reference",
    "Scene",
    "Spots",
    "annotation",
    "blocks",
    "constant",
    "cycle_scores",
    "encode",
    "features",
    "fit_kernel",
    "impute",
    "learn_frame",
    "lift",
    "observed",
    "pitch",
    "pooled",
    "states",
    "summary",
]

"""What the cells of a spot, niche or section are."""

from scvcell.tissue._blocks import apart, blocks
from scvcell.tissue._composition import Composition, Reference, lift
from scvcell.tissue._cycle import L_OF_P, P_OF_L, Scene, cycle_scores, summary
from scvcell.tissue._expect import Expected, expected_niche
from scvcell.tissue._features import features
from scvcell.tissue._head import Answer, answer, class_sets, quantile
from scvcell.tissue._impute import Imputed, impute
from scvcell.tissue._kernel import KernelFit, fit_kernel
from scvcell.tissue._map import MIN_LOCATED, Frame, learn_frame
from scvcell.tissue._map_spots import Kinds, Spots
from scvcell.tissue._misfit import misfit, unexplained
from scvcell.tissue._neighbours import Neighbours, neighbours
from scvcell.tissue._niche import cluster, niche_states, standardised, surroundings
from scvcell.tissue._outcome import Classes, Outcome, Times, Values
from scvcell.tissue._pool import annotation, constant, encode, observed, pooled
from scvcell.tissue._states import states
from scvcell.tissue._units import unit_features

__all__ = [
    "L_OF_P",
    "MIN_LOCATED",
    "P_OF_L",
    "Answer",
    "Classes",
    "Composition",
    "Expected",
    "Frame",
    "Imputed",
    "KernelFit",
    "Kinds",
    "Neighbours",
    "Outcome",
    "Reference",
    "Scene",
    "Spots",
    "Times",
    "Values",
    "annotation",
    "answer",
    "apart",
    "blocks",
    "class_sets",
    "cluster",
    "constant",
    "cycle_scores",
    "encode",
    "expected_niche",
    "features",
    "fit_kernel",
    "impute",
    "learn_frame",
    "lift",
    "misfit",
    "neighbours",
    "niche_states",
    "observed",
    "pooled",
    "quantile",
    "standardised",
    "states",
    "summary",
    "surroundings",
    "unexplained",
    "unit_features",
]

"""What the cells of a spot, niche or section are."""

from scvcell.tissue._blocks import blocks
from scvcell.tissue._composition import Composition, Reference, lift, skill
from scvcell.tissue._expect import Expected, expected_niche
from scvcell.tissue._head import Answer, answer, class_sets, quantile
from scvcell.tissue._neighbours import Neighbours, neighbours
from scvcell.tissue._niche import cluster, measured, niche_states, standardised, surroundings
from scvcell.tissue._outcome import Classes, Outcome, Times, Values
from scvcell.tissue._pool import annotation, constant, encode, observed, pooled
from scvcell.tissue._units import unit_features

__all__ = [
    "Answer",
    "Classes",
    "Composition",
    "Expected",
    "Neighbours",
    "Outcome",
    "Reference",
    "Times",
    "Values",
    "annotation",
    "answer",
    "blocks",
    "class_sets",
    "cluster",
    "constant",
    "encode",
    "expected_niche",
    "lift",
    "measured",
    "neighbours",
    "niche_states",
    "observed",
    "pooled",
    "quantile",
    "skill",
    "standardised",
    "surroundings",
    "unit_features",
]

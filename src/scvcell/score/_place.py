"""Is a cell where it was said to be: distances, probabilities of true places, regions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scvcell.score._base import metric

if TYPE_CHECKING:
    from scvcell._types import Array, Rows


@metric(
    "place_error",
    takes="places",
    better="lower",
    per="cell",
    scale="unit of the coordinates",
    formula="distance between the point and the true place",
    source="Euclid",
    fooled_by="small sections; points in the middle, which are never far from anything",
)
def place_error(predicted: Array, true: Array) -> Array:
    """Distance of each cell from where it was said to be, ``(cells,)``."""
    return np.linalg.norm(np.asarray(predicted, dtype=float) - np.asarray(true, dtype=float), axis=1)  # type: ignore[no-any-return]


@metric(
    "map_nll",
    takes="maps",
    better="lower",
    per="cell",
    scale="nats",
    formula="- log of the probability of the true place",
    source="Good, Rational decisions, J R Stat Soc B 1952",
    fooled_by="few large places: compare maps over the same ones, or add the log of what one is of the section",
)
def map_nll(probability: Array, place: Rows) -> Array:
    """Negative log of the probability of the true place of each cell, ``(cells,)``."""
    p = np.asarray(probability, dtype=float)
    return -np.log(np.maximum(p[np.arange(len(p)), place], 1e-9))  # type: ignore[no-any-return]


@metric(
    "map_rank",
    takes="maps",
    better="lower",
    per="cell",
    scale="share of the places",
    formula="share of the places that are more probable than the true one",
    source="written here; a region of the most probable places holds those cells whose rank is below its share",
    fooled_by="places that no cell may be in",
)
def map_rank(probability: Array, place: Rows) -> Array:
    """Share of the places that are more probable than the true one of each cell, ``(cells,)``."""
    p = np.asarray(probability, dtype=float)
    return (p > p[np.arange(len(p)), place][:, None]).mean(1)  # type: ignore[no-any-return]

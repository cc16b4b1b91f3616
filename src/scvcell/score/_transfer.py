"""Labels across assays: are they carried over, and are cells kept apart that have no counterpart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.metrics import silhouette_score

from scvcell.score._base import metric
from scvcell.score._match import trusted, votes
from scvcell.score._point import accuracy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scvcell._types import Array

FEWEST_CELLS = 3
"""Cells of a type below which nothing is said of it."""


@metric(
    "label_transfer",
    takes="states, labels",
    better="higher",
    per="table",
    scale="one space for both assays",
    formula="share of cells whose label most of their k nearest cells of the other assay have; mean of both directions",
    source="nearest neighbours, as in Stuart et al., Cell 2019",
    fooled_by="a common label",
)
def label_transfer(a: Array, b: Array, labels_a: NDArray[np.str_], labels_b: NDArray[np.str_], k: int = 5) -> float:
    """Accuracy of labels given by the k nearest cells of the other assay, mean of both directions.

    Parameters
    ----------
    a, b
        Latents of cells in two assays, each ``(cells, latent)``; there are more than `k` of each.
    labels_a, labels_b
        Their labels.
    k
        Neighbours that vote.
    """
    both = ((a, b, labels_a, labels_b), (b, a, labels_b, labels_a))
    return float(np.mean([accuracy(votes(query, ref, known, k).label, own) for query, ref, own, known in both]))


@metric(
    "silhouette",
    takes="states, labels",
    better="higher",
    per="cell",
    scale="one space for both assays",
    formula="(b - a) / max(a, b): a the mean distance to cells of the same label, b to those of the nearest other one",
    source="Rousseeuw, J Comput Appl Math 1987; as scikit-learn has it",
    fooled_by="labels that are not round clusters; a latent that keeps labels apart and assays as well",
)
def silhouette(a: Array, b: Array, labels_a: NDArray[np.str_], labels_b: NDArray[np.str_]) -> float:
    """Mean silhouette of labels over cells of both assays; 1 best, 0 where labels overlap.

    Parameters
    ----------
    a, b, labels_a, labels_b
        As for `label_transfer`; there are at least two labels.
    """
    return float(silhouette_score(np.concatenate([a, b]), np.concatenate([labels_a, labels_b])))


@metric(
    "overcorrection_canary",
    takes="states, labels",
    better="lower",
    per="table",
    scale="one space for both assays",
    formula="share of a type's cells that find a confident match in the other assay without that type; mean over types",
    source="written here",
    fooled_by="a latent in which nothing is near anything; one type that is a shade of another",
)
def overcorrection_canary(
    a: Array, b: Array, labels_a: NDArray[np.str_], labels_b: NDArray[np.str_], k: int = 5
) -> float:
    """Share of cells that are matched with confidence although the other assay lacks their type.

    Every type in turn is left out of one assay; the cells of the other one that have it should then find no match that
    `trusted` believes. NaN where no type has enough cells.

    Parameters
    ----------
    a, b, labels_a, labels_b, k
        As for `label_transfer`.
    """
    rates = [*_rates(a, b, labels_a, labels_b, k), *_rates(b, a, labels_b, labels_a, k)]
    return float(np.mean(rates)) if rates else float("nan")


def _rates(query: Array, reference: Array, label_q: NDArray[np.str_], label_r: NDArray[np.str_], k: int) -> list[float]:
    """Per type, the share of its query cells matched with confidence although the reference lacks the type."""
    rates = []
    for kind in np.unique(label_q):
        rest = label_r != kind
        mine = label_q == kind
        if mine.sum() < FEWEST_CELLS or rest.sum() <= k or len(np.unique(label_r[rest])) < 2:
            continue
        rates.append(float(trusted(query, reference[rest], label_r[rest], k)[mine].mean()))
    return rates

"""What a predictor is asked, what it answers, and which two methods make it a predictor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from scvcell._containers import Container
    from scvcell._types import Array
    from scvcell.perturb import Action
    from scvcell.risk._split import Split

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Levels of the quantiles that an answer may have: the same for all, so that CRPS and PIT of two may be compared."""


@dataclass(frozen=True)
class Place:
    """Asks for states of cells, each from one assay, all in one space.

    Parameters
    ----------
    cells
        Modality -> names of its cells, in an order that does not tell which cells belong together.
    """

    cells: Mapping[str, pd.Index]


@dataclass(frozen=True)
class Translate:
    """Asks for values of an assay that cells were not measured with.

    Parameters
    ----------
    source
        Modality that the cells have.
    to
        Modality that is asked for.
    cells
        Names of the cells.
    level
        Level of the interval that is asked for beside the value, in (0, 1).
    """

    source: str
    to: str
    cells: pd.Index
    level: float = 0.9


@dataclass(frozen=True)
class Effect:
    """Asks what an action does to cells.

    Parameters
    ----------
    action
        What is done.
    cells
        Names of the untreated cells to start from.
    modality
        Assay whose change is asked for.
    n_treated
        Treated cells of the pseudobulk in which the effect will be looked at.
    level
        Level of the interval that is asked for beside the effect, in (0, 1).
    """

    action: Action
    cells: pd.Index
    modality: str = "rna"
    n_treated: int | None = None
    level: float = 0.9


type Question = Place | Translate | Effect


@dataclass(frozen=True, eq=False)
class States:
    """Answer to `Place`.

    Parameters
    ----------
    of
        Modality -> states, cells x dimensions, labelled by names of cells; NaN for a cell without an answer.
    """

    of: Mapping[str, pd.DataFrame]


@dataclass(frozen=True, eq=False)
class Values:
    """Answer to `Translate`, on the scale of the measurement.

    Parameters
    ----------
    point
        Point prediction, cells x features, labelled by names; NaN where there is no answer.
    lower, upper
        Ends of the interval at the level of the question, same shape; None for a predictor without intervals.
    quantiles
        Each level of `QUANTILES` -> quantiles of what would be measured, same shape; None for a predictor without them.

    Raises
    ------
    ValueError
        If there is one end of the interval without the other.
    """

    point: pd.DataFrame
    lower: pd.DataFrame | None = None
    upper: pd.DataFrame | None = None
    quantiles: Mapping[float, pd.DataFrame] | None = None

    def __post_init__(self) -> None:
        if (self.lower is None) != (self.upper is None):
            raise ValueError("Give both ends of the interval, or none.")

    def at(self, cells: pd.Index, features: pd.Index) -> list[Array]:
        """Point prediction of some cells x features, then both ends of its interval if there are any.

        Cells and features without an answer are NaN.
        """
        frames = [self.point] + [end for end in (self.lower, self.upper) if end is not None]
        return [frame.reindex(index=cells, columns=features).to_numpy(float) for frame in frames]

    def quantiles_at(self, cells: pd.Index, features: pd.Index) -> Array | None:
        """Quantiles of some cells x features, ``(levels, cells, features)``; NaN where there is none."""
        if self.quantiles is None:
            return None
        frames = [self.quantiles[level].reindex(index=cells, columns=features) for level in QUANTILES]
        return np.array([frame.to_numpy(float) for frame in frames])


@dataclass(frozen=True, eq=False)
class Effects:
    """Answer to `Effect`: differences of means of ``log1p`` of counts per 10,000, after the action and before.

    Parameters
    ----------
    change
        Labelled by features: ``effect``, and ``lower`` and ``upper`` of a predictor with intervals, which speak of the
        effect as it would be measured; NaN where there is no answer.
    after
        Counts of cells after the action, cells or draws x features, of a predictor that has them.
    quantiles
        Of the effect as it would be measured, features x the levels of `QUANTILES`; None for a predictor without them.
    """

    change: pd.DataFrame
    after: pd.DataFrame | None = None
    quantiles: pd.DataFrame | None = None


type Prediction = States | Values | Effects


class Predictor(Protocol):
    """A fitted model, a simple baseline, a peer, a folder of files: whatever learns from data and answers questions."""

    name: str
    """Name in tables."""

    def fit(self, data: Container, split: Split, seed: int) -> None:
        """Learn from `data`, from which all that is hidden was taken; the rest of ``split.test`` may still be in it."""

    def predict(self, question: Question) -> Prediction | None:
        """Answer a question; None if it does not answer questions of this kind."""


def numbers(frame: pd.DataFrame) -> Array:
    """Values of a table as floats: as they are where they are floats, without a copy.

    Raises
    ------
    TypeError, ValueError
        If there are others than numbers.
    """
    values = frame.to_numpy()
    return values if values.dtype.kind == "f" else frame.to_numpy(float)

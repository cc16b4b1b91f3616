"""What nobody has to learn: the mean of what was seen, and states at random."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scvcell._containers import view
from scvcell.risk._log_counts import column_means
from scvcell.risk._predictor import Place, States, Translate, Values
from scvcell.score import log_counts

if TYPE_CHECKING:
    from scvcell._containers import Container
    from scvcell.risk._predictor import Prediction, Question
    from scvcell.risk._split import Split

DIMENSIONS = 8
"""Dimensions of random states."""


@dataclass
class Chance:
    """The mean profile for every cell, on the scale of ``log1p``, and random states."""

    name: str = "chance"
    _data: Container = field(default=None, init=False, repr=False, compare=False)
    _seed: int = field(default=0, init=False, repr=False, compare=False)

    def fit(self, data: Container, split: Split, seed: int) -> None:
        """Keep what may be seen."""
        self._data, self._seed = data, seed

    def predict(self, question: Question) -> Prediction | None:
        """Random states of a `Place`; the mean of all cells that have the assay for a `Translate`."""
        if isinstance(question, Place):
            found = {}
            for modality, cells in question.cells.items():
                rng = np.random.default_rng([self._seed, zlib.crc32(modality.encode())])
                found[modality] = pd.DataFrame(rng.normal(size=(len(cells), DIMENSIONS)), cells)
            return States(found)
        if not isinstance(question, Translate) or question.to not in view(self._data).modalities:
            return None
        table = view(self._data).modalities[question.to]
        mean = np.expm1(column_means(table.X, of=log_counts))
        return Values(pd.DataFrame(np.tile(mean, (len(question.cells), 1)), question.cells, table.var_names))

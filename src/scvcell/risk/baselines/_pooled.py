"""Sums of cells as the mean of what was seen: shares of kinds, and features at the depth of each sum."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scvcell._containers import view
from scvcell._labels import labels
from scvcell.risk._log_counts import column_means
from scvcell.risk._predictor import Translate, Values
from scvcell.score import dense

if TYPE_CHECKING:
    from scvcell._containers import Container
    from scvcell.risk._predictor import Prediction, Question
    from scvcell.risk._split import Split


@dataclass
class PooledMean:
    """The shares of kinds among all cells for every patch, and the mean profile of cells at the depth of the patch.

    Parameters
    ----------
    modality
        Assay of the cells.
    """

    modality: str = "rna"
    name: str = "mean of cells"
    _data: Container = field(default=None, init=False, repr=False, compare=False)

    def fit(self, data: Container, split: Split, seed: int) -> None:
        """Keep what may be seen."""
        self._data = data

    def predict(self, question: Question) -> Prediction | None:
        """Shares, where the question is for a column of kinds; else sums."""
        tables = view(self._data).modalities
        if not isinstance(question, Translate) or question.source not in tables or self.modality not in tables:
            return None
        cells, n = tables[self.modality], len(question.cells)
        if question.to in cells.obs:
            share = labels(cells.obs[question.to]).value_counts(normalize=True).sort_index()
            return Values(pd.DataFrame(np.tile(share.to_numpy(), (n, 1)), question.cells, share.index))
        if question.to != self.modality:
            return None
        sums = tables[question.source][question.cells]
        mean = pd.Series(column_means(cells.X), cells.var_names)
        depth = dense(sums.X).sum(1) / max(mean.reindex(sums.var_names).sum(), 1e-12)
        return Values(pd.DataFrame(np.outer(depth, mean), question.cells, mean.index))

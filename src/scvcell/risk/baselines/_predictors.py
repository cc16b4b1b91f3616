"""Simple predictions of an action as predictors: one adapter for all of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scvcell._containers import view
from scvcell._registry import near_miss
from scvcell.perturb import read_design
from scvcell.risk._log_counts import LogCounts, column_means
from scvcell.risk._predictor import Effect, Effects
from scvcell.risk.baselines._actions import BASELINES
from scvcell.score import PER_CELL

if TYPE_CHECKING:
    from scvcell._containers import Container
    from scvcell._types import Mask
    from scvcell.perturb import Design, PerturbationKeys
    from scvcell.risk._predictor import Prediction, Question
    from scvcell.risk._split import Split


def action_baselines() -> list[str]:
    """Names of all simple predictions of an action but the replicate, which has to see what is asked for."""
    return [name for name in BASELINES if name != "replicate"]


@dataclass
class EffectBaseline:
    """A simple prediction of what an action does. It answers `Effect`, without intervals.

    It learns on all cells that the split lets it learn from.

    Parameters
    ----------
    name
        One of `scvcell.risk.baselines.BASELINES`.
    keys
        Columns that say what was done.

    Raises
    ------
    ValueError
        If there is no such baseline.

    Notes
    -----
    It works on ``log1p`` of counts per 10,000. Cells after the action are given as counts at the depth that they have,
    and what would be below 0 is 0.
    """

    name: str
    keys: PerturbationKeys
    _data: Container = field(default=None, init=False, repr=False)
    _split: Split = field(init=False, repr=False)
    _seen: dict[str, tuple[pd.Index, pd.Index, LogCounts, Design, Mask]] = field(
        default_factory=dict, init=False, repr=False
    )

    def __post_init__(self) -> None:
        if self.name not in BASELINES:
            raise ValueError(
                f"There is no baseline {self.name!r}.{near_miss(self.name, list(BASELINES))} There are "
                f"{', '.join(BASELINES)}."
            )

    def fit(self, data: Container, split: Split, seed: int) -> None:
        """Keep what may be seen; what is learned depends on the question."""
        self._data, self._split, self._seen = data, split, {}

    def predict(self, question: Question) -> Prediction | None:
        """The effect on the mean, and the cells after it, as far as they have the assay.

        Raises
        ------
        ValueError
            If the baseline is ``"replicate"``, and no cell that may be seen was measured after this very action.
        """
        if not isinstance(question, Effect) or question.modality not in view(self._data).modalities:
            return None
        names, features, values, design, allowed = self._read(question.modality)
        cells = names.get_indexer(question.cells)
        cells = cells[cells >= 0]
        after = BASELINES[self.name](values, design, allowed, question.action, cells)
        change = after.mean(0) - column_means(values, cells)
        np.expm1(np.maximum(after, 0, out=after), out=after)  # cells x features, of which one more may not fit
        after *= values.depth(cells)[:, None] / PER_CELL
        effect = pd.DataFrame({"effect": change}, index=features)
        return Effects(effect, pd.DataFrame(after, names[cells], features, copy=False))

    def _read(self, modality: str) -> tuple[pd.Index, pd.Index, LogCounts, Design, Mask]:
        """Names, features and values of the cells of an assay, what was done to them, and which may be learned from."""
        if modality not in self._seen:
            seen = view(self._data)
            adata = seen.modalities[modality]
            rows = seen.obs_names.get_indexer(adata.obs_names)
            design = read_design(self.keys, lambda key: seen.column(key).iloc[rows])
            allowed = adata.obs_names.isin(self._split.train) | adata.obs_names.isin(self._split.calibration)
            self._seen[modality] = adata.obs_names, adata.var_names, LogCounts(adata.X), design, np.asarray(allowed)
        return self._seen[modality]

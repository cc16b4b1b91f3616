"""Eq. 5: phi by profiles, the label of each cell."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from scvcell.risk.readouts._base import FEWEST_SHARED, READOUTS, Readout, digest

if TYPE_CHECKING:
    from scvcell._types import Array


@READOUTS.register("labels")
@dataclass(frozen=True, eq=False)
class Labels(Readout):
    """The label of the profile that is most like each cell, by correlation.

    Parameters
    ----------
    profiles
        Mean values of each label on the scale of ``log1p``, labels x features.
    name
        Name in tables.
    metrics
        Names in `scvcell.score.METRICS`.
    """

    reads: ClassVar[tuple[str, ...]] = ("cells",)

    profiles: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)
    name: str = "labels"
    metrics: tuple[str, ...] = ("accuracy", "macro_f1")

    def __post_init__(self) -> None:
        if not isinstance(self.profiles, pd.DataFrame) or len(self.profiles) < 2:
            raise ValueError(
                "A readout of labels needs the mean profiles of at least two labels: "
                "scvcell.risk.Labels(log_values.groupby(labels).mean())."
            )

    @property
    def identity(self) -> str:
        """Name, metrics and what the profiles hold."""
        return f"{self.name} {self.metrics} {digest(self.profiles)}"

    def __call__(self, values: Array, features: pd.Index) -> Any:
        """Labels, ``(rows,)``."""
        shared = features.intersection(self.profiles.columns)
        known = self.profiles[shared].to_numpy(float)
        x = values[:, features.get_indexer(shared)]
        both = [z - z.mean(1, keepdims=True) for z in (x, known)]
        both = [z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12) for z in both]
        return self.profiles.index.to_numpy(str)[(both[0] @ both[1].T).argmax(1)]

    def check(self, features: pd.Index) -> None:
        """Refuse profiles of other features."""
        if len(features.intersection(self.profiles.columns)) < FEWEST_SHARED:
            raise ValueError(
                f"The profiles of {self.name!r} share fewer than {FEWEST_SHARED} features with the data, whose are "
                f"called e.g. {features[0]!r}."
            )

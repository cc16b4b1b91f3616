"""Eq. 5: phi of sets of cells is the cells, whose distributions are compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from scvcell.risk.readouts._base import READOUTS, Readout

if TYPE_CHECKING:
    import pandas as pd

    from scvcell._types import Array


@READOUTS.register("distribution")
@dataclass(frozen=True)
class Distribution(Readout):
    """Sets of cells, as distributions."""

    reads: ClassVar[tuple[str, ...]] = ("cells",)

    name: str = "distribution"
    metrics: tuple[str, ...] = ("energy_distance",)

    def __call__(self, values: Array, features: pd.Index) -> Array:
        """The same values."""
        return values

"""Eq. 5: phi of an effect is the effect itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from scvcell.risk.readouts._base import READOUTS, Readout

if TYPE_CHECKING:
    import pandas as pd

    from scvcell._types import Array


@READOUTS.register("effect")
@dataclass(frozen=True)
class EffectReadout(Readout):
    """The effect itself, feature by feature."""

    reads: ClassVar[tuple[str, ...]] = ("effects",)

    name: str = "effect"
    metrics: tuple[str, ...] = ("pearson_effect", "nmae", "slope", "pds")

    def __call__(self, values: Array, features: pd.Index) -> Array:
        """The same values."""
        return values

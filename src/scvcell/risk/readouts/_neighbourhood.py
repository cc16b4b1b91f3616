"""Eq. 5: phi by places, which kinds of cells surround each cell."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from scvcell._checks import whole_number
from scvcell._containers import Space, view
from scvcell.risk.readouts._base import READOUTS, Readout, digest
from scvcell.risk.readouts._labels import Labels

if TYPE_CHECKING:
    from scvcell._containers import Container
    from scvcell._types import Array


@READOUTS.register("neighbourhood", aliases=("niche", "neighborhood"))
@dataclass(frozen=True, eq=False)
class Neighbourhood(Readout):
    """Shares of kinds of cells among the nearest neighbours of each cell.

    The kind of a cell is that of the profile that is most like it, as in `Labels`: once by what was predicted, once by
    what was measured. Neighbours are the nearest of the cells that were asked for and answered, of the same section. A
    question about cells without a place, such as cells after an action, is not looked at.

    Parameters
    ----------
    data
        Where cells are: ``.obsm["spatial"]``, or a SpatialData.
    profiles
        Mean values of each kind on the scale of ``log1p``, kinds x features.
    k
        Neighbours of a cell.
    section_key
        Column of the section: sections share no neighbours.
    name
        Name in tables.
    metrics
        Names in `scvcell.score.METRICS`.

    Raises
    ------
    ValueError
        If there are no coordinates, or profiles of fewer than two kinds.

    Examples
    --------
    >>> profiles = values.groupby(adata.obs["cell_type"]).mean()
    >>> readout = scvcell.risk.Neighbourhood(adata, profiles, section_key="slide")
    """

    reads: ClassVar[tuple[str, ...]] = ("cells",)

    data: Container | None = field(default=None, repr=False)
    profiles: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)
    k: int = 18
    section_key: str | None = None
    name: str = "neighbourhood"
    metrics: tuple[str, ...] = ("pearson", "rmse")
    _space: Any = field(default=None, init=False, repr=False)
    _labels: Any = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.data is None:
            raise ValueError(
                "A readout of neighbourhoods needs to know where cells are, and the profiles of their kinds: "
                "Neighbourhood(data, log_values.groupby(kinds).mean())."
            )
        whole_number("k", self.k, 1)
        object.__setattr__(self, "_labels", Labels(self.profiles, self.name))
        object.__setattr__(self, "_space", Space.of(view(self.data), self.section_key))

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"data": ()}  # places are kept, values are not

    @property
    def identity(self) -> str:
        """Name, metrics, places and what the profiles hold."""
        places = pd.DataFrame(self._space.xy, self._space.names).assign(section=self._space.section)
        return f"{self.name} {self.k} {self.metrics} {digest(places)} {digest(self.profiles)}"

    def __call__(self, values: Array, features: pd.Index) -> Array:
        """One for the kind of each cell, zero for the others, ``(cells, kinds)``."""
        kind = self._labels(values, features)
        return np.equal.outer(kind, self.profiles.index.to_numpy(str)).astype(float)

    def pool(self, seen: Array, cells: pd.Index) -> Array:
        """Their mean over the neighbours of each cell; NaN of a cell without a place."""
        at = self._space.names.get_indexer(cells)
        placed = np.flatnonzero((at >= 0) & self._space.placed[at])
        out = np.full(seen.shape, np.nan)
        if len(placed) < 2:
            return out
        space = self._space
        here = Space(cells[placed], space.xy[at[placed]], space.section[at[placed]], space.sections)
        near = here.nearest(self.k, itself=False)
        weight = near.weight
        out[placed] = np.where(weight[:, None] > 0, near.matrix @ seen[placed] / np.maximum(weight, 1)[:, None], np.nan)
        return out

    def check(self, features: pd.Index) -> None:
        """Refuse profiles of other features."""
        self._labels.check(features)

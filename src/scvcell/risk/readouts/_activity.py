"""Eq. 5: phi by a network, activities of pathways or regulators."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pandas as pd

from scvcell import score
from scvcell.risk.readouts._base import FEWEST_SHARED, READOUTS, Readout, digest

if TYPE_CHECKING:
    from scvcell._types import Array

NETWORK = ["source", "target", "weight"]
"""Columns of a network."""


@READOUTS.register("activity", aliases=("pathway", "regulator"))
@dataclass(frozen=True, eq=False)
class Activity(Readout):
    """Activities of pathways or regulators, by a univariate linear model on a network of the user's.

    Parameters
    ----------
    network
        Columns ``source``, ``target`` (a feature) and, if weights differ, ``weight``.
    name
        Name in tables: ``"pathway"``, ``"regulator"``.
    metrics
        Names in `scvcell.score.METRICS`.

    Raises
    ------
    TypeError
        If the network is no table.
    ValueError
        If a column is lacking, or an edge is there twice.

    Notes
    -----
    Sources with fewer than five features of the data are left out.

    Examples
    --------
    >>> network = pd.DataFrame({"source": "interferon", "target": ["STAT1", "IRF1", "ISG15", "MX1", "IFI6"]})
    >>> report = scvcell.risk.evaluate(model, adata, readouts=["effect", scvcell.risk.Activity(network)])
    """

    network: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)
    name: str = "pathway"
    metrics: tuple[str, ...] = ("pearson_effect", "nmae", "slope", "pds", "pearson")

    def __post_init__(self) -> None:
        if not isinstance(self.network, pd.DataFrame):
            raise TypeError(f"network must be a DataFrame with the columns {NETWORK}, not {self.network!r}.")
        table = self.network if "weight" in self.network else self.network.assign(weight=1.0)
        if lacking := [column for column in NETWORK if column not in table]:
            raise ValueError(
                f"network lacks {', '.join(lacking)}; it has the columns {list(self.network.columns)}. "
                "Give a readout of activities its network: scvcell.risk.Activity(network)."
            )
        twice = table.duplicated(["source", "target"])
        if twice.any():
            edge = table.loc[twice, ["source", "target"]].iloc[0].tolist()
            raise ValueError(
                f"network has the edge {edge} twice; drop_duplicates(['source', 'target']) keeps the first."
            )
        object.__setattr__(self, "network", table[NETWORK].reset_index(drop=True))

    @property
    def identity(self) -> str:
        """Name, metrics and what the network holds."""
        return f"{self.name} {self.metrics} {digest(self.network)}"

    def weights(self, features: pd.Index) -> pd.DataFrame:
        """Weight of every feature in every source that has enough of them, features x sources."""
        wide = self.network.pivot(index="target", columns="source", values="weight")
        wide = wide.reindex(features).fillna(0.0)
        return wide.loc[:, (wide != 0).sum() >= FEWEST_SHARED]

    def __call__(self, values: Array, features: pd.Index) -> Array:
        """Activities of the sources, ``(rows, sources)``."""
        return score.ulm(values, self.weights(features).to_numpy(float))

    def check(self, features: pd.Index) -> None:
        """Refuse a network that hardly meets the data."""
        if self.weights(features).shape[1] < 2:
            raise ValueError(
                f"The network of {self.name!r} has fewer than two sources with {FEWEST_SHARED} of the {len(features)} "
                f"features, e.g. {features[0]!r}; its targets are called e.g. {self.network['target'].iloc[0]!r}. Name "
                "both alike."
            )

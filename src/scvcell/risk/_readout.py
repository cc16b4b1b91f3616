"""Eq. 5: phi, what is looked at in an answer and in the truth before the two are compared."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from scvcell import score
from scvcell._registry import Registry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scvcell._types import Array

NETWORK = ["source", "target", "weight"]
"""Columns of a network."""
FEWEST_TARGETS = 5
"""Features of the data that a source of a network has to have."""


class Readout(ABC):
    """What is looked at in an answer and in the truth, and by which metrics the two are compared.

    Attributes
    ----------
    name
        Name in tables.
    metrics
        Names in `scvcell.score.METRICS`. Those that take what is at hand are used.
    reads
        What it can be looked at in: ``"effects"`` of actions, ``"cells"`` with their values, or both.
    """

    name: str
    metrics: tuple[str, ...]
    reads: ClassVar[tuple[str, ...]] = ("effects", "cells")

    @abstractmethod
    def __call__(self, values: Array, features: pd.Index) -> Array:
        """What is looked at.

        Parameters
        ----------
        values
            Effects of one or more conditions, or values of cells on a log scale, ``(rows, features)``.
        features
            Names of the features.

        Returns
        -------
        As many rows; labels have one dimension.
        """

    @property
    def identity(self) -> str:
        """What tells readouts apart whose scores differ."""
        return f"{self!r} {self.metrics}"

    def check(self, features: pd.Index) -> None:
        """Refuse data in which there is nothing to look at; by default there is.

        Raises
        ------
        ValueError
            Saying what the data lack.
        """
        if not len(features):
            raise ValueError(f"The data have no features for the readout {self.name!r}.")


READOUTS: Registry[type[Readout]] = Registry("readout", "scvcell.readouts")
"""Every readout by name, the package's own and those of other packages."""


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
        return f"{self.name} {self.metrics} {_digest(self.network)}"

    def weights(self, features: pd.Index) -> pd.DataFrame:
        """Weight of every feature in every source that has enough of them, features x sources."""
        wide = self.network.pivot(index="target", columns="source", values="weight")
        wide = wide.reindex(features).fillna(0.0)
        return wide.loc[:, (wide != 0).sum() >= FEWEST_TARGETS]

    def __call__(self, values: Array, features: pd.Index) -> Array:
        """Activities of the sources, ``(rows, sources)``."""
        return score.ulm(values, self.weights(features).to_numpy(float))

    def check(self, features: pd.Index) -> None:
        """Refuse a network that hardly meets the data."""
        if self.weights(features).shape[1] < 2:
            raise ValueError(
                f"The network of {self.name!r} has fewer than two sources with {FEWEST_TARGETS} of the {len(features)} "
                f"features, e.g. {features[0]!r}; its targets are called e.g. {self.network['target'].iloc[0]!r}. Name "
                "both alike."
            )


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
        return f"{self.name} {self.metrics} {_digest(self.profiles)}"

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
        if len(features.intersection(self.profiles.columns)) < FEWEST_TARGETS:
            raise ValueError(
                f"The profiles of {self.name!r} share fewer than {FEWEST_TARGETS} features with the data, whose are "
                f"called e.g. {features[0]!r}."
            )


def _digest(table: pd.DataFrame) -> str:
    """What tells tables apart."""
    return hashlib.sha256(table.to_csv().encode()).hexdigest()[:16]


def readouts_of(given: Iterable[str | Readout] | str | Readout | None) -> list[Readout]:
    """Readouts by name or as they are; by default effects and distributions.

    Raises
    ------
    TypeError
        If one is neither.
    KeyError
        If there is none of that name.
    ValueError
        If one needs more than its name, or two have the same name.
    """
    if given is None:
        given = ("effect", "distribution")
    if isinstance(given, str | Readout):
        given = (given,)
    found: list[Readout] = []
    for each in given:
        if isinstance(each, str):
            found.append(READOUTS[READOUTS.infer(each) or each]())
        elif isinstance(each, Readout):
            found.append(each)
        else:
            raise TypeError(f"A readout is a name, one of {', '.join(READOUTS)}, or a Readout, not {each!r}.")
    names = [each.name for each in found]
    if len(set(names)) < len(names):
        raise ValueError(f"Two readouts have the same name: {names}. Give one of them another name=.")
    return found

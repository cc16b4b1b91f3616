"""Eq. 5: phi, what is looked at in an answer and in the truth before the two are compared."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from scvcell._registry import Registry

if TYPE_CHECKING:
    import pandas as pd

    from scvcell._types import Array

FEWEST_SHARED = 5
"""Features of the data that a readout has to know."""


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

    def pool(self, seen: Array, cells: pd.Index) -> Array:
        """What is seen of cells, taken together over others where the readout does so; by default as it is.

        Parameters
        ----------
        seen
            What `__call__` gives, ``(cells, ...)``.
        cells
            Names of the cells in the data.
        """
        return seen

    def classes(self, seen: Array) -> Any:
        """Label of each row ``(rows,)``, where what is seen tells one; None where it does not."""
        return seen if seen.ndim == 1 else None

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


def digest(table: pd.DataFrame) -> str:
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
    if isinstance(given, str | Readout) or not isinstance(given, Iterable):
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

"""What a way of splitting is: items that are left out whole, and what follows for each cell when some are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from scvcell._registry import Registry, near_miss

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from scvcell._containers import View
    from scvcell._types import Mask
    from scvcell.perturb import PerturbationKeys


@dataclass(frozen=True)
class Asked:
    """What a splitter is given: the data, and those arguments of `scvcell.pp.split` that it takes.

    Attributes
    ----------
    seen
        The data.
    by
        Name of the splitter, or of the column.
    perturbation
        Columns that say what was done.
    classes
        Class of each target, or the column that says it.
    gap
        Distance to test cells within which a cell is in no part.
    section_key
        Column of the section.
    n_folds
        Number of folds; None for one split.
    """

    seen: View
    by: str
    perturbation: PerturbationKeys | None = None
    classes: Any = None
    gap: float | None = None
    section_key: str | None = None
    n_folds: int | None = None


OPTIONS = ("perturbation", "classes", "gap", "section_key")
"""Arguments that a splitter may take or not."""


class Left(NamedTuple):
    """What leaving out some items means for each cell.

    Attributes
    ----------
    test
        Cells that are asked about, ``(cells,)``.
    outside
        Cells that may neither be learned from nor are asked about, by the reason, ``(cells,)`` each.
    """

    test: Mask
    outside: Mapping[str, Mask] = {}


@dataclass(frozen=True)
class Items:
    """What may be left out.

    Attributes
    ----------
    names
        Name of each item, sorted and no two alike.
    size
        Number of its cells, ``(items,)``.
    """

    names: list[str]
    size: NDArray[np.int64] = field(repr=False)

    @classmethod
    def of(cls, code: NDArray[Any], names: Sequence[str]) -> Items:
        """Items by the number of the item of each cell, -1 for none."""
        return cls(list(names), np.bincount(code[code >= 0], minlength=len(names)).astype(np.int64))


class Splitter(ABC):
    """One way of splitting. Register it under a name, with ``SPLITTERS.register(name)`` or by an entry point.

    A subclass reads the data in its constructor, which sets all attributes but the class's own.

    Parameters
    ----------
    asked
        The data and the arguments.

    Attributes
    ----------
    new
        What is new about test cells, for the table of all splitters.
    exchangeable
        What its units are.
    cannot
        What it cannot show.
    takes, needs
        Arguments that it takes, and that it must be given, of `OPTIONS`.
    usual
        Share of the items that are asked about where the user says nothing.
    reason
        What is new about test cells, in a few words.
    strata
        Items that may be left out; of each of several kinds some are left out together.
    unit
        Exchangeable unit of each cell, None of cells that are in no part, ``(cells,)``.
    unknown
        Cells that are in no part, whatever is left out, by the reason.
    told
        What the split is to remember beside the arguments, plain values.
    held
        What has the items, as messages name it.
    """

    new: ClassVar[str] = ""
    exchangeable: ClassVar[str] = ""
    cannot: ClassVar[str] = ""
    takes: ClassVar[tuple[str, ...]] = ()
    needs: ClassVar[tuple[str, ...]] = ()
    usual: ClassVar[float] = 0.2
    reason: str
    strata: list[Items]
    unit: NDArray[Any]
    unknown: dict[str, Mask]
    told: Mapping[str, Any] = {}
    held: str = "What can be left out"

    @abstractmethod
    def __init__(self, asked: Asked) -> None: ...

    @abstractmethod
    def leave_out(self, items: Sequence[str], among: Mask) -> Left:
        """Which cells are asked about, and which are in no part, when some items are left out.

        Parameters
        ----------
        items
            Their names.
        among
            Cells that may be learned from if nothing is left out, ``(cells,)``.
        """

    @property
    def items(self) -> list[str]:
        """Every item, of all kinds."""
        return [name for each in self.strata for name in each.names]

    def named(self, names: Sequence[str]) -> list[str]:
        """Items that a user named, as they are called here; refuse what is none.

        Raises
        ------
        ValueError
            If a name is unknown.
        """
        known = set(self.items)
        for name in names:
            if name not in known:
                some = ", ".join(self.items[:8]) + (f" and {len(known) - 8} more" if len(known) > 8 else "")
                raise ValueError(f"{self.held} has no {name!r}.{near_miss(name, known)} It has {some}.")
        return list(dict.fromkeys(names))


SPLITTERS: Registry[type[Splitter]] = Registry("splitter", "scvcell.splitters")
"""Every way of splitting by name, the package's own and those of other packages."""

"""Targets by their class: a mechanism, a pathway or a scaffold of which no target is seen."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from scvcell._labels import labels, several
from scvcell.pp.splits._actions import ActionSplitter
from scvcell.pp.splits._splitter import SPLITTERS, Left

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scvcell._types import Mask
    from scvcell.pp.splits._splitter import Asked


class Classes(ActionSplitter):
    """Every action that has a target of some classes is asked about.

    Actions that have a target without a class are in no part.
    """

    takes = needs = ("perturbation", "classes")
    word: ClassVar[str]

    def __init__(self, asked: Asked) -> None:
        super().__init__(asked)
        self.reason = f"new {self.word}"
        self.of = self.read(asked)
        self.told = {"classes": {t: self.of[t] for t in self.design.targets if self.of.get(t)}}
        lost = self.having(t for t in self.design.targets if not self.of.get(t))
        if lost.all() or not (self.treated & ~lost).any():
            some = ", ".join(map(repr, self.design.targets[:3]))
            raise ValueError(f"classes= names no {self.word} of any target. Targets are called {some}.")
        self.unknown[f"no {self.word} is known of its target"] = lost
        names = sorted({c for t in self.design.targets for c in self.of.get(t, ())})
        self.strata = [self.sized(names, lambda name: self.having(self.members([name])) & ~lost)]

    def read(self, asked: Asked) -> dict[str, list[str]]:
        """Classes of each target."""
        if isinstance(asked.classes, str):
            return self._column(asked)
        given = asked.classes.to_dict() if isinstance(asked.classes, pd.Series) else asked.classes
        if not isinstance(given, Mapping):
            raise TypeError(
                f"classes= takes an obs column or a mapping from target to {self.word}, not {type(given).__name__}."
            )
        return {str(target): _known(value) for target, value in given.items()}

    def _column(self, asked: Asked) -> dict[str, list[str]]:
        """Classes by a column: those of the cells that have one target only."""
        column = labels(asked.seen.column(asked.classes)).to_numpy()
        found: dict[str, list[str]] = {}
        for i, action in enumerate(self.design.actions):
            if len(action.targets) == 1:
                there = column[self.design.code == i]
                found.setdefault(action.targets[0], []).extend(sorted({each for each in there if each is not None}))
        for target, classes in found.items():
            if len(set(classes)) > 1:
                raise ValueError(
                    f"obs[{asked.classes!r}] has several classes of {target!r}: {', '.join(sorted(set(classes)))}. "
                    "Give a mapping for targets that have several: classes={'A': ['one', 'other']}."
                )
        return {target: list(dict.fromkeys(classes)) for target, classes in found.items()}

    def members(self, names: Iterable[str]) -> list[str]:
        """Targets of some classes."""
        wanted = set(names)
        return [target for target in self.design.targets if wanted & set(self.of.get(target, ()))]

    def leave_out(self, items: Sequence[str], among: Mask) -> Left:
        """Actions with any target of the classes."""
        return Left(self.having(self.members(items)))


def _known(value: Any) -> list[str]:
    """The classes of one target."""
    if not isinstance(value, str) and np.iterable(value):
        return several(value)
    return [] if value is None or pd.isna(value) else several(value)


@SPLITTERS.register("mechanism", aliases=("moa",))
class Mechanism(Classes):
    """Targets by their mechanism of action."""

    word, new = "mechanism", "a mechanism of action"
    cannot = "mechanisms that the mapping does not tell apart"


@SPLITTERS.register("pathway")
class Pathway(Classes):
    """Targets by the pathways that they are in, of which they may have several."""

    word, new = "pathway", "a pathway of targets"
    cannot = "pathways that share their effects with seen ones"


@SPLITTERS.register("scaffold")
class Scaffold(Classes):
    """Compounds by their scaffold: given, or that of Bemis and Murcko of their SMILES, where RDKit is installed."""

    word, new = "scaffold", "a chemical scaffold"
    cannot = "compounds with other scaffolds and the same protein target"

    def read(self, asked: Asked) -> dict[str, list[str]]:
        """Scaffolds; of structures, where most of what is given looks like one."""
        found = super().read(asked)
        given = [is_smiles(name) for names in found.values() for name in names]
        if not given or sum(given) < len(given) / 2:
            return found
        return {target: [murcko(smiles) for smiles in names] for target, names in found.items()}


def is_smiles(text: str) -> bool:
    """Whether a text looks like a structure: letters of atoms, carbon among them, and bonds, branches or rings."""
    first = text.split(" ")[0]
    return not re.search(r"[^BCNOPSFIHKLMAZbcnopsrlaieutgdk0-9()\[\]=#@+\-/\\.%*:$~]", first) and bool(
        re.search(r"[Cc]", first) and re.search(r"[(=#\[]|[CNOScnos]\d", first)
    )


def murcko(smiles: str) -> str:
    """Scaffold of a structure, as SMILES; of one without rings its own.

    Raises
    ------
    ImportError
        If RDKit is not installed.
    ValueError
        If it is no structure.
    """
    try:
        from rdkit import Chem
        from rdkit.Chem.Scaffolds import MurckoScaffold
    except ImportError:
        raise ImportError(
            "classes= holds SMILES, and RDKit, which makes scaffolds of them, is not installed: pip install rdkit. Or "
            "give the scaffolds themselves, by names that are no structures: classes={'compound': 'scaffold'}."
        ) from None
    molecule = Chem.MolFromSmiles(smiles)
    if molecule is None:
        raise ValueError(f"classes= holds {smiles!r}, which is no structure that RDKit can read.")
    return MurckoScaffold.MurckoScaffoldSmiles(mol=molecule) or smiles

"""Which cells may be learned from, which set intervals, which are asked about, and how they were chosen."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scvcell._containers import view_units
from scvcell._labels import label
from scvcell.pp.splits import _store

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path
    from typing import Self

    from scvcell._containers import Container, View

TRAIN, CALIBRATION, TEST = PARTS = ("train", "calibration", "test")
SEEN, SETS = "may be learned from", "sets intervals"
"""Why a cell is in training, and in calibration, where nobody says more."""


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """Names of the cells of three parts that share no cell, and why they were chosen.

    Two splits are equal if they have the same cells in the same parts, for the same reasons, whatever their order.

    Parameters
    ----------
    train
        Cells that may be learned from.
    calibration
        Cells that set intervals and nothing else. May be empty; a predictor then takes some of `train`.
    test
        Cells that are asked about: something of them is hidden.
    reason
        What is new about `test`, in a few words: ``"another donor"``.
    how
        The arguments and the seed with which the split was made, plain values; ``how["splitter"]`` is its name.
    unit
        Exchangeable unit of each cell, by its name: the donor, the block, the action in its context. Cells of one unit
        are no independent evidence. By default every cell is one of its own.
    why
        Of each cell of the data, by its name, why it is in its part, or in none. By default `reason` for `test`.
    data
        What the split was made for, of `describe_data`: number of cells; of each modality the number of features and a
        digest of their names. Empty: not known.

    Raises
    ------
    ValueError
        If `train` or `test` is empty, a part has a name twice, two parts share a name, or a cell has no unit.
    """

    train: pd.Index
    calibration: pd.Index
    test: pd.Index
    reason: str = ""
    how: Mapping[str, Any] = field(default_factory=dict)
    unit: pd.Series | None = None
    why: pd.Series | None = None
    data: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for part in PARTS:
            names = pd.Index(getattr(self, part), dtype=object)
            object.__setattr__(self, part, names)
            if not names.is_unique:
                raise ValueError(f"{part} names {names[names.duplicated()][0]!r} twice.")
            if part != CALIBRATION and not len(names):
                raise ValueError(f"{part} has no cells. {self.reason}".strip())
        for i, one in enumerate(PARTS):
            for other in PARTS[i + 1 :]:
                if len(shared := getattr(self, one).intersection(getattr(self, other))):
                    raise ValueError(f"{one} and {other} share {len(shared)} cells, e.g. {shared[0]!r}.")
        object.__setattr__(self, "how", plain(self.how))
        object.__setattr__(self, "data", plain(self.data))
        every = self.train.append([self.calibration, self.test])
        unit = pd.Series(every, every) if self.unit is None else self.unit
        object.__setattr__(self, "unit", _of_each("unit", unit, every).reindex(every))
        texts = np.repeat([SEEN, SETS, self.reason], [len(getattr(self, part)) for part in PARTS])
        why = pd.Series(texts, every, dtype=object) if self.why is None else self.why
        object.__setattr__(self, "why", _of_each("why", why, every))

    def __repr__(self) -> str:
        sizes = ", ".join(f"{part} {len(getattr(self, part))}" for part in PARTS)
        beside = "".join(f"; in no part {n}: {text}" for text, n in self.outside.value_counts(sort=False).items())
        return f"Split({sizes}: {self.reason or 'no reason given'}{beside})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Split):
            return NotImplemented
        if any(getattr(self, name) != getattr(other, name) for name in ("digest", "reason", "how", "data")):
            return False
        pairs = ((self.units, other.units), (self.reasons, other.reasons))
        return all(one.sort_index().equals(two.sort_index()) for one, two in pairs)

    def __hash__(self) -> int:
        return hash(self.digest)

    @property
    def units(self) -> pd.Series:
        """As `unit`, which a split always has."""
        return self.unit  # type: ignore[return-value]

    @property
    def reasons(self) -> pd.Series:
        """As `why`, which a split always has."""
        return self.why  # type: ignore[return-value]

    @property
    def outside(self) -> pd.Series:
        """Cells of the data that are in no part, and why."""
        every = self.units.index
        return self.reasons[~self.reasons.index.isin(every)]

    @property
    def hidden(self) -> pd.Index:
        """Cells of the data that must not be learned from: all but `train`, those in no part too."""
        return self.reasons.index.difference(self.train, sort=False)

    @cached_property
    def digest(self) -> str:
        """Short name of what is in which part; the order of cells does not matter."""
        return digest("\n".join(sorted(getattr(self, part))) for part in PARTS)

    def check(self, data: Container | View, *, hidden: bool = False) -> None:
        """Refuse other data than those that the split was made for; their cells may come in any order.

        Data with fewer features pass, as features are chosen on training cells, after the split.

        Parameters
        ----------
        data
            The data.
        hidden
            Whether test cells may be lacking, as where they were taken out of what a predictor sees.

        Raises
        ------
        ValueError
            Naming a cell that the data lack, or one that the split does not know, or the modality that is another.
        """
        seen = view_units(data)
        for part in PARTS:
            names = getattr(self, part)
            lost = names[seen.find(names) < 0].sort_values()
            if len(lost) and not (hidden and part == TEST):
                raise ValueError(f"{part} names {len(lost)} cells that the data lack, e.g. {lost[0]!r}.")
        if not self.data:
            return
        new = seen.names(np.flatnonzero(~seen.among(self.reasons.index)))
        if len(new):
            raise ValueError(
                f"The split was made for other data: it does not know {len(new)} of these {seen.n_obs} cells, e.g. "
                f"{new[0]!r}. Make it for these (scvcell.pp.split), or take those that it knows: "
                "data[data.obs_names.isin(split.why.index)]."
            )
        for name, (n, mark) in describe_data(seen)["features"].items():
            known = self.data["features"].get(name)
            if known is not None and mark != known[1] and n >= known[0]:
                raise ValueError(
                    f"The split was made for other data: modality {name!r} had {known[0]} features, and has {n} now "
                    "with other names. Make it for these data: scvcell.pp.split."
                )

    def save(self, path: str | Path) -> Path:
        """Write the split to a file, JSON without any code; an older file there is replaced.

        Parameters
        ----------
        path
            File, usually ``"split.json"``; the folder must exist.
        """
        parts = {part: getattr(self, part) for part in PARTS}
        about = {key: getattr(self, key) for key in ("digest", "reason", "how", "data")}
        return _store.save(path, parts, self.units, self.reasons, about)

    @classmethod
    def load(cls, path: str | Path, data: Container | View | None = None) -> Self:
        """Read a split that `save` wrote.

        Parameters
        ----------
        path
            File.
        data
            Data that it must be of, see `check`.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is no split, was written by a newer version, or is of other data.
        scvcell.errors.Damaged
            If it is not what was saved.
        """
        split = cls(**_store.load(path))
        _store.check_whole(path, split.digest)
        if data is not None:
            split.check(data)
        return split


def _of_each(what: str, given: Any, cells: pd.Index) -> pd.Series:
    """Labels of cells as text, by their names."""
    if not isinstance(given, pd.Series):
        raise TypeError(f"{what} must be a Series with the names of cells as its index, not {type(given).__name__}.")
    if not given.index.is_unique:
        raise ValueError(f"{what} names {given.index[given.index.duplicated()][0]!r} twice.")
    lost = cells.difference(given.index)
    if len(lost):
        raise ValueError(f"{what} lacks {len(lost)} cells of the split, e.g. {lost[0]!r}.")
    text = given.to_numpy(dtype=object)
    return pd.Series(text, pd.Index(given.index, dtype=object), dtype=object, name=what)


def describe_data(data: Container | View) -> dict[str, Any]:
    """What a split remembers of its data: number of cells; number and digest of the features of each modality.

    The order of cells and of features does not matter.
    """
    seen = view_units(data)
    names = {m: sorted(map(str, adata.var_names)) for m, adata in seen.modalities.items()}
    return {"cells": seen.n_obs, "features": {m: [len(each), digest(each)] for m, each in names.items()}}


def digest(texts: Iterable[str]) -> str:
    """Sixteen hexadecimal digits that tell texts apart."""
    found = hashlib.sha256()
    for text in texts:
        found.update(text.encode())
        found.update(b"\0")
    return found.hexdigest()[:16]


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as JSON gives them back, so that a split that was saved and read is the same."""
    return dict(json.loads(json.dumps(dict(values), default=_plain)))


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    return [_plain(each) for each in value] if isinstance(value, set | frozenset | pd.Index) else label(value)

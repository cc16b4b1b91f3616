"""What a check of leakage is: it reads a case and gives findings. What a split claims to be new."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from scvcell._labels import labels
from scvcell._registry import Registry
from scvcell.perturb import read_design

if TYPE_CHECKING:
    import pandas as pd

    from scvcell._containers import Container, View
    from scvcell._types import Mask, Rows
    from scvcell.perturb import Design, PerturbationKeys
    from scvcell.pp import Split
    from scvcell.risk._predictor import Predictor

type Verdict = Literal["green", "amber", "red"]

COLUMN_KINDS: dict[str, str] = {
    "donor": r"donor|patient|individual|subject",
    "cell type": r"cell_?types?",
    "cell line": r"cell_?lines?",
    "batch": r"batch|lane|library|plate|run|gem_?group|sample|channel",
    "platform": r"platform|technology|tech|chemistry|protocol",
    "site": r"site|cent(er|re)|hospital|lab|institute|cohort|study|dataset",
    "section": r"section|slide|slice",
    "scaffold": r"scaffold|murcko(_scaffold)?",
    "mechanism": r"moa|mechanism(_of_action)?",
    "pathway": r"pathway",
}
"""Kinds of groups, and the obs columns that are taken for them, alone or with ``_id``, ``_name`` or ``_key`` after."""
TECHNICAL = ("batch", "platform", "site", "section")
"""Kinds of groups that say how cells were measured, not what they are."""
OF_ACTIONS = ("scaffold", "mechanism", "pathway")
"""Kinds of groups of what was done to cells, which controls do not have."""
CLAIMS: dict[str, tuple[str, ...]] = {
    "group": (),
    "hold_out": (),
    "cell": (),
    "block": (),
    "hide_pairing": (),
    "action": ("action",),
    "hold_out_actions": ("action",),
    "target": ("target",),
    "new target": ("target",),
    "scaffold": ("scaffold",),
    "mechanism": ("mechanism",),
    "pathway": ("pathway",),
    "new combination": ("combination",),
    "combo seen 2": ("combination",),
    "combo seen 1": ("combination",),
    "combo seen 0": ("combination", "target"),
    "context": ("context",),
    "pair": ("pair",),
    "double-cold": ("target", "context"),
    "higher dose": ("dose", "higher dose"),
    "lower dose": ("dose", "lower dose"),
    "dose between": ("dose",),
    "later": ("time", "later"),
    "earlier": ("time", "earlier"),
    "time between": ("time",),
}
"""What splits claim to be new, by the name of their splitter."""
WORDS_OF_CLAIMS: dict[str, str] = {
    "scaffold": r"scaffold",
    "mechanism": r"mechanism|moa",
    "pathway": r"pathway",
    "combination": r"combination",
    "target": r"target|drug|compound|gene|knock-?out",
    "dose": r"dose",
    "time": r"time",
    "action": r"action|perturbation|treatment",
    "context": r"context",
    **{kind: words.replace("_?", "[ _]?") for kind, words in COLUMN_KINDS.items()},
}
"""What splits of other packages and hands claim, by the words after "new", "another" or "unseen" in their reason."""
_NEW = r"\b(?:new|another|other|unseen|held.?out|left.?out)\s+"


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Parameters
    ----------
    check
        Name of the check, as the table shows it.
    value
        What was found: a share, an area under a curve, a similarity.
    limit
        Up to where it is harmless; NaN where there is no limit.
    verdict
        ``"green"``: nothing found, or nothing that matters here. ``"amber"``: it cannot be ruled out, or readers have
        to know it. ``"red"``: scores would be better than they should be.
    says
        What that means, in a sentence.
    kind
        What must not be called unseen where the value is above its limit: ``"donor"``, ``"target"``, ``"cell"``.
    predictor
        Whom it is about; none, where it is about data and split.
    units
        Units behind the value, for `scvcell.pl.leakage`: ``unit``, ``nearest`` and ``similarity``.
    """

    check: str
    value: float
    limit: float
    verdict: Verdict
    says: str
    kind: str = ""
    predictor: str = ""
    units: pd.DataFrame | None = field(default=None, compare=False, repr=False)

    @property
    def over(self) -> bool:
        """Whether the value is above its limit."""
        return bool(self.value > self.limit)


@dataclass(frozen=True)
class Case:
    """All that a check may read; it may change nothing.

    Parameters
    ----------
    data, seen
        The data, and their view.
    split
        The split.
    keys
        Columns that say what was done to each cell, if anything was.
    covariates
        Obs columns that users named.
    similarity
        Features of targets, or how alike they are, see `scvcell.risk.audit`.
    predictors
        Predictors, not fitted for the audit.
    declared
        What users declare.
    seed
        Seed of everything random.
    """

    data: Container
    seen: View
    split: Split
    keys: PerturbationKeys | None = None
    covariates: tuple[str, ...] = ()
    similarity: Any = None
    predictors: tuple[Predictor, ...] = ()
    declared: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0

    @cached_property
    def train(self) -> Rows:
        """Positions of the training cells."""
        return self._positions("train")

    @cached_property
    def calibration(self) -> Rows:
        """Positions of the calibration cells."""
        return self._positions("calibration")

    @cached_property
    def test(self) -> Rows:
        """Positions of the test cells."""
        return self._positions("test")

    @cached_property
    def design(self) -> Design | None:
        """What was done to which cell."""
        return None if self.keys is None else read_design(self.keys, self.seen.column, complete=False)

    @property
    def groups(self) -> list[str]:
        """Obs columns whose groups the split says are new, but for classes of actions."""
        return [c for c in self.seen.columns if self.claims.groups(c) and kind_of(c) not in OF_ACTIONS]

    @cached_property
    def claims(self) -> Claims:
        """What the split says is new about its test cells."""
        return claims(self.split, self.seen.columns)

    def treated(self, cells: Rows) -> Rows:
        """Those of some cells to which something was done; all of them where no column says it."""
        return cells if self.design is None else cells[self.design.treated[cells]]

    def text(self, column: str) -> pd.Series:
        """Labels of a column as they are compared: without blanks around them, and in small letters."""
        return labels(self.seen.column(column)).map(lambda name: name if name is None else name.strip().casefold())

    def rng(self, number: int) -> np.random.Generator:
        """Random numbers of one check, whatever the others draw."""
        return np.random.default_rng([self.seed, number])

    def _positions(self, part: str) -> Rows:
        return self.seen.obs_names.get_indexer(getattr(self.split, part)).astype(np.int64)


type Check = Callable[[Case], Iterable[Finding]]

CHECKS: Registry[Check] = Registry("check of leakage", "scvcell.leakage_checks")
"""Every check by name, the package's own and those of other packages."""


@dataclass(frozen=True)
class Claims:
    """What a split says is new about its test cells.

    Parameters
    ----------
    columns
        Obs columns whose groups are new.
    kinds
        What else is new: ``"target"``, ``"dose"``, ``"donor"``.
    """

    columns: tuple[str, ...] = ()
    kinds: frozenset[str] = frozenset()

    def groups(self, column: str) -> bool:
        """Whether groups of a column are claimed to be new."""
        return column in self.columns or (not self.columns and kind_of(column) in self.kinds)


def claims(split: Split, columns: Iterable[str]) -> Claims:
    """Read what is claimed off ``split.how``, or off ``split.reason`` where no known splitter made the split."""
    how, there = split.how, list(columns)
    made = str(how.get("splitter") or "")
    by = how.get("by") or ()
    named = tuple(name for name in ([by] if isinstance(by, str) else by) if name in there)
    if made in CLAIMS:
        named = named if made in ("group", "hold_out") else ()
        return Claims(named, frozenset(CLAIMS[made]) | {kind_of(column) for column in named})
    reason = split.reason.casefold()
    said = {kind for kind, words in WORDS_OF_CLAIMS.items() if re.search(rf"{_NEW}({words})s?\b", reason)}
    named = named or tuple(c for c in there if re.search(rf"{_NEW}{re.escape(str(c).casefold())}\b", reason))
    return Claims(named, frozenset(said | {kind_of(column) for column in named}))


def kind_of(column: str) -> str:
    """What kind of groups an obs column holds; its own name where that tells nothing."""
    name = re.sub(r"[\s\-.]+", "_", str(column)).casefold()
    for kind, words in COLUMN_KINDS.items():
        if re.fullmatch(rf"({words})(_?(id|name|key|ident))?", name):
            return kind
    return str(column)


def share(mask: Mask) -> float:
    """Share of what is true, 0 of nothing."""
    return float(np.mean(mask)) if len(mask) else 0.0

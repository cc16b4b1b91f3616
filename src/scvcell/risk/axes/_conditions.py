"""What an action does in a context, as it was measured: all treated cells, and halves of them as replicates."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scvcell._containers import view
from scvcell.perturb import read_design
from scvcell.risk._log_counts import LogCounts, column_means
from scvcell.score import largest

if TYPE_CHECKING:
    from collections.abc import Callable

    from scvcell._containers import Container
    from scvcell._types import Array, Mask, Rows
    from scvcell.perturb import Action, Design, PerturbationKeys
    from scvcell.risk._split import Split

FEWEST_PER_HALF = 20
"""Treated cells of a half below which it is no replicate."""


@dataclass(frozen=True, eq=False)
class Condition:
    """An action in a context whose treated cells are asked about.

    Parameters
    ----------
    action, context
        The action, and the number of the context.
    unit
        Name of both.
    treated, controls
        Rows of the cells in the table of the assay.
    """

    action: Action
    context: int
    unit: str
    treated: Rows
    controls: Rows


@dataclass(frozen=True, eq=False)
class Conditions:
    """Every condition that a split asks about, with its measurement.

    Parameters
    ----------
    data, split
        All data, with the truth; which cells are asked about.
    keys
        Columns that say what was done.
    modality
        Assay that is looked at.
    n_parts
        Ways in which treated cells are cut into two halves; 0 scores against all of them, without a replicate.
    n_top
        Features that change most.
    seed
        Seed of the halves.
    """

    data: Container
    split: Split
    keys: PerturbationKeys
    modality: str = "rna"
    n_parts: int = 5
    n_top: int = 50
    seed: int = 0
    _held: dict[tuple[Any, ...], Array] = field(default_factory=dict, repr=False)
    _halves: dict[tuple[int, bool, str], Rows] = field(default_factory=dict, repr=False)

    @cached_property
    def table(self) -> pd.DataFrame:
        """Names of the cells of the assay, in its order, and their rows in the data."""
        seen = view(self.data)
        names = pd.Index(seen.modalities[self.modality].obs_names)
        return pd.DataFrame({"row": seen.obs_names.get_indexer(names)}, index=names)

    @cached_property
    def features(self) -> pd.Index:
        """Names of the features."""
        return pd.Index(view(self.data).modalities[self.modality].var_names)

    @cached_property
    def values(self) -> LogCounts:
        """``log1p`` of counts per 10,000, cells x features."""
        return LogCounts(view(self.data).modalities[self.modality].X)

    @cached_property
    def design(self) -> Design:
        """What was done to which cell of the assay."""
        seen, rows = view(self.data), self.table["row"].to_numpy()
        return read_design(self.keys, lambda key: seen.column(key).iloc[rows])

    @cached_property
    def asked(self) -> Mask:
        """Cells of the assay that are asked about."""
        return np.asarray(self.table.index.isin(self.split.test))

    @cached_property
    def known(self) -> Mask:
        """Cells of the assay that may be learned from."""
        return np.asarray(self.table.index.isin(self.split.train) | self.table.index.isin(self.split.calibration))

    @cached_property
    def every(self) -> list[Condition]:
        """Conditions of two or more treated cells that are asked about and have two or more controls, by name."""
        design, found = self.design, []
        for k, name in enumerate(design.contexts):
            here = design.context == k
            controls = np.flatnonzero(here & design.control & self.asked)
            if len(controls) < 2:
                controls = np.flatnonzero(here & design.control)
            treated = here & self.asked & design.treated
            for code in np.unique(design.code[treated]) if len(controls) > 1 else ():
                rows = np.flatnonzero(treated & (design.code == code))
                action = design.actions[code]
                unit = str(action) if len(design.contexts) == 1 else f"{action} in {name}"
                if len(rows) > 1:
                    found.append(Condition(action, k, unit, rows, controls))
        return sorted(found, key=lambda each: each.unit)

    @cached_property
    def treated_contexts(self) -> set[int]:
        """Contexts with treated cells that may be learned from."""
        return set(np.unique(self.design.context[self.known & self.design.treated]).tolist())

    def parts(self, of: Condition) -> int:
        """Ways in which the treated cells of a condition are cut into halves; 0 where they are too few."""
        return self.n_parts if len(of.treated) >= 2 * FEWEST_PER_HALF else 0

    def half(self, of: Condition, part: int, second: bool) -> Rows:
        """Rows of one half of the treated cells; all of them where there are no halves.

        Halves depend on names of cells and the seed alone, not on their order.
        """
        if not self.parts(of):
            return of.treated
        if (part, second, of.unit) in self._halves:
            return self._halves[part, second, of.unit]
        rows = of.treated[np.argsort(self.table.index[of.treated].to_numpy(str))]
        rng = np.random.default_rng([self.seed, part, zlib.crc32(of.unit.encode())])
        rows = rng.permutation(rows)
        n = len(rows) // 2
        self._halves[part, False, of.unit], self._halves[part, True, of.unit] = np.sort(rows[:n]), np.sort(rows[n:])
        return self._halves[part, second, of.unit]

    def base(self, of: Condition) -> Array:
        """Mean of the controls, ``(features,)``."""
        return self._mean(("controls", of.context), of.controls)

    def known_base(self, context: int) -> Array | None:
        """Mean of all controls of a context; None where there are none."""
        rows = np.flatnonzero((self.design.context == context) & self.design.control)
        return self._mean(("all controls", context), rows) if len(rows) else None

    def effect(self, of: Condition, part: int = 0, *, second: bool = True) -> Array:
        """Measured effect of one half of the treated cells, ``(features,)``."""
        return self._mean((of.unit, part, second), self.half(of, part, second)) - self.base(of)

    def full(self, of: Condition) -> Array:
        """Measured effect of all treated cells, ``(features,)``."""
        return self._mean((of.unit, "treated"), of.treated) - self.base(of)

    def top(self, of: Condition) -> Rows:
        """Features that change most, by all treated cells."""
        return largest(self.full(of), self.n_top)

    def strongest(self, of: Condition, n: int, among: Rows) -> Rows:
        """Features of some that change most, by all treated cells."""
        return among[largest(self.full(of)[among], n)]

    def found(self, of: Condition, share: float) -> Rows:
        """Features that are found in at least a share of the treated cells or of the controls."""
        treated = self._mean(("there", of.unit), of.treated, _positive)
        controls = self._mean(("there", of.context), of.controls, _positive)
        return np.flatnonzero(np.maximum(treated, controls) >= share)

    def rivals(self, of: Condition, part: int = 0) -> Array:
        """Measured effects of the conditions of the same context, the one that is asked for first."""
        others = [each for each in self.every if each.context == of.context and each is not of]
        return np.array([self.effect(each, part) for each in (of, *others)])

    def _mean(self, key: tuple[Any, ...], rows: Rows, of: Callable[[Array], Array] | None = None) -> Array:
        """Mean of some cells, computed once."""
        if key not in self._held:
            self._held[key] = column_means(self.values, rows, of)
        return self._held[key]


def _positive(values: Array) -> Array:
    return (values > 0).astype(float)

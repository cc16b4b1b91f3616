"""Splits: which cells may be learned from, which set intervals, which are asked about; and how they were chosen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scvcell._checks import seed_of
from scvcell._containers import choose, view
from scvcell._labels import labels
from scvcell._registry import near_miss
from scvcell.perturb import read_design
from scvcell.response import NOVELTIES, Conditions, hidden

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from scvcell._containers import Container, View
    from scvcell._types import Rows
    from scvcell.perturb import Design, PerturbationKeys

PARTS = ("train", "calibration", "test")
LEAST_DOSE = 1e-12
"""Share of the largest dose below which a dose counts as this one, so that it has a logarithm."""


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """Names of the cells of three parts that share no cell, and why they were chosen.

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
        The arguments and the seed with which the split was made.

    Raises
    ------
    ValueError
        If `train` or `test` is empty, a part has a name twice, or two parts share a name.
    """

    train: pd.Index
    calibration: pd.Index
    test: pd.Index
    reason: str = ""
    how: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for part in PARTS:
            names = pd.Index(getattr(self, part), dtype=object)
            object.__setattr__(self, part, names)
            if not names.is_unique:
                raise ValueError(f"{part} names {names[names.duplicated()][0]!r} twice.")
            if part != "calibration" and not len(names):
                raise ValueError(f"{part} has no cells. {self.reason}".strip())
        for i, one in enumerate(PARTS):
            for other in PARTS[i + 1 :]:
                if len(shared := getattr(self, one).intersection(getattr(self, other))):
                    raise ValueError(f"{one} and {other} share {len(shared)} cells, e.g. {shared[0]!r}.")

    def __repr__(self) -> str:
        sizes = ", ".join(f"{part} {len(getattr(self, part))}" for part in PARTS)
        return f"Split({sizes}: {self.reason or 'no reason given'})"

    def check(self, data: Container) -> None:
        """Refuse data that lack cells of the split.

        Raises
        ------
        ValueError
            Naming a cell that the data lack.
        """
        there = view(data).obs_names
        for part in PARTS:
            lost = getattr(self, part).difference(there)
            if len(lost):
                raise ValueError(f"{part} names {len(lost)} cells that the data lack, e.g. {lost[0]!r}.")


def hide_pairing(
    data: Container, a: str, b: str, *, cells: Any = None, share: float = 0.5, calibration: float = 0.0, seed: int = 0
) -> Split:
    """A split that hides, for its test cells, which cell of `a` is which cell of `b`.

    Parameters
    ----------
    data
        MuData with both assays.
    a, b
        Modalities.
    cells
        Cells whose pairing is hidden, of those that have both: names, a mask or a query on obs. By default a `share` of
        them, at random.
    share
        Share of the paired cells, in (0, 1].
    calibration
        Share of the other cells that is put aside for intervals, in [0, 1).
    seed
        Seed of both random choices.

    Raises
    ------
    ValueError
        If the pairing of fewer than two cells would be hidden.
    """
    seen, rng = view(data), np.random.default_rng(seed_of(seed))
    both = seen.present(a) & seen.present(b)
    if cells is None:
        paired = np.flatnonzero(both)
        at = np.sort(rng.permutation(paired)[: round(share * len(paired))])
    else:
        at = choose(seen, "cells", cells)
        at = at[both[at]]
    if len(at) < 2:
        raise ValueError(f"{len(at)} cells with both {a!r} and {b!r} are to be hidden; at least 2 are needed.")
    how = {"splitter": "hide_pairing", "a": a, "b": b, "share": float(len(at) / both.sum()), "seed": seed}
    return _split(seen, at, f"pairing of {a} and {b} hidden", how, calibration, rng)


def hold_out(
    data: Container, by: str, groups: str | Iterable[str], *, calibration: float = 0.0, seed: int = 0
) -> Split:
    """A split whose test cells are all cells of some groups: donors, batches, cell types.

    Parameters
    ----------
    data
        AnnData or MuData.
    by
        Obs column of the groups.
    groups
        Group, or groups, that are left out.
    calibration
        Share of the other cells that is put aside for intervals, in [0, 1).
    seed
        Seed of the choice of calibration cells.

    Raises
    ------
    ValueError
        If a group is unknown, or no other cell is left.
    """
    seen = view(data)
    column = labels(seen.column(by))
    chosen = [groups] if isinstance(groups, str) else [str(group) for group in groups]
    there = sorted(set(column.dropna()))
    for group in chosen:
        if group not in there:
            raise ValueError(f"obs[{by!r}] has no {group!r}.{near_miss(group, there)} It has {', '.join(there)}.")
    at = np.flatnonzero(column.isin(chosen).to_numpy())
    how = {"splitter": "hold_out", "by": by, "groups": chosen, "seed": seed}
    return _split(seen, at, f"another {by}", how, calibration, np.random.default_rng(seed_of(seed)))


def hold_out_each(data: Container, by: str, *, calibration: float = 0.0, seed: int = 0) -> Iterator[Split]:
    """Splits by `hold_out`, one for each group of a column."""
    for group in sorted(set(labels(view(data).column(by)).dropna())):
        yield hold_out(data, by, group, calibration=calibration, seed=seed)


def hold_out_actions(
    data: Container,
    keys: PerturbationKeys,
    *,
    folds: int = 5,
    combinations: bool = False,
    calibration: float = 0.0,
    seed: int = 0,
) -> Iterator[Split]:
    """Splits that leave out one fold of the actions after another, in all contexts. Controls are always seen.

    Parameters
    ----------
    data
        AnnData or MuData.
    keys
        Columns that say what was done.
    folds
        Number of folds; actions are assigned at random.
    combinations
        Whether only actions on several targets are left out. Actions on each target alone may then be seen.
    calibration
        Share of the other cells that is put aside for intervals, in [0, 1).
    seed
        Seed of the folds and of the calibration cells.

    Raises
    ------
    ValueError
        If there are fewer actions than folds.
    """
    seen, rng = view(data), np.random.default_rng(seed_of(seed))
    design = read_design(keys, seen.column)
    codes = [i for i, action in enumerate(design.actions) if len(action.targets) > 1 or not combinations]
    if not 0 < folds <= len(codes):
        raise ValueError(f"folds must lie between 1 and the number of actions to leave out, {len(codes)}, not {folds}.")
    order = rng.permutation(codes)
    for fold in range(folds):
        left = order[fold::folds]
        how = {"splitter": "hold_out_actions", "actions": [str(design.actions[i]) for i in left], "seed": seed}
        reason = "new combination" if combinations else "another action"
        yield _split(seen, np.flatnonzero(np.isin(design.code, left)), reason, how, calibration, rng)


def hold_out_new(
    data: Container, keys: PerturbationKeys, novelty: str, *, calibration: float = 0.0, seed: int = 0
) -> Iterator[Split]:
    """Splits whose test cells are new in one way, such as a higher dose; one split for each set of targets.

    Sets of targets that cannot be new in this way, such as those given at one dose only, are left out.

    Parameters
    ----------
    data
        AnnData or MuData.
    keys
        Columns that say what was done.
    novelty
        How they are new: ``"higher dose"``, ``"lower dose"``, ``"dose between"``, ``"later"``, ``"earlier"``, ``"time
        between"``, ``"new target"`` or ``"new combination"``.
    calibration
        Share of the other cells that is put aside for intervals, in [0, 1).
    seed
        Seed of the choice of calibration cells.

    Raises
    ------
    ValueError
        If there is no such way, or no condition can be left out in it.
    """
    if novelty not in NOVELTIES:
        raise ValueError(
            f"novelty must be one of {', '.join(NOVELTIES)}, not {novelty!r}.{near_miss(novelty, NOVELTIES)}"
        )
    seen, rng = view(data), np.random.default_rng(seed_of(seed))
    design = read_design(keys, seen.column)
    conditions, cells = _conditions(design)
    groups = list(hidden(conditions, novelty))
    if not groups:
        raise ValueError(f"No condition of these data can be left out so that it is new by {novelty!r}.")
    for group in groups:
        at = np.sort(np.concatenate([cells[i] for i in group]))
        actions = list(dict.fromkeys(str(design.actions[design.code[cells[i][0]]]) for i in group))
        how = {"splitter": "hold_out_new", "novelty": novelty, "actions": actions, "seed": seed}
        yield _split(seen, at, novelty, how, calibration, rng)


def _conditions(design: Design) -> tuple[Conditions, list[Rows]]:
    """Every action in every context, and the cells of each."""
    cells, actions = [], []
    for k in range(len(design.contexts)):
        here = design.context == k
        for code in np.unique(design.code[here & design.treated]):
            cells.append(np.flatnonzero(here & (design.code == code)))
            actions.append(design.actions[code])
    targets = design.targets
    dose = np.array([[action.doses.get(t) or np.nan for t in targets] for action in actions], float)
    given = np.array([[t in action.targets for t in targets] for action in actions], float)
    time = np.array([np.nan if action.time is None else action.time for action in actions], float)
    level, times = (np.log(np.maximum(x / _largest(x), LEAST_DOSE)) for x in (dose, time[:, None]))
    return Conditions(given, np.nan_to_num(level), np.nan_to_num(times[:, 0]), np.zeros((len(cells), 1))), cells


def _largest(x: np.ndarray) -> np.ndarray:
    """Largest known number of each column, 1 where none is known."""
    return np.where(np.isnan(x).all(0), 1.0, np.nan_to_num(x).max(0))


def _split(
    seen: View, at: Rows, reason: str, how: Mapping[str, Any], calibration: float, rng: np.random.Generator
) -> Split:
    """Test cells at positions `at`, a share of the others for calibration."""
    if not 0 <= calibration < 1:
        raise ValueError(f"calibration is a share of the cells that are not asked about, in [0, 1), not {calibration}.")
    rest = np.setdiff1d(np.arange(seen.n_obs), at)
    aside = np.sort(rng.permutation(rest)[: round(calibration * len(rest))])
    names = seen.obs_names
    return Split(names[np.setdiff1d(rest, aside)], names[aside], names[at], reason, how)

"""Splits of `scvcell.pp.split` by their former names, and the one that hides which cell is which."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scvcell import pp
from scvcell._checks import seed_of
from scvcell._containers import choose, view
from scvcell._labels import labels, several
from scvcell._registry import near_miss
from scvcell.pp import Split
from scvcell.response import NOVELTIES
from scvcell.risk._cells import cells_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from scvcell._containers import Container
    from scvcell.perturb import PerturbationKeys

__all__ = ["Split", "hide_pairing", "hold_out", "hold_out_actions", "hold_out_each", "hold_out_new"]


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
    seen, rng = view(cells_of(data)), np.random.default_rng(seed_of(seed))
    both = seen.present(a) & seen.present(b)
    if cells is None:
        paired = sorted(seen.obs_names[both])
        names = pd.Index(rng.permutation(np.array(paired, dtype=object))[: round(share * len(paired))])
    else:
        at = choose(seen, "cells", cells)
        names = seen.obs_names[at[both[at]]]
    if len(names) < 2:
        raise ValueError(f"{len(names)} cells with both {a!r} and {b!r} are to be hidden; at least 2 are needed.")
    how = {"splitter": "hide_pairing", "a": a, "b": b, "share": float(len(names) / both.sum()), "seed": seed}
    hidden = pp.splits.Cell(pp.splits.Asked(seen, "cell"))
    hidden.reason = f"pairing of {a} and {b} hidden"
    return pp.splits.build(seen, hidden, pp.splits.Chosen(list(names)), how, calibration=calibration, seed=seed)


def hold_out(
    data: Container, by: str, groups: str | Iterable[str], *, calibration: float = 0.0, seed: int = 0
) -> Split:
    """A split whose test cells are all cells of some groups: donors, batches, cell types.

    As ``scvcell.pp.split(data, by, test=groups)``, where `by` is a column whatever its name.

    Parameters
    ----------
    data
        AnnData or MuData.
    by
        Obs column of the groups.
    groups
        Group, or groups, that are left out.
    calibration
        Share of the other groups that is put aside for intervals, in [0, 1); of single cells, where they are too few.
    seed
        Seed of the choice of calibration cells.

    Raises
    ------
    ValueError
        If a group is unknown, or no other cell is left.
    """
    seen = view(cells_of(data))
    splitter = pp.splits.Group(pp.splits.Asked(seen, by))
    chosen = pp.splits.Chosen(splitter.named(several(groups if isinstance(groups, str) else list(groups))))
    how = {"splitter": "group", "by": by, "calibration": calibration, "seed": seed}
    return pp.splits.build(seen, splitter, chosen, how, calibration=calibration, seed=seed)


def hold_out_each(data: Container, by: str, *, calibration: float = 0.0, seed: int = 0) -> Iterator[Split]:
    """Splits by `hold_out`, one for each group of a column."""
    for group in sorted(set(labels(view(cells_of(data)).column(by)).dropna())):
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

    As ``scvcell.pp.split(data, "action", perturbation=keys, n_folds=folds)``.

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
        Share of the other actions that is put aside for intervals, in [0, 1); of single cells, where they are too few.
    seed
        Seed of the folds and of the calibration cells.

    Raises
    ------
    ValueError
        If there are fewer actions than folds.
    """
    seen, rng = view(cells_of(data)), np.random.default_rng(seed_of(seed))
    splitter = pp.splits.WholeAction(pp.splits.Asked(seen, "action", keys))
    names = [str(action) for action in splitter.design.actions if len(action.targets) > 1 or not combinations]
    if not 0 < folds <= len(names):
        raise ValueError(f"folds must lie between 1 and the number of actions to leave out, {len(names)}, not {folds}.")
    order = rng.permutation(np.array(sorted(names), dtype=object))
    how = {"splitter": "action", "n_folds": folds, "calibration": calibration, "seed": seed}
    splitter.reason = "new combination" if combinations else "another action"
    for fold in range(folds):
        chosen = pp.splits.Chosen(sorted(order[fold::folds]), fold=fold)
        yield pp.splits.build(seen, splitter, chosen, how, calibration=calibration, seed=seed)


def hold_out_new(
    data: Container, keys: PerturbationKeys, novelty: str, *, calibration: float = 0.0, seed: int = 0
) -> Iterator[Split]:
    """Splits whose test cells are new in one way, such as a higher dose; one split for each set of targets.

    Sets of targets that cannot be new in this way, such as those given at one dose only, are left out.
    ``scvcell.pp.split(data, novelty, perturbation=keys)`` leaves out this of all sets at once.

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
        Share of the other sets that is put aside for intervals, in [0, 1); of single cells, where they are too few.
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
    seen, seed = view(cells_of(data)), seed_of(seed)
    name = pp.splits.SPLITTERS.infer(novelty) or novelty
    splitter = pp.splits.SPLITTERS[name](pp.splits.Asked(seen, novelty, keys))
    how = {"splitter": name, "calibration": calibration, "seed": seed}
    for item in splitter.items:
        yield pp.splits.build(seen, splitter, pp.splits.Chosen([item]), how, calibration=calibration, seed=seed)

"""pp.split: which cells may be learned from, which set intervals, which are asked about."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scvcell._checks import is_number, one_name, seed_of
from scvcell._containers import view_units
from scvcell._registry import near_miss
from scvcell.pp.splits._base import PARTS, SEEN, SETS, TEST, TRAIN, Split, describe_data
from scvcell.pp.splits._choose import Chosen, assigned, by_name_or_share, in_folds
from scvcell.pp.splits._cluster import Likeness, profiles
from scvcell.pp.splits._deal import bundles
from scvcell.pp.splits._splitter import OPTIONS, SPLITTERS, Asked, Splitter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scvcell._containers import Container, Tables, View
    from scvcell._types import Mask, Rows
    from scvcell.perturb import PerturbationKeys

logger = logging.getLogger("scvcell")


def split(
    data: Container,
    by: str | None = None,
    *,
    test: Any = None,
    n_folds: int | None = None,
    perturbation: PerturbationKeys | None = None,
    classes: str | Mapping[str, Any] | pd.Series | None = None,
    similarity: pd.DataFrame | str | None = None,
    gap: float | None = None,
    section_key: str | None = None,
    assign: Mapping[str, Any] | pd.Series | str | None = None,
    calibration: float = 0.0,
    table_key: Tables = None,
    seed: int = 0,
) -> Split | list[Split]:
    """Split cells so that what is asked about is new in a way that you name.

    Parameters
    ----------
    data
        AnnData, MuData or SpatialData.
    by
        What is new: an obs column, whose groups are left out whole (``"donor"``), or a name of the table below. A
        column goes before a name of the table, unless an argument says what is meant.
    test
        What is asked about: groups, targets, combinations, blocks, by name; or a share of them, which are drawn by
        chance. A fifth by default; all of them where a dose or a time is left out of each.
    n_folds
        Make so many splits. Each item is asked about in one of them; folds have alike many cells.
    perturbation
        Columns that say what was done to each cell.
    classes
        Of each target its mechanism, pathway or scaffold (several in a list), or the obs column that says it. For
        scaffolds SMILES will do where RDKit is installed.
    similarity
        What is alike and must stay together: a table with a row of features for each item, a square table of
        similarities, or a key of ``.obsm``, whose mean is taken over the cells of each item. Clusters of alike items
        are then left out whole.
    gap
        For blocks: distance to test cells within which cells are in no part; by default the median distance to the
        twentieth neighbour.
    section_key
        For blocks: obs column of the section. The elements of a SpatialData are its sections by default.
    assign
        Anybody's own choice: part (``"train"``, ``"calibration"``, ``"test"``) or fold of each cell by its name; of
        each item, with `by`; or an obs column that says it of cells. What has none is in no part.
    calibration
        Share of the other items that is put aside for intervals, in [0, 1): they are new in the same way. Where they
        are too few, the same share of single cells, and the split says so.
    table_key
        Table of a SpatialData.
    seed
        Drives everything random. The order of cells does not matter.

    Returns
    -------
    A split; a list of them with `n_folds`, or where `assign` gives folds.

    Raises
    ------
    KeyError
        If `by` is neither a column nor a name of the table.
    ValueError
        If a part would be empty, there are fewer items than folds, `test` names what there is not, or an argument does
        not go with `by`.

    Notes
    -----
    ==================== ================================ ==================== =====================================
    `by`                 what is new                      exchangeable unit    what it cannot show
    ==================== ================================ ==================== =====================================
    a column             a donor, site, platform, section the group            what differs together with the group
    ``"block"``          a part of a section              the block            another section, another donor
    ``"target"``         a gene, drug, ligand             action x context     other classes of targets
    ``"mechanism"``      a mechanism of action            action x context     mechanisms told apart by name only
    ``"pathway"``        a pathway of targets             action x context     pathways that share effects
    ``"scaffold"``       a chemical scaffold              action x context     other scaffolds of one protein target
    ``"action"``         targets, dose, time together     action x context     new targets: other doses may be seen
    ``"higher dose"``    a dose above all seen            action x context     targets, contexts, farther doses
    ``"lower dose"``     a dose below all seen            action x context     the same
    ``"dose between"``   a dose between those seen        action x context     the same
    ``"later"``          a time after all seen            action x context     targets, contexts, farther times
    ``"earlier"``        a time before all seen           action x context     the same
    ``"time between"``   a time between those seen        action x context     the same
    ``"combo seen 2"``   a combination; all parts seen    action x context     new targets
    ``"combo seen 1"``   a combination; one part never    action x context     combinations of known targets
    ``"combo seen 0"``   a combination; no part seen      action x context     combinations of known targets
    ``"context"``        a context; its controls are seen action x context     contexts without any cell seen
    ``"pair"``           targets in a context; both seen  action x context     new targets, new contexts
    ``"double-cold"``    a target and a context           action x context     which of both is the difficulty
    ``"cell"``           nothing                          the cell             anything about what is new
    ==================== ================================ ==================== =====================================

    Cells that may not be learned from, and are not asked about either, are in no part; ``split.outside`` says why:
    a label is missing, they lie in the gap, or they would tell what must not be seen.

    Examples
    --------
    >>> folds = scvcell.pp.split(adata, "donor", n_folds=4)
    >>> model = scvcell.tl.fit(adata, split=folds[0])
    >>> keys = scvcell.PerturbationKeys("drug", control="DMSO", dose="dose", context="cell_line")
    >>> scvcell.pp.split(adata, "higher dose", perturbation=keys)
    >>> scvcell.pp.split(adata, "scaffold", perturbation=keys, classes="smiles", test=0.2)
    """
    seen, seed = view_units(data, table_key), seed_of(seed)
    _check_share(calibration)
    if sum(given is not None for given in (test, n_folds, assign)) > 1:
        raise ValueError("Give one of test=, n_folds= and assign=.")
    if by is None and assign is None:
        raise ValueError(f"by= says what is new: an obs column, or one of {', '.join(SPLITTERS)}.")
    options = dict(zip(OPTIONS, (perturbation, classes, gap, section_key), strict=True))
    name, splitter = _splitter(seen, "cell" if by is None else one_name("by", by), n_folds, options)
    likeness = cluster = None
    if similarity is not None:
        if assign is not None or len(splitter.strata) > 1:
            raise ValueError("similarity= goes neither with assign= nor with 'double-cold'.")
        table = profiles(splitter, seen, similarity) if isinstance(similarity, str) else similarity
        likeness = Likeness(splitter.items, table)
        share = 1 / n_folds if n_folds else float(test) if is_number(test) else splitter.usual
        cluster = likeness.clusters(share, seed) if test is None or is_number(test) else None
    rng = np.random.default_rng(seed)
    if assign is not None:
        choices = assigned(splitter, seen, assign)
    elif n_folds is not None:
        choices = in_folds(splitter, n_folds, cluster, rng)
    else:
        choices = [by_name_or_share(splitter, test, cluster, rng)]
    how: dict[str, Any] = {"splitter": name, "by": by, "n_folds": n_folds, "calibration": calibration, "seed": seed}
    how |= {"perturbation": None if perturbation is None else asdict(perturbation), "section_key": section_key}
    how = {key: value for key, value in how.items() if value is not None}
    made = [
        build(seen, splitter, each, how, calibration=calibration, cluster=cluster, likeness=likeness, seed=seed)
        for each in choices
    ]
    _tell(made[0], splitter)
    return made if choices[0].fold is not None else made[0]


def _splitter(seen: View, by: str, n_folds: int | None, options: Mapping[str, Any]) -> tuple[str, Splitter]:
    """The splitter that is meant, and its name."""
    columns, given = [str(c) for c in seen.columns], {key for key, value in options.items() if value is not None}
    known = SPLITTERS.infer(str(by))
    is_column = by in seen.columns
    if known is None and not is_column:
        every = [*columns, *SPLITTERS]
        raise KeyError(
            f"by={by!r} is neither an obs column nor a way to split.{near_miss(str(by), every)} "
            f"Columns: {', '.join(columns) or 'none'}. Ways: {', '.join(SPLITTERS)}."
        )
    meant = known is not None and (not is_column or bool(given & set(SPLITTERS[known].takes)))
    name = known if known is not None and meant else "group"
    found = SPLITTERS[name]
    for option in OPTIONS:
        if option in given and option not in found.takes:
            use = ", ".join(each for each in SPLITTERS if option in SPLITTERS[each].takes)
            raise ValueError(f"{option}= does not go with by={by!r}; it goes with {use}.")
        if option in found.needs and option not in given:
            raise ValueError(f"by={by!r} needs {option}=.")
    return name, found(Asked(seen, by, n_folds=n_folds, **options))


def build(
    seen: View,
    splitter: Splitter,
    chosen: Chosen,
    how: Mapping[str, Any],
    *,
    calibration: float = 0.0,
    cluster: Rows | None = None,
    likeness: Likeness | None = None,
    seed: int = 0,
) -> Split:
    """The split that follows from the items that are asked about.

    Parameters
    ----------
    seen
        The data.
    splitter
        What items are, and what leaving them out means.
    chosen
        The items.
    how
        What is to be remembered.
    calibration
        Share of the other items that is put aside, where none are named.
    cluster
        Cluster of each item, of those that stay together.
    likeness
        How alike items are.
    seed
        Seed of the choice of calibration cells.
    """
    _check_share(calibration)
    parts = Parts(seen, splitter)
    left = splitter.leave_out(chosen.test, parts.free)
    parts.put(left.test, "test", splitter.reason)
    parts.away(left.outside)
    if chosen.outside:
        parts.away({"not assigned": splitter.leave_out(chosen.outside, parts.free).test})
    rng = np.random.default_rng([seed, 1])
    names, told = chosen.calibration or [], {}
    if calibration and chosen.calibration is None:
        names = _drawn_for_intervals(splitter, chosen, cluster, calibration, rng)
        told["calibration_of"] = "items" if names else "cells"
    if names:
        left = splitter.leave_out(names, parts.free)
        parts.put(left.test & parts.free, "calibration", f"{SETS}; as new as the test")
        parts.away({f"{why}, for intervals": mask for why, mask in left.outside.items()})
    elif calibration and chosen.calibration is None:
        parts.put(parts.some(calibration, rng), "calibration", f"{SETS}; like what is seen")
    found = {**how, **splitter.told, "test": chosen.test if how["splitter"] != "cell" else len(chosen.test), **told}
    if chosen.fold is not None:
        found["fold"] = chosen.fold
    if names and how["splitter"] != "cell":
        found["calibration_items"] = names
    if likeness is not None:
        found |= _alike(splitter, likeness, chosen.test, names)
    return parts.split(splitter.reason, found)


def _check_share(calibration: Any) -> None:
    if not is_number(calibration) or isinstance(calibration, bool) or not 0 <= calibration < 1:
        raise ValueError(f"calibration is a share of what is not asked about, in [0, 1), not {calibration!r}.")


class Parts:
    """The part of each cell, and why, while a split is made."""

    def __init__(self, seen: View, splitter: Splitter) -> None:
        self.seen, self.unit = seen, splitter.unit
        self.part = np.full(seen.n_obs, "train", dtype=object)
        self.why = np.full(seen.n_obs, SEEN, dtype=object)
        self.away(splitter.unknown)

    @property
    def free(self) -> Mask:
        """Cells that may be learned from, ``(cells,)``."""
        return self.part == "train"  # type: ignore[no-any-return]

    def put(self, cells: Mask, part: str, why: str) -> None:
        """Cells that are free go to a part."""
        cells = cells & self.free
        self.part[cells], self.why[cells] = part, why

    def away(self, reasons: Mapping[str, Mask]) -> None:
        """Cells that are free go to no part."""
        for why, cells in reasons.items():
            self.put(cells, "", why)

    def some(self, share: float, rng: np.random.Generator) -> Mask:
        """A share of the cells that are free, by chance, whatever their order."""
        free = np.flatnonzero(self.free)
        free = free[np.argsort(self.seen.obs_names[free].to_numpy(dtype=object), kind="stable")]
        mask = np.zeros(len(self.part), bool)
        mask[rng.permutation(free)[: round(share * len(free))]] = True
        return mask

    def split(self, reason: str, how: Mapping[str, Any]) -> Split:
        """The split, in the order of the data."""
        names = self.seen.obs_names
        parts = {part: names[self.part == part] for part in PARTS}
        for part, use in ((TEST, "ask about"), (TRAIN, "learn from")):
            if not len(parts[part]):
                told = [f"{n} cells: {why}" for why, n in pd.Series(self.why).value_counts().items()]
                raise ValueError(f"{part} has no cells: nothing is left to {use}. Of the data are {'; '.join(told)}.")
        inside = self.part != ""
        unit, why = pd.Series(self.unit[inside], names[inside]), pd.Series(self.why, names)
        return Split(**parts, reason=reason, how=how, unit=unit, why=why, data=describe_data(self.seen))


def _drawn_for_intervals(
    splitter: Splitter, chosen: Chosen, cluster: Rows | None, share: float, rng: np.random.Generator
) -> list[str]:
    """Items that set intervals, of each kind; none where a kind has too few."""
    found, taken = [], {*chosen.test, *chosen.outside}
    for each in splitter.strata:
        held = [[each.names[i] for i in items] for items in bundles(cluster, len(each.names))]
        left = [items for items in held if not taken & set(items)]
        n = round(share * len(left))
        if not 0 < n < len(left):
            return []
        found += [name for k in sorted(rng.permutation(len(left))[:n]) for name in left[k]]
    return found


def _alike(splitter: Splitter, likeness: Likeness, test: list[str], other: list[str]) -> dict[str, Any]:
    """How alike what is asked about is to what is seen."""
    number = {name: i for i, name in enumerate(splitter.items)}
    asked = np.array([number[name] for name in test])
    seen = np.setdiff1d(np.arange(len(number)), [number[name] for name in (*test, *other)])
    if not len(seen):
        return {}
    nearest = likeness.nearest(asked, seen)
    return {"largest_similarity": round(float(nearest.max()), 4), "mean_similarity": round(float(nearest.mean()), 4)}


def _tell(made: Split, splitter: Splitter) -> None:
    """Say which cells are in no part for lack of a label, and where intervals are set by single cells."""
    for why, lost in splitter.unknown.items():
        if lost.any():
            logger.warning("%d of %d cells are in no part: %s.", lost.sum(), len(lost), why)
    if made.how.get("calibration_of") == "cells":
        logger.warning(
            "There is too little to put aside whole for intervals; single cells are, which are like what is seen, so "
            "that intervals may be too narrow for what is new."
        )

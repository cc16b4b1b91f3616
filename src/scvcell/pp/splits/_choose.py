"""Which items are asked about: those that a user names or assigns, a share of them, or one fold after another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from scvcell._checks import is_number, whole_number
from scvcell._labels import label, labels, several
from scvcell._registry import near_miss
from scvcell.pp.splits._base import CALIBRATION, PARTS, TEST, TRAIN
from scvcell.pp.splits._deal import bundles, deal, draw

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scvcell._containers import View
    from scvcell._types import Rows
    from scvcell.pp.splits._splitter import Splitter


class Chosen(NamedTuple):
    """Items of one split.

    Attributes
    ----------
    test
        Items that are asked about.
    calibration
        Items that set intervals; None: they are to be drawn.
    outside
        Items that are in no part.
    fold
        Number or name of the fold; None where there is one split.
    """

    test: list[str]
    calibration: list[str] | None = None
    outside: Sequence[str] = ()
    fold: Any = None


def by_name_or_share(splitter: Splitter, test: Any, cluster: Rows | None, rng: np.random.Generator) -> Chosen:
    """Items that were named, or a share of the items by chance."""
    share = splitter.usual if test is None else test
    if is_number(share) and not isinstance(share, bool) and label(share) not in splitter.items:
        if not (0 < share < 1 or share == splitter.usual):
            raise ValueError(
                f"test: there is no {test!r} to leave out, and a share of all items must lie between 0 and 1, e.g. 0.2."
            )
        drawn = [name for each in splitter.strata for name in _drawn(each.names, cluster, float(share), rng)]
        return Chosen(_in_order(splitter, drawn))
    named = splitter.named(several(test))
    if not named:
        raise ValueError("test= names nothing to leave out. Give names, a share such as 0.2, or leave it out.")
    for each in splitter.strata:
        if not set(each.names) & set(named):
            raise ValueError(f"test= must also name one of {', '.join(each.names[:8])}, as it leaves out both.")
    return Chosen(_in_order(splitter, named))


def _in_order(splitter: Splitter, names: Sequence[str]) -> list[str]:
    """Items in their order."""
    wanted = set(names)
    return [name for name in splitter.items if name in wanted]


def _drawn(names: Sequence[str], cluster: Rows | None, share: float, rng: np.random.Generator) -> list[str]:
    held = bundles(cluster, len(names))
    if len(held) < 2 and share < 1:
        raise ValueError(
            f"There is only {names[0]!r} to leave out, and then nothing is left to learn from. Another by= may have "
            "more; test= names it all the same."
        )
    taken = draw(np.array([len(each) for each in held]), share, rng)
    return [names[i] for k in taken for i in held[k]]


def in_folds(splitter: Splitter, n_folds: Any, cluster: Rows | None, rng: np.random.Generator) -> list[Chosen]:
    """One choice for each fold; every item is asked about once."""
    n = whole_number("n_folds", n_folds, 2)
    folds: list[list[str]] = [[] for _ in range(n)]
    for each in splitter.strata:
        held = bundles(cluster, len(each.names))
        if len(held) < n:
            alike = " clusters of alike items" if cluster is not None else ""
            some = ", ".join(each.names[:8]) + (" ..." if len(each.names) > 8 else "")
            raise ValueError(
                f"n_folds={n} is more than there is to leave out: {len(held)}{alike} ({some}). Give fewer folds."
            )
        fold = deal(np.array([each.size[list(items)].sum() for items in held]), n, rng)
        for k, items in zip(fold, held, strict=True):
            folds[k].extend(each.names[i] for i in items)
    return [Chosen(_in_order(splitter, items), fold=number) for number, items in enumerate(folds)]


def assigned(splitter: Splitter, seen: View, assign: Any) -> list[Chosen]:
    """What somebody else chose: parts of items, or folds of them; items that are not assigned are in no part."""
    part = _mapping(splitter, seen, assign)
    values = sorted(set(part.values()), key=_natural)
    outside = [name for name in splitter.items if name not in part]
    if set(values) & {*PARTS, "val", "valid", "validation", "dev"}:
        for value in values:
            if value not in PARTS:
                near = near_miss(value, PARTS) or (f" Did you mean {CALIBRATION!r}?" if value.startswith("val") else "")
                raise ValueError(f"assign= has {value!r}; parts are called {', '.join(PARTS)}.{near}")
        if not {TRAIN, TEST} <= set(values):
            raise ValueError(f"assign= must give items to {TRAIN!r} and to {TEST!r}; it has {', '.join(values)} only.")
        of = {value: [name for name in splitter.items if part.get(name) == value] for value in PARTS}
        return [Chosen(of[TEST], of[CALIBRATION], outside)]
    if len(values) < 2:
        raise ValueError(
            f"assign= has {len(values)} values; it gives each item its part ({', '.join(PARTS)}) or its fold, of which "
            "there are at least 2."
        )
    return [
        Chosen([name for name in splitter.items if part.get(name) == value], None, outside, value) for value in values
    ]


def _mapping(splitter: Splitter, seen: View, assign: Any) -> dict[str, str]:
    """Part or fold of each item that has one."""
    if isinstance(assign, str):
        given = labels(seen.column(assign))
    elif isinstance(assign, pd.Series):
        given = labels(assign)
    elif isinstance(assign, Mapping):
        given = labels(pd.Series(list(assign.values()), pd.Index(list(assign), dtype=object), dtype=object))
    else:
        raise TypeError(f"assign= takes a mapping, a Series or an obs column, not {type(assign).__name__}.")
    known = given.dropna()
    names = splitter.named(labels(known.index.to_series()).tolist()) if len(known) else []
    if len(names) < len(known):
        raise ValueError(f"assign= names {len(known) - len(names)} items twice.")
    return dict(zip(names, known, strict=True))


def _natural(value: str) -> tuple[bool, float, str]:
    return (False, float(value), "") if value.isdecimal() else (True, 0.0, value)

"""Who goes where: items are dealt to folds, or drawn for a test, by chance and never by their order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from scvcell._types import Rows


def deal(size: NDArray[np.integer], n: int, rng: np.random.Generator) -> Rows:
    """The fold of each of some bundles: in random order, each goes to the fold that has the fewest cells.

    Parameters
    ----------
    size
        Number of cells of each bundle, ``(bundles,)``.
    n
        Number of folds, at most that of the bundles.
    rng
        Chance.
    """
    fold, filled, number = np.zeros(len(size), np.int64), np.zeros(n), np.zeros(n)
    for each in rng.permutation(len(size)):
        fold[each] = np.lexsort([number, filled])[0]
        filled[fold[each]] += size[each]
        number[fold[each]] += 1
    return fold


def draw(size: NDArray[np.integer], share: float, rng: np.random.Generator) -> list[int]:
    """Bundles that hold about a share of the items: in random order, each is taken that still fits.

    Small ones first would take outliers. At least one is taken, and at least one is left unless `share` is 1.

    Parameters
    ----------
    size
        Number of items of each bundle, ``(bundles,)``.
    share
        Share of the items, in (0, 1].
    rng
        Chance.
    """
    wanted, taken = max(round(share * int(size.sum())), 1), list[int]()
    for each in rng.permutation(len(size)):
        if size[each] <= wanted and (share == 1 or len(taken) + 1 < len(size)):
            taken.append(int(each))
            wanted -= size[each]
    return sorted(taken) or [int(np.argmin(size))]


def bundles(cluster: Rows | None, n: int) -> list[Sequence[int]]:
    """Items that stay together: each alone, or those of one cluster."""
    if cluster is None:
        return [[i] for i in range(n)]
    return [np.flatnonzero(cluster == c).tolist() for c in np.unique(cluster)]

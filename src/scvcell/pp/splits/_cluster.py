"""Items that are alike stay together; and how alike what is asked about is to what is seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from sklearn.cluster import MiniBatchKMeans

from scvcell._labels import label
from scvcell._registry import near_miss

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scvcell._containers import View
    from scvcell._types import Array, Mask, Rows
    from scvcell.pp.splits._splitter import Splitter

MOST_LINKED = 4000
"""Items up to which every pair is compared; more are clustered by k-means of their features."""
FEWEST_CLUSTERS = 10
CHUNK = 2000
EXACT = 1e-9


class Likeness:
    """How alike items are.

    Parameters
    ----------
    items
        Their names.
    given
        Square table of similarities, whose rows and columns are the items; or table of features, a row for each item.
        Features that are all 0 or 1 are compared by the index of Tanimoto, others by the cosine between rows, columns
        centred.

    Raises
    ------
    TypeError
        If it is no table.
    ValueError
        If an item is missing, a value is not finite, or similarities are not symmetric.
    """

    def __init__(self, items: Sequence[str], given: Any) -> None:
        if not isinstance(given, pd.DataFrame):
            raise TypeError(
                "similarity= takes a DataFrame (a row for each item, with its features; or square, of similarities) or "
                f"a key of obsm, not {type(given).__name__}."
            )
        table = given.set_axis([label(name) for name in given.index])
        lost = [name for name in items if name not in table.index]
        if lost:
            hint = near_miss(lost[0], map(str, table.index))
            raise ValueError(f"similarity= has no row for {len(lost)} items, e.g. {lost[0]!r}.{hint}")
        if not table.index.is_unique:
            raise ValueError(f"similarity= has two rows of {table.index[table.index.duplicated()][0]!r}.")
        columns = [label(name) for name in table.columns]
        square = len(columns) == len(table) and set(columns) == set(table.index)
        table = table.set_axis(columns, axis=1) if square else table
        table = table.loc[list(items), list(items)] if square else table.loc[list(items)]
        values = table.to_numpy(dtype=float)
        if not np.isfinite(values).all():
            raise ValueError("similarity= holds values that are missing or not finite. Fill or drop them.")
        if square and not np.allclose(values, values.T, atol=1e-6):
            raise ValueError("similarity= is square, so it must be symmetric: as alike one way as the other.")
        self.square: Array | None = values if square else None
        self.binary = not square and bool(np.isin(values, (0, 1)).all())
        self.features = values if self.binary or square else _directions(values)

    def between(self, one: Rows, other: Rows) -> Array:
        """Similarity of some items to some others, ``(one, other)``."""
        if self.square is not None:
            return self.square[np.ix_(one, other)]
        shared = self.features[one] @ self.features[other].T
        if not self.binary:
            return shared  # type: ignore[no-any-return]
        either = self.features[one].sum(1)[:, None] + self.features[other].sum(1)[None] - shared
        return np.where(either > 0, shared / np.maximum(either, 1), 1.0)  # type: ignore[no-any-return]

    def clusters(self, share: float, seed: int) -> Rows:
        """Clusters of alike items, ``(items,)``: the fewest of which none holds more than a share of the items."""
        n = len(self.features)
        if n > MOST_LINKED:
            return self._means(share, seed)
        every = np.arange(n)
        apart = 1 - self.between(every, every)
        np.fill_diagonal(apart, 0)
        tree = linkage(squareform(np.maximum((apart + apart.T) / 2, 0), checks=False), method="average")
        for k in range(min(FEWEST_CLUSTERS, n), n):
            found = fcluster(tree, k, criterion="maxclust") - 1
            if np.bincount(found).max() <= max(share * n, 1):
                return found.astype(np.int64)  # type: ignore[no-any-return]
        return every

    def _means(self, share: float, seed: int) -> Rows:
        """Clusters of many items."""
        if self.square is not None:
            raise ValueError(f"similarity= of more than {MOST_LINKED} items must be a table of features, not square.")
        k = max(FEWEST_CLUSTERS, round(5 / share))
        means = MiniBatchKMeans(k, random_state=seed, n_init=3, batch_size=4096)
        return means.fit_predict(self.features).astype(np.int64)  # type: ignore[no-any-return]

    def nearest(self, asked: Rows, seen: Rows) -> Array:
        """Of each item that is asked about the similarity to the most similar one that is seen, ``(asked,)``."""
        parts = [self.between(asked[i : i + CHUNK], seen).max(1) for i in range(0, len(asked), CHUNK)]
        return np.concatenate(parts)


def _directions(values: Array) -> Array:
    """Rows of length 1, columns centred."""
    centred = values - values.mean(0)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    return centred / np.maximum(length, EXACT)  # type: ignore[no-any-return]


def profiles(splitter: Splitter, seen: View, key: str) -> pd.DataFrame:
    """Mean of ``.obsm[key]`` over the cells of each item."""
    values = seen.array(key)
    if values is None:
        held = {str(k) for part in (seen.source, *seen.modalities.values()) for k in part.obsm}
        raise KeyError(
            f"No obsm key {key!r} for similarity=.{near_miss(key, held)} Keys: {', '.join(sorted(held)) or 'none'}."
        )
    items, every = splitter.items, np.ones(seen.n_obs, bool)
    if len(items) == seen.n_obs and set(items) == set(seen.obs_names):
        return pd.DataFrame(values, seen.obs_names).loc[items]
    means = [_mean(values, splitter.leave_out([name], every).test) for name in items]
    return pd.DataFrame(np.array(means), items)


def _mean(values: Array, cells: Mask) -> Array:
    known = values[cells]
    known = known[np.isfinite(known).all(1)]
    return known.mean(0) if len(known) else np.full(values.shape[1], np.nan)  # type: ignore[no-any-return]

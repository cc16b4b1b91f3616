"""A corpus: cells of many files as one AnnData or MuData whose counts and names stay where they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData

from scvcell._containers._stack import open_root

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from scvcell._types import Mask, Rows

NAMES_PER_BLOCK = 16_384
"""Names that are read at a time."""


class StoredNames(Sequence[str]):
    """Names of cells, read from their files when they are asked for.

    Parameters
    ----------
    files
        Per file its path, where its obs is in it, and its number of cells.
    prefixes
        Per file what its names begin with, so that no two files share one; None where they share none anyway.
    at
        Cells of all files that these are, ``(cells,)``; all by default.
    """

    def __init__(
        self, files: Sequence[tuple[Path, str, int]], prefixes: Sequence[str] | None = None, at: Rows | None = None
    ) -> None:
        self.files, self.prefixes = list(files), prefixes
        self.starts = np.append(0, np.cumsum([n for _, _, n in self.files]))
        self.total = int(self.starts[-1])
        self.at = at

    def __len__(self) -> int:
        return self.total if self.at is None else len(self.at)

    def __getitem__(self, key: Any) -> Any:
        at = np.arange(self.total)[key] if self.at is None else self.at[key]
        return str(self._read(np.array([at]))[0]) if np.ndim(at) == 0 else self._read(at)

    def __iter__(self) -> Iterator[str]:
        for block in self.blocks():
            yield from block.tolist()

    def blocks(self) -> Iterator[NDArray[np.object_]]:
        """All names, some thousand at a time."""
        for start in range(0, len(self), NAMES_PER_BLOCK):
            stop = min(start + NAMES_PER_BLOCK, len(self))
            yield self._read(np.arange(start, stop) if self.at is None else self.at[start:stop])

    def subset(self, cells: Rows) -> StoredNames:
        """Names of some of these cells."""
        return StoredNames(self.files, self.prefixes, cells if self.at is None else self.at[cells])

    def hashes(self) -> NDArray[np.uint64]:
        """A number for each name, ``(cells,)``."""
        out, start = np.empty(len(self), np.uint64), 0
        for block in self.blocks():
            out[start : start + len(block)] = pd.util.hash_array(block, categorize=False)
            start += len(block)
        return out

    def mask(self, names: Iterable[str]) -> Mask:
        """Which of these cells are among `names`, ``(cells,)``."""
        if isinstance(names, StoredNames) and names.files == self.files:
            chosen = np.zeros(self.total, bool)
            chosen[slice(None) if names.at is None else names.at] = True
            return chosen if self.at is None else chosen[self.at]
        wanted = pd.Index(list(names), dtype=object).unique()
        if not len(wanted):
            return np.zeros(len(self), bool)
        return np.concatenate([wanted.get_indexer(pd.Index(block)) >= 0 for block in self.blocks()])

    def find(self, names: pd.Index) -> Rows:
        """Place of each of some names among these, -1 of those that are none of them, ``(names,)``."""
        wanted = names.unique()
        found, start = np.full(len(wanted), -1), 0
        for block in self.blocks() if len(wanted) else ():
            at = wanted.get_indexer(pd.Index(block))
            found[at[at >= 0]] = start + np.flatnonzero(at >= 0)
            start += len(block)
        return found[wanted.get_indexer(names)]

    def _read(self, at: Rows) -> NDArray[np.object_]:
        out = np.empty(len(at), dtype=object)
        number = np.searchsorted(self.starts, at, side="right") - 1
        for each in np.unique(number).tolist():
            here = np.flatnonzero(number == each)
            rows = at[here] - self.starts[each]
            path, key, _ = self.files[each]
            first = int(rows.min())
            found = _names(open_root(path), key, first, int(rows.max()) + 1)[rows - first]
            out[here] = found if self.prefixes is None else [self.prefixes[each] + name for name in found]
        return out


def _names(root: Any, key: str, start: int, stop: int) -> NDArray[np.object_]:
    """Names of neighbouring cells of an open file."""
    index = stored_index(root, key)
    read = [name.decode() if isinstance(name, bytes) else str(name) for name in index[start:stop]]
    return np.array([*read, None], dtype=object)[:-1]


def stored_index(root: Any, key: str) -> Any:
    """Where an open file keeps the names of the cells of an obs."""
    obs = root[key]
    index = obs[obs.attrs["_index"]]
    return index if hasattr(index, "shape") else index["values"]


class Corpus(AnnData):
    """An AnnData of one modality whose cells are known by their number; `names` are read when they are asked for."""

    def __init__(self, x: Any, layer: str | None, obs: pd.DataFrame, features: pd.Index, names: StoredNames) -> None:
        super().__init__(obs=pd.DataFrame(index=pd.Index([], dtype=str)), var=pd.DataFrame(index=features))
        obs.index = pd.RangeIndex(len(obs))
        # set by hand, since anndata would make a name of each cell: the most of what a cell takes in memory
        self._obs, self._n_obs = obs, len(obs)
        if layer is None:
            self.X = x
        else:
            self.layers[layer] = x
        self.names = names

    def with_counts(self, x: Any, layer: str | None, features: pd.Index) -> Corpus:
        """The same cells with counts of other features."""
        return Corpus(x, layer, self.obs.copy(), features, self.names)


class MuCorpus(MuData):
    """A MuData whose cells, and those of its modalities, are known by their number.

    Parameters
    ----------
    tables
        The modalities.
    rows
        Per modality, for every cell the row of its table, -1 where the cell was not measured.
    names
        Names of all cells, which are read when they are asked for.
    """

    def __init__(self, tables: dict[str, Corpus], rows: dict[str, Rows], names: StoredNames) -> None:
        super().__init__()
        # set by hand, since mudata would match the cells of its modalities by what they are called
        self._mod.update(tables)
        self._obs = pd.DataFrame(index=pd.RangeIndex(len(names)))
        self.rows, self.names = rows, names

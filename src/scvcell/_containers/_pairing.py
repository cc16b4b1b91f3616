"""Which rows of the modalities of a file are one cell, as the file says it, without a name in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from anndata.io import read_elem

from scvcell._containers._corpus import StoredNames, stored_index
from scvcell._containers._stack import open_root

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from scvcell._types import Rows


def stored_rows(path: Path, names: Mapping[str, StoredNames]) -> tuple[dict[str, Rows], StoredNames] | None:
    """Rows of the cells of a file.

    Parameters
    ----------
    path
        The file.
    names
        By modality, the names of its cells.

    Returns
    -------
    By modality, for every cell of the file its row, -1 where it was not measured, ``(cells,)``; and names of the cells.
    None where the file does not say it, or says what the names do not.
    """
    root = open_root(path)
    if "mod" not in root:
        ((modality, own),) = names.items()
        return {modality: np.arange(len(own))}, own
    every = StoredNames([(path, "obs", int(stored_index(root, "obs").shape[0]))])
    rows, marks = {}, every.hashes()
    for modality, own in names.items():
        found = _rows(root, modality, own, marks)
        if found is None:
            return None
        rows[modality] = found
    measured = np.logical_or.reduce([each >= 0 for each in rows.values()])
    return (rows, every) if measured.all() else None


def _rows(root: Any, modality: str, own: StoredNames, marks: NDArray[np.uint64]) -> Rows | None:
    """What an open file says of one modality, if that is so by hashes of the names of all cells."""
    if "obsmap" not in root or modality not in root["obsmap"]:
        return None
    found = np.asarray(root["obsmap"][modality][:]).ravel().astype(np.int64) - 1
    there = found >= 0
    if len(found) != len(marks) or there.sum() != len(own) or found.max(initial=-1) >= len(own):
        return None
    return found if np.array_equal(own.hashes()[found[there]], marks[there]) else None


def shared_columns(
    path: Path, modality: str, own: StoredNames, columns: Collection[str] | None
) -> tuple[list[str], dict[str, Any]]:
    """What a file says of the cells of a modality in the obs of all modalities.

    Returns
    -------
    Names of the columns; and those of `columns` (default: all) with a value of each cell of the modality. None are
    given where the file does not say which cells these are.
    """
    root = open_root(path)
    own_columns = tuple(f"{m}:" for m in root["mod"])
    names = [str(c) for c in root["obs"].attrs["column-order"] if not str(c).startswith(own_columns)]
    kept = [name for name in names if columns is None or name in columns]
    if not kept:
        return names, {}
    every = StoredNames([(path, "obs", int(stored_index(root, "obs").shape[0]))])
    found = _rows(root, modality, own, every.hashes())
    if found is None:
        return [], {}
    cell = np.empty(len(own), np.int64)
    cell[found[found >= 0]] = np.flatnonzero(found >= 0)
    return names, {name: read_elem(root["obs"][name])[cell] for name in kept}


def joined_rows(parts: list[tuple[dict[str, Rows], StoredNames]], sizes: list[dict[str, int]]) -> dict[str, Rows]:
    """Rows of the cells of all files, each modality one below the other, ``(cells,)`` each.

    Parameters
    ----------
    parts
        Of each file, what `stored_rows` says.
    sizes
        Of each file, the number of cells by modality.
    """
    modalities = dict.fromkeys(m for rows, _ in parts for m in rows)
    out = {m: np.full(sum(len(names) for _, names in parts), -1) for m in modalities}
    offset, start = dict.fromkeys(modalities, 0), 0
    for (rows, names), size in zip(parts, sizes, strict=True):
        for m, own in rows.items():
            out[m][start : start + len(own)] = np.where(own >= 0, own + offset[m], -1)
            offset[m] += size[m]
        start += len(names)
    return out

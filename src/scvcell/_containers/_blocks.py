"""Tables that are too large for memory: written to a zarr store by blocks of rows, and left there."""

from __future__ import annotations

import shutil
import time
import uuid
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
import zarr
from anndata import AnnData
from anndata.io import read_elem, sparse_dataset, write_elem
from mudata import MuData

from scvcell._folder import writable
from scvcell._ranks import rank

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pandas as pd

    from scvcell._types import Array, Rows

SUFFIX = ".zarr"
MAX_BLOCK_VALUES = 2**22
"""Rows x columns of a block, at most."""
MIN_BLOCK_ROWS, MAX_BLOCK_ROWS = 64, 8192
CHUNK_VALUES = 2**19
"""Values that are stored together; blocks are whole numbers of chunks."""
MAX_SECONDS = 3600.0
"""How long others than the first of several processes wait for a table."""


def blocks(n_rows: int, n_columns: int) -> list[Rows]:
    """Row numbers, cut into blocks of one power of two such that a block is small."""
    size = _rows(n_columns, MAX_BLOCK_VALUES)
    return [np.arange(start, min(start + size, n_rows)) for start in range(0, n_rows, size)]


def row_blocks(table: Any) -> Iterator[Any]:
    """Rows of an array, in memory or in a file, a block at a time."""
    for cells in blocks(*table.shape):
        yield table[int(cells[0]) : int(cells[-1]) + 1]


def _rows(n_columns: int, most: int) -> int:
    """Rows, as a power of two, that have at most so many values."""
    size = MIN_BLOCK_ROWS
    while size < MAX_BLOCK_ROWS and 2 * size * max(n_columns, 1) <= most:
        size *= 2
    return size


def check_store(out: Any) -> Path:
    """The path of a store that is to be made.

    Raises
    ------
    ValueError
        If it is no name of a zarr store.
    FileExistsError
        If something is there.
    OSError
        If nothing can be written there.
    """
    if not isinstance(out, str | Path) or Path(out).suffix != SUFFIX:
        raise ValueError(f"out= takes the folder of a zarr store, such as 'answers{SUFFIX}', not {out!r}.")
    if Path(out).exists() and not rank():
        raise FileExistsError(f"{out} exists already. Give another path, or remove it.")
    return writable(out)


def write_blocks(path: Path, parts: Iterable[AnnData], about: Callable[[], AnnData] | None = None) -> AnnData:
    """As `store_blocks`, which says what the arguments are.

    Returns
    -------
    The table, with `obs`, `var` and `uns` in memory, and arrays on disk. Rows of it are read when they are asked for;
    ``.to_memory()`` reads all.
    """
    return _opened(path, store_blocks(path, parts, about))


def store_blocks(path: Path, parts: Iterable[AnnData], about: Callable[[], AnnData] | None = None) -> Any:
    """Write tables one below the other; nothing is left at `path` if that fails, and of cells nothing in memory.

    Parameters
    ----------
    path
        Where to, as `check_store` gave it.
    parts
        The tables, at least one, of rows that follow on each other; the first one says which columns of obs, layers and
        keys of obsm there are. Columns hold numbers, names, or categories that are the same in all.
    about
        Called at the end: var, which is that of the first table otherwise, and more of uns.

    Returns
    -------
    uns of the whole; None in a process that waited for the first one to write it.
    """
    if rank():
        _awaited(path)
        return None
    with _scratch(path) as scratch:
        group: Any = zarr.open_group(scratch, mode="w-", zarr_format=3)
        first: AnnData | None = None
        for part in parts:
            if first is None:
                first = part[:0].copy()
                _begin(group, part)
                continue
            _append_obs(group["obs"], part.obs)
            for place, values in _arrays(part):
                group[place].append(values)
        if first is None:
            raise ValueError("There is no table to write.")
        last = first if about is None else about()
        write_elem(group, "var", last.var)
        uns = {**first.uns, **last.uns}
        write_elem(group, "uns", uns)
    return uns


def write_arrays[T: (AnnData, MuData)](path: Path, table: T, parts: Iterable[tuple[str, Any]]) -> T:
    """Write a table whose arrays do not fit into memory; nothing is left at `path` if that fails.

    Parameters
    ----------
    path
        Where to, as `check_store` gave it.
    table
        All of the table but these arrays.
    parts
        Places of arrays (``"X"``, ``"layers/lower"``, ``"mod/rna/X"``) and rows of them, dense or csr, that follow on
        each other in each array.

    Returns
    -------
    The table with its arrays on disk, as `write_blocks` gives it.
    """
    if rank():
        _awaited(path)
    else:
        with _scratch(path) as scratch:
            _quietly(table.write_zarr, scratch)
            group: Any = zarr.open_group(scratch, mode="r+", use_consolidated=False)
            begun: set[str] = set()
            for place, values in parts:
                if place not in begun and place in group:
                    del group[place]
                _append_rows(group[place], values) if place in begun else _begin_array(group, place, values)
                begun.add(place)
    if isinstance(table, MuData):
        out = MuData({m: _opened(path / "mod" / m) for m in table.mod})
        out.obs, out.uns = table.obs.copy(), dict(table.uns)
        out.obsm.update({key: value for key, value in table.obsm.items() if key not in table.mod})
        return out
    return _opened(path)


@contextmanager
def _scratch(path: Path) -> Iterator[Path]:
    """A folder that takes its place when it is whole; nothing is left where that fails."""
    scratch = path.with_name(f".{path.name}-{uuid.uuid4().hex[:16]}")
    try:
        yield scratch
        store = zarr.open_group(scratch, mode="r+", use_consolidated=False).store
        _quietly(zarr.consolidate_metadata, store)
        scratch.replace(path)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise


def _quietly(write: Callable[[Any], Any], where: Any) -> None:
    """Write without warnings that other programs may not know what anndata itself writes, too."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write(where)


def _arrays(table: AnnData) -> Iterator[tuple[str, Array]]:
    """Arrays of a table by the name of their place."""
    if table.X is not None:
        yield "X", table.X
    for name, values in table.layers.items():
        yield f"layers/{name}", values
    for name, values in table.obsm.items():
        yield f"obsm/{name}", values


def _begin(group: zarr.Group, table: AnnData) -> None:
    """The first rows, in chunks that are parts of blocks."""
    write_elem(group, "obs", table.obs)
    for place, values in _arrays(table):
        _begin_array(group, place, values)
    for name in ("layers", "obsm"):
        group.require_group(name).attrs.update({"encoding-type": "dict", "encoding-version": "0.1.0"})
    group.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})


def _begin_array(group: zarr.Group, place: str, values: Any) -> None:
    """The first rows of an array, dense or csr."""
    if not sp.issparse(values):
        chunk = min(_rows(int(np.prod(values.shape[1:])), CHUNK_VALUES), max(len(values), 1))
        made = group.create_array(place, shape=values.shape, chunks=(chunk, *values.shape[1:]), dtype=values.dtype)
        made.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
        made[:] = values
        return
    rows = group.create_group(place)
    rows.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": [0, int(values.shape[1])]})
    for name, kind, start in (("data", values.dtype, 0), ("indices", np.int32, 0), ("indptr", np.int64, 1)):
        rows.create_array(name, shape=(start,), chunks=(CHUNK_VALUES,), dtype=kind)
    _append_rows(rows, values)


def _append_rows(stored: Any, values: Any) -> None:
    """Rows of an array below those that are stored."""
    if not sp.issparse(values):
        stored.append(values)
        return
    ends, last = stored["indptr"], stored["data"].shape[0]
    ends.append(values.indptr[1:].astype(np.int64) + last)
    stored["data"].append(values.data)
    stored["indices"].append(values.indices.astype(np.int32))
    stored.attrs["shape"] = [ends.shape[0] - 1, int(values.shape[1])]


def _append_obs(stored: Any, obs: pd.DataFrame) -> None:
    """Rows of obs below those that are stored."""
    _append(stored[stored.attrs["_index"]], obs.index.to_series())
    for key in obs:
        _append(stored[key], obs[key])


def _append(stored: Any, column: pd.Series) -> None:
    """A column of names, numbers or categories below the one that is stored."""
    kind = stored.attrs["encoding-type"]
    if kind == "categorical":
        if list(column.cat.categories) != list(read_elem(stored["categories"])):
            raise ValueError(f"Categories of {column.name!r} are not those of the first table.")
        stored["codes"].append(column.cat.codes.to_numpy().astype(stored["codes"].dtype))
        return
    if kind == "nullable-string-array":
        stored["mask"].append(column.isna().to_numpy())
        stored = stored["values"]
    stored.append(column.to_numpy().astype(stored.dtype))


def _awaited(path: Path) -> None:
    """Wait for the table that the first of several processes writes."""
    started = time.monotonic()
    while not path.exists():
        if time.monotonic() - started > MAX_SECONDS:
            raise TimeoutError(f"The first process of this script has written no {path} within an hour.")
        time.sleep(0.2)


def _opened(path: Path, uns: dict[str, Any] | None = None) -> AnnData:
    group: Any = zarr.open_group(path, mode="r")
    uns = read_elem(group["uns"]) if uns is None else uns
    obs, var = (read_elem(group[name]) for name in ("obs", "var"))
    layers, obsm = ({key: _stored_array(group[name][key]) for key in group[name]} for name in ("layers", "obsm"))
    x = _stored_array(group["X"]) if "X" in group else None
    return AnnData(x, obs=obs, var=var, uns=uns, layers=layers, obsm=obsm)


def _stored_array(stored: Any) -> Any:
    """An array on disk as anndata takes it."""
    kind = stored.attrs.get("encoding-type")
    return None if kind == "null" else sparse_dataset(stored) if kind == "csr_matrix" else stored

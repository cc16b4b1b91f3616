"""Tables that are too large for memory: written to a zarr store by blocks of rows, and left there."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from anndata import AnnData
from anndata.io import write_elem

from scvcell._folder import writable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from scvcell._types import Array, Rows

SUFFIX = ".zarr"
MAX_BLOCK_VALUES = 2**22
"""Rows x columns of a block, at most."""
MIN_BLOCK_ROWS, MAX_BLOCK_ROWS = 64, 8192
CHUNK_VALUES = 2**19
"""Values that are stored together; blocks are whole numbers of chunks."""


def blocks(n_rows: int, n_columns: int) -> list[Rows]:
    """Row numbers, cut into blocks of one power of two such that a block is small."""
    size = MIN_BLOCK_ROWS
    while size < MAX_BLOCK_ROWS and 2 * size * max(n_columns, 1) <= MAX_BLOCK_VALUES:
        size *= 2
    return [np.arange(start, min(start + size, n_rows)) for start in range(0, n_rows, size)]


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
    if Path(out).exists():
        raise FileExistsError(f"{out} exists already. Give another path, or remove it.")
    return writable(out)


def write_blocks(path: Path, n_obs: int, parts: Iterable[Mapping[str, Array]], about: Callable[[], AnnData]) -> AnnData:
    """Write a table by blocks of rows; nothing is left at `path` if that fails.

    Parameters
    ----------
    path
        Where to, as `check_store` gave it.
    n_obs
        Number of rows.
    parts
        One block of rows after the other, in their order: arrays by the name of their place, ``"X"``,
        ``"layers/NAME"`` or ``"obsm/NAME"``. The first one says which there are.
    about
        Called at the end: obs, var and uns, in an AnnData without X.

    Returns
    -------
    The table, with `obs`, `var` and `uns` in memory, and arrays on disk. Rows of it are read when they are asked for;
    ``.to_memory()`` reads all.
    """
    scratch = path.with_name(f".{path.name}-{uuid.uuid4().hex[:16]}")
    try:
        group = zarr.open_group(scratch, mode="w-", zarr_format=3)
        made: dict[str, zarr.Array[Any]] = {}
        start = 0
        for part in parts:
            stop = start + len(next(iter(part.values())))
            for place, values in part.items():
                if place not in made:
                    made[place] = _array(group, place, n_obs, values)
                made[place][start:stop] = values
            start = stop
        if start != n_obs:
            raise RuntimeError(f"{start} of {n_obs} rows were written.")
        table = about()
        for name in ("obs", "var", "uns"):
            write_elem(group, name, getattr(table, name) if name != "uns" else dict(table.uns))
        for name in ("layers", "obsm"):
            group.require_group(name).attrs.update({"encoding-type": "dict", "encoding-version": "0.1.0"})
        group.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        scratch.replace(path)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    return _opened(path, table, list(made))


def _array(group: zarr.Group, place: str, n_obs: int, like: Array) -> zarr.Array[Any]:
    """An array for all rows; a chunk is a part of a block."""
    width = int(np.prod(like.shape[1:]))
    rows = MIN_BLOCK_ROWS
    while rows < MAX_BLOCK_ROWS and 2 * rows * max(width, 1) <= CHUNK_VALUES:
        rows *= 2
    out = group.create_array(
        place, shape=(n_obs, *like.shape[1:]), chunks=(min(rows, max(n_obs, 1)), *like.shape[1:]), dtype=like.dtype
    )
    out.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
    return out


def _opened(path: Path, table: AnnData, places: list[str]) -> AnnData:
    group = zarr.open_group(path, mode="r")
    held: dict[str, dict[str, Any]] = {"layers": {}, "obsm": {}}
    for place in places:
        where, _, name = place.partition("/")
        if name:
            held[where][name] = group[place]
    x = group["X"] if "X" in places else None
    return AnnData(x, obs=table.obs, var=table.var, uns=dict(table.uns), layers=held["layers"], obsm=held["obsm"])

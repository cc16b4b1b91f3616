"""A table of many cells that is written block by block: never more than one block of it is in memory."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from anndata import AnnData

from scvcell._folder import writable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import pandas as pd

    from scvcell._types import Rows

SUFFIX = ".zarr"
MAX_BLOCK_VALUES = 2**22
"""Cells x features of a block, at most."""
MIN_BLOCK_CELLS, MAX_BLOCK_CELLS = 64, 8192


def cut(n_cells: int, n_features: int) -> list[Rows]:
    """Positions of cells, in blocks that are small, but hold whole stored chunks; at least one block."""
    size = MIN_BLOCK_CELLS
    while size < MAX_BLOCK_CELLS and 2 * size * max(n_features, 1) <= MAX_BLOCK_VALUES:
        size *= 2
    return [np.arange(start, min(start + size, n_cells)) for start in range(0, max(n_cells, 1), size)]


def check_out(path: str | Path) -> Path:
    """The folder that a table is to be written to.

    Raises
    ------
    ValueError
        If it is not named as zarr folders are.
    FileExistsError
        If it is there already.
    OSError
        If it cannot be written.
    """
    out = Path(path)
    if out.suffix != SUFFIX:
        raise ValueError(f"out={str(path)!r} must be a zarr folder: {str(out.with_suffix(SUFFIX))!r}, say.")
    if out.exists():
        raise FileExistsError(f"{str(path)!r} exists already. Give another folder, or remove it.")
    writable(out.parent)
    return out


def write_blocks(path: Path, blocks: Iterable[AnnData], about: Callable[[], AnnData] | None = None) -> None:
    """Write tables one below the other to a zarr folder, which is there once all of it is written.

    All have the same columns of obs, which hold numbers, truth values, or categories that are the same in each. They
    have the same features, layers and keys of obsm, all of them dense. ``anndata.read_zarr`` reads the whole.

    Parameters
    ----------
    path
        The folder.
    blocks
        The tables, at least one.
    about
        Called after the last one: var and uns of the whole.
    """
    import zarr
    from anndata.io import write_elem

    draft = path.with_name(f".{path.name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        root: Any = None
        for block in blocks:
            if root is None:
                block.write_zarr(draft)
                root = zarr.open_group(draft, mode="r+", use_consolidated=False)
                continue
            obs = root["obs"]
            _append(obs[obs.attrs["_index"]], block.obs_names.to_series())
            for key in block.obs:
                _append(obs[key], block.obs[key])
            for place, values in _arrays(block).items():
                root[place].append(values)
        if about is not None:
            whole = about()
            write_elem(root, "var", whole.var)
            write_elem(root, "uns", dict(whole.uns))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that other programs may not know what anndata itself writes, too
            zarr.consolidate_metadata(root.store)
        draft.rename(path)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _arrays(table: AnnData) -> dict[str, Any]:
    """Arrays of a table with one row per cell, by their place in the file."""
    layers = {f"layers/{key}": values for key, values in table.layers.items() if key is not None}
    return (
        {f"obsm/{key}": values for key, values in table.obsm.items()}
        | layers
        | ({} if table.X is None else {"X": table.X})
    )


def open_table(path: Path) -> AnnData:
    """A table that `write_blocks` wrote: obs, var and uns in memory, ``X``, layers and obsm on disk."""
    import zarr
    from anndata.io import read_elem

    root: Any = zarr.open_group(path, mode="r")
    layers, obsm = ({key: root[f"{part}/{key}"] for key in root[part]} for part in ("layers", "obsm"))
    obs, var, uns = (read_elem(root[part]) for part in ("obs", "var", "uns"))
    return AnnData(root.get("X"), obs=obs, var=var, uns=uns, layers=layers, obsm=obsm)


def _append(stored: Any, column: pd.Series) -> None:
    """A column of names or numbers below the one that is stored."""
    if stored.attrs["encoding-type"] == "nullable-string-array":
        stored["mask"].append(column.isna().to_numpy())
        stored = stored["values"]
    if stored.attrs["encoding-type"] == "categorical":
        stored["codes"].append(column.cat.codes.to_numpy().astype(stored["codes"].dtype))
        return
    stored.append(column.to_numpy().astype(stored.dtype))

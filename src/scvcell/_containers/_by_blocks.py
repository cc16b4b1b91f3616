"""A table of many cells that is written block by block: never more than one block of it is in memory."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scvcell._folder import writable

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd
    from anndata import AnnData

SUFFIX = ".zarr"


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


def write_blocks(path: Path, blocks: Iterable[AnnData]) -> None:
    """Write tables one below the other to a zarr folder, which is there once all of it is written.

    All have the same columns of obs, which hold numbers, and keys of obsm; ``anndata.read_zarr`` reads the whole.

    Parameters
    ----------
    path
        The folder.
    blocks
        The tables, without features, at least one.
    """
    import zarr

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
            for key, values in block.obsm.items():
                root["obsm"][key].append(values)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that other programs may not know what anndata itself writes, too
            zarr.consolidate_metadata(root.store)
        draft.rename(path)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _append(stored: Any, column: pd.Series) -> None:
    """A column of names or numbers below the one that is stored."""
    if stored.attrs["encoding-type"] == "nullable-string-array":
        stored["mask"].append(column.isna().to_numpy())
        stored = stored["values"]
    stored.append(column.to_numpy().astype(stored.dtype))

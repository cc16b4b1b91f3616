"""Files of counts: which there are, what each holds, and what is refused of it before any work."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anndata
import pandas as pd

from scvcell._containers._corpus import StoredNames
from scvcell._containers._matrix import fault
from scvcell._containers._pairing import shared_columns
from scvcell._containers._read import SINGLE
from scvcell._containers._stack import HDF5, StoredRows, open_root
from scvcell._registry import near_miss

if TYPE_CHECKING:
    from collections.abc import Collection

SUFFIXES = (*HDF5, ".zarr")
ROWS_LOOKED_AT = 64
"""Rows of each file that are looked at before any work."""

type Paths = str | Path | Sequence[str | Path] | Mapping[str, str | Path]
"""Files, folders or patterns of files; or files by names of the user's own."""
type Layers = str | Mapping[str, str] | None
"""Layer of the raw counts, of every modality or by modality; X by default."""


@dataclass(frozen=True)
class Part:
    """One modality of one file.

    Attributes
    ----------
    rows
        Its counts, which stay there.
    obs
        The columns that are kept, text as categories; named by cell, or by number where names stay in the file.
    names
        Names of the cells.
    var_names
        Names of the features.
    columns
        All columns of its obs.
    layer
        Layer that the counts are of; None of X.
    """

    rows: StoredRows
    obs: pd.DataFrame
    names: StoredNames
    var_names: pd.Index
    columns: list[str]
    layer: str | None


def is_paths(data: Any) -> bool:
    """Whether what a user gave for data are paths."""
    if isinstance(data, Mapping):
        data = list(data.values())
    many = isinstance(data, list | tuple) and len(data) > 0
    return isinstance(data, str | Path) or (many and all(isinstance(each, str | Path) for each in data))


def find(paths: Any) -> dict[str, Path]:
    """Label -> path, in order; of folders and patterns the files that they hold, of a collection its parts.

    Raises
    ------
    FileNotFoundError
        If there are none, or one is not there.
    ValueError
        If one is of another kind.
    """
    if isinstance(paths, Mapping):
        files: dict[str, Path] = {}
        for label, path in paths.items():
            parts = _parts_of(Path(path))
            files |= {f"{label}:{part.name}": part for part in parts} if parts else {str(label): Path(path)}
    else:
        given = [paths] if isinstance(paths, str | Path) else list(paths)
        found: list[Path] = []
        for each in map(Path, given):
            if any(sign in str(each) for sign in "*?["):
                found += sorted(Path(each.anchor or ".").glob(str(each.relative_to(each.anchor))))
            elif each.is_dir() and not _named_so(each):
                found += sorted(path for path in each.iterdir() if path.suffix in SUFFIXES)
            else:
                found.append(each)
        found = [part for path in found for part in _parts_of(path) or [path]]
        stems = [path.stem for path in found]
        own = len(set(stems)) == len(stems)
        files = {stem if own else str(path): path for stem, path in zip(stems, found, strict=True)}
    if not files:
        raise FileNotFoundError(f"{paths!r} names no file; scvcell reads {', '.join(SUFFIXES)}.")
    for path in files.values():
        if not path.exists():
            raise FileNotFoundError(f"There is no file {str(path)!r}.")
        if not _named_so(path):
            raise ValueError(f"{str(path)!r}: scvcell reads {', '.join(SUFFIXES)}.")
    return files


def _named_so(path: Path) -> bool:
    """Whether a path is called as a file of counts is, or as a table within a zarr folder."""
    return path.suffix in SUFFIXES or path.parent.suffix == ".zarr"


def _parts_of(path: Path) -> list[Path]:
    """Tables of a zarr folder that holds several side by side, such as a collection of annbatch, by their numbers."""
    if path.suffix != ".zarr" or not path.is_dir() or any((path / name).exists() for name in ("obs", "mod", "tables")):
        return []
    parts = [each for each in path.iterdir() if (each / "obs").is_dir()]
    return sorted(parts, key=lambda each: (len(each.name), each.name))


def open_parts(path: Path, layers: Layers, columns: Collection[str] | None, *, named: bool = True) -> dict[str, Part]:
    """Every modality of a file, with the obs columns that are kept (default: all).

    Raises
    ------
    ValueError
        If it cannot be read, is empty, lacks the layer, or stores its counts by columns.
    """
    try:
        root = open_root(path)
        if "tables" in root:
            raise ValueError(
                f"{str(path)!r} is a SpatialData, which is no file of a corpus. Read it: "
                f"spatialdata.read_zarr({str(path)!r})."
            )
        inner = {str(m): f"mod/{m}/" for m in root["mod"]} if "mod" in root else {SINGLE: ""}
        return {
            m: _part(path, root, prefix, _layer(root, prefix, layers, m), columns, named) for m, prefix in inner.items()
        }
    except (OSError, KeyError) as error:
        raise ValueError(f"{str(path)!r} cannot be read: {error}") from error


def _layer(root: Any, prefix: str, layers: Layers, modality: str) -> str | None:
    """Layer of a modality; a layer that is given for all is that of those that have it."""
    if layers is None or isinstance(layers, Mapping):
        return None if layers is None else layers.get(modality)
    having = [m for m in root["mod"] if layers in root["mod"][m]["layers"]] if prefix else []
    return None if having and modality not in having else layers


def _part(path: Path, root: Any, prefix: str, layer: str | None, columns: Collection[str] | None, named: bool) -> Part:
    group = root[prefix] if prefix else root
    if layer is not None and layer not in group["layers"]:
        raise ValueError(f"{str(path)!r} has no layer {layer!r}; it has {sorted(group['layers'])}.")
    key = "X" if layer is None else f"layers/{layer}"
    if group[key].attrs.get("encoding-type") == "csc_matrix":
        raise ValueError(
            f"{str(path)!r} stores its counts by columns (csc), so that cells cannot be read alone. "
            "Write it by rows: adata.X = adata.X.tocsr(); adata.write_h5ad(path)."
        )
    rows, features = StoredRows(path, prefix + key), anndata.io.read_elem(group["var"]).index.astype(str)
    if not rows.shape[0] or not len(features):
        raise ValueError(f"{str(path)!r} is empty: {rows.shape[0]} cells, {len(features)} features. Leave it out.")
    stored = StoredNames([(path, f"{prefix}obs", rows.shape[0])])
    names = None if not named else pd.Index(stored[:], dtype=object)
    for what, index in (("cell", names), ("feature", features)):
        if index is not None and not index.is_unique:
            twice = index[index.duplicated()][0]
            raise ValueError(f"{str(path)!r}: the {what} {twice!r} occurs more than once. Make its names unique.")
    there = [str(column) for column in group["obs"].attrs["column-order"]]
    kept = [column for column in there if columns is None or column in columns]
    held = {column: _compact(anndata.io.read_elem(group["obs"][column])) for column in kept}
    if prefix:  # what a MuData says of all its cells, its modalities need not say
        names_above, above = shared_columns(path, prefix.split("/")[1], stored, columns)
        held |= {column: _compact(values) for column, values in above.items() if column not in there}
        there += [column for column in names_above if column not in there]
    obs = pd.DataFrame(held, index=pd.RangeIndex(rows.shape[0]) if names is None else names)
    return Part(rows, obs, stored, features, there, layer)


def _compact(values: Any) -> Any:
    """A column, text as categories."""
    return pd.Categorical(values) if pd.api.types.is_string_dtype(pd.Series(values[:0])) else values


def check_columns(parts: Mapping[str, dict[str, Part]], columns: Iterable[str], batch_key: str, *, made: bool) -> None:
    """Refuse columns that no file has, and a batch that only some have; `made` is one that none may have."""
    there = sorted({str(c) for part in parts.values() for one in part.values() for c in one.columns})
    for column in columns if made else (*columns, batch_key):
        if column not in there:
            raise ValueError(
                f"No file has an obs column {column!r}.{near_miss(column, there)} They have {', '.join(there)}."
            )
    lacking = [label for label, part in parts.items() if not any(batch_key in one.obs for one in part.values())]
    if lacking and len(lacking) < len(parts):
        raise ValueError(f"obs[{batch_key!r}] is in some files, but not in {lacking}. Name a column that all have.")


def check_values(parts: Mapping[str, dict[str, Part]], files: Mapping[str, Path]) -> None:
    """Refuse a file of other values than the others have, by a look at its first rows."""
    found: dict[str, dict[str, str]] = {}
    for label, part in parts.items():
        for modality, one in part.items():
            arrays = one.rows.arrays(open_root(files[label]))
            block = one.rows.read(arrays, 0, min(ROWS_LOOKED_AT, one.rows.shape[0]))
            found.setdefault(modality, {})[label] = fault(block, counts=True)
    for modality, faults in found.items():
        for label, what in faults.items():
            if what == "not finite" or (what and not all(faults.values())):
                raise ValueError(
                    f"{str(files[label])!r}: values of {modality!r} are {what}, unlike those of other files. Give "
                    "layer= the name of the layer with raw counts, or leave the file out."
                )

"""pp.read_corpus: many files as one container, whose counts stay on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData

from scvcell import _keys
from scvcell._checks import listed, one_name
from scvcell._containers import SINGLE, Stack, StoredRows, fault, open_root
from scvcell._labels import labels
from scvcell._registry import near_miss

SUFFIXES = (".h5ad", ".h5mu", ".zarr")
ROWS_LOOKED_AT = 64
"""Rows of each file that are looked at before any work."""


def read_corpus(
    paths: str | Path | Sequence[str | Path] | Mapping[str, str | Path],
    *,
    batch_key: str = "file",
    columns: Sequence[str] | None = None,
    layer: str | None = None,
) -> AnnData | MuData:
    """Many files of cells as one AnnData or MuData; counts stay on disk and are read when they are needed.

    Features are matched by name. A feature that a file lacks was not measured there: it is masked, and never taken for
    a zero.

    Parameters
    ----------
    paths
        Files (``.h5ad``, ``.h5mu``, ``.zarr``), or a folder or a pattern of them (``"plates/*.h5ad"``); with names of
        your own as a mapping. Counts must be stored by rows, dense or csr.
    batch_key
        Obs column of the batch, which says which features were measured. Where no file has it, it is made: the name of
        the file.
    columns
        Obs columns that are kept; all by default. Each takes memory for every cell.
    layer
        Layer of the raw counts; ``X`` by default.

    Returns
    -------
    AnnData, or MuData where files are ``.h5mu``, that every verb takes. ``X`` is a dask array of csr blocks, ``(cells,
    features)``; ``varm["observed"]`` says which batch measured which feature. Cells keep their names; where two files
    have the same one, all are called ``"file:name"``. What verbs write stays in memory; the files do not change.

    Raises
    ------
    ImportError
        If dask is not installed.
    FileNotFoundError
        If there is no such file.
    ValueError
        If a file is empty, cannot be read, is stored by columns, shares no feature with the others, or alone holds
        values that are no counts. The message names it.

    Examples
    --------
    >>> corpus = scvcell.pp.read_corpus("plates/*.h5ad")
    >>> model = scvcell.tl.fit(corpus, batch_key="file")
    """
    try:
        import dask.array  # noqa: F401
    except ImportError:
        raise ImportError("read_corpus needs dask, which is not installed: pip install 'scvcell[scale]'.") from None
    batch_key, files = one_name("batch_key", batch_key), _files(paths)
    kept = None if columns is None else [*listed("columns", columns, "names of obs columns"), batch_key]
    parts = {label: _open(path, layer, kept) for label, path in files.items()}
    _check_columns(parts, kept, batch_key)
    _check_values(parts, files)
    names = pd.Index(np.concatenate([_names(part) for part in parts.values()]))
    renamed = not names.is_unique
    tables = {
        modality: _joined({k: p[modality] for k, p in parts.items() if modality in p}, files, batch_key, renamed)
        for modality in dict.fromkeys(m for part in parts.values() for m in part)
    }
    if list(tables) == [SINGLE] and not any(path.suffix == ".h5mu" for path in files.values()):
        return tables[SINGLE]
    return MuData(tables)


class _Part:
    """One modality of one file: its counts, which stay there, annotation in memory, and which columns there are."""

    def __init__(self, x: StoredRows, obs: pd.DataFrame, var_names: pd.Index, columns: list[str]) -> None:
        self.x, self.obs, self.var_names, self.columns = x, obs, var_names, columns


def _files(paths: Any) -> dict[str, Path]:
    """Label -> path, in order."""
    if isinstance(paths, Mapping):
        files = {str(label): Path(path) for label, path in paths.items()}
    else:
        given = [paths] if isinstance(paths, str | Path) else list(paths)
        found: list[Path] = []
        for each in map(Path, given):
            if any(sign in str(each) for sign in "*?["):
                found += sorted(Path(each.anchor or ".").glob(str(each.relative_to(each.anchor))))
            elif each.is_dir() and each.suffix != ".zarr":
                found += sorted(path for path in each.iterdir() if path.suffix in SUFFIXES)
            else:
                found.append(each)
        stems = [path.stem for path in found]
        own = len(set(stems)) == len(stems)
        files = {stem if own else str(path): path for stem, path in zip(stems, found, strict=True)}
    if not files:
        raise FileNotFoundError(f"{paths!r} names no file; scvcell reads {', '.join(SUFFIXES)}.")
    for path in files.values():
        if not path.exists():
            raise FileNotFoundError(f"There is no file {str(path)!r}.")
        if path.suffix not in SUFFIXES:
            raise ValueError(f"{str(path)!r}: scvcell reads {', '.join(SUFFIXES)}.")
    return files


def _open(path: Path, layer: str | None, columns: list[str] | None) -> dict[str, _Part]:
    """Every modality of a file."""
    try:
        root = open_root(path)
        inner = {str(m): f"mod/{m}/" for m in root["mod"]} if "mod" in root else {SINGLE: ""}
        return {modality: _part(path, root, prefix, layer, columns) for modality, prefix in inner.items()}
    except (OSError, KeyError) as error:
        raise ValueError(f"{str(path)!r} cannot be read: {error}") from error


def _part(path: Path, root: Any, prefix: str, layer: str | None, columns: list[str] | None) -> _Part:
    group = root[prefix] if prefix else root
    if layer is not None and layer not in group["layers"]:
        raise ValueError(f"{str(path)!r} has no layer {layer!r}; it has {sorted(group['layers'])}.")
    key = "X" if layer is None else f"layers/{layer}"
    stored = group[key]
    if stored.attrs.get("encoding-type") == "csc_matrix":
        raise ValueError(
            f"{str(path)!r} stores its counts by columns (csc), so that cells cannot be read alone. "
            "Write it by rows: adata.X = adata.X.tocsr(); adata.write_h5ad(path)."
        )
    obs, var = (anndata.io.read_elem(group[key]) for key in ("obs", "var"))
    if not len(obs) or not len(var):
        raise ValueError(f"{str(path)!r} is empty: {len(obs)} cells, {len(var)} features. Leave it out.")
    for what, index in (("cell", obs.index), ("feature", var.index)):
        if not index.is_unique:
            twice = index[index.duplicated()][0]
            raise ValueError(f"{str(path)!r}: the {what} {twice!r} occurs more than once. Make its names unique.")
    there = list(map(str, obs))
    obs = obs if columns is None else obs[[column for column in obs if column in columns]]
    return _Part(StoredRows(path, prefix + key), obs, var.index.astype(str), there)


def _check_columns(parts: Mapping[str, dict[str, _Part]], columns: list[str] | None, batch_key: str) -> None:
    there = sorted({str(c) for part in parts.values() for one in part.values() for c in one.columns})
    for column in columns or ():
        if column not in there and column != batch_key:
            raise ValueError(
                f"No file has an obs column {column!r}.{near_miss(column, there)} They have {', '.join(there)}."
            )
    lacking = [label for label, part in parts.items() if not any(batch_key in one.obs for one in part.values())]
    if lacking and len(lacking) < len(parts):
        raise ValueError(f"obs[{batch_key!r}] is in some files, but not in {lacking}. Name a column that all have.")


def _check_values(parts: Mapping[str, dict[str, _Part]], files: Mapping[str, Path]) -> None:
    """Refuse a file of other values than the others have, by a look at its first rows."""
    found: dict[str, dict[str, str]] = {}
    for label, part in parts.items():
        for modality, one in part.items():
            block = one.x.read(open_root(files[label]), 0, min(ROWS_LOOKED_AT, one.x.shape[0]))
            found.setdefault(modality, {})[label] = fault(block, counts=True)
    for modality, faults in found.items():
        for label, what in faults.items():
            if what == "not finite" or (what and not all(faults.values())):
                raise ValueError(
                    f"{str(files[label])!r}: values of {modality!r} are {what}, unlike those of other files. Give "
                    "layer= the name of the layer with raw counts, or leave the file out."
                )


def _names(part: Mapping[str, _Part]) -> Any:
    """Names of all cells of a file, once each."""
    return pd.Index(np.concatenate([one.obs.index.astype(str) for one in part.values()])).unique()


def _joined(parts: Mapping[str, _Part], files: Mapping[str, Path], batch_key: str, renamed: bool) -> AnnData:
    """One modality of all files."""
    features = pd.Index([])
    for label, part in parts.items():
        if len(features) and not len(features.intersection(part.var_names)):
            first = part.var_names[0]
            raise ValueError(
                f"{str(files[label])!r} shares no feature with the files before it: it has {first!r} and others, they "
                f"have {features[0]!r} and others. Give features the same kind of names in all files."
            )
        features = features.append(part.var_names.difference(features, sort=False))
    annotation = []
    for label, part in parts.items():
        obs = part.obs.copy()
        obs.index = obs.index.astype(str)
        if renamed:
            obs.index = f"{label}:" + obs.index
        if batch_key not in obs:
            obs[batch_key] = pd.Categorical([label] * len(obs), categories=list(files))
        annotation.append(obs)
    columns = [features.get_indexer(part.var_names) for part in parts.values()]
    x = Stack([part.x for part in parts.values()], columns, len(features)).as_dask()
    out = AnnData(x, _stacked(annotation), pd.DataFrame(index=features))
    observed = _observed(parts, labels(out.obs[batch_key]), features)
    if not observed.to_numpy().all():
        out.varm[_keys.OBSERVED_MASK] = observed
    return out


def _stacked(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Annotation of all files, text as categories."""
    out = pd.concat([part.astype({c: object for c in part if part[c].dtype == "category"}) for part in parts])
    text = [column for column in out if out[column].dtype == object]
    return out.astype(dict.fromkeys(text, "category"))


def _observed(parts: Mapping[str, _Part], batch: pd.Series, features: pd.Index) -> pd.DataFrame:
    """Which batch measured which feature: those that each of its files has."""
    out: dict[str, Any] = {}
    start = 0
    for part in parts.values():
        has = features.isin(part.var_names)
        for name in batch.iloc[start : start + len(part.obs)].dropna().unique():
            out[name] = out[name] & has if name in out else has
        start += len(part.obs)
    return pd.DataFrame(out, index=features)

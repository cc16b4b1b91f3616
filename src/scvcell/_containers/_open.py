"""Files opened as one container, in which features are matched by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData

from scvcell import _keys
from scvcell._containers._corpus import Corpus, MuCorpus, StoredNames
from scvcell._containers._files import check_columns, check_values, find, open_parts
from scvcell._containers._pairing import joined_rows, stored_rows
from scvcell._containers._read import SINGLE
from scvcell._containers._stack import Stack
from scvcell._labels import joined, labels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from scvcell._containers._files import Layers, Part
    from scvcell._types import Rows

type Paired = Mapping[str, tuple[dict[str, Rows], StoredNames]]
"""By file, rows of its cells by modality, and their names."""


def open_corpus(
    paths: Any,
    *,
    batch_key: str | None,
    columns: Sequence[str] | None = (),
    optional: Sequence[str] = (),
    layers: Layers = None,
    named: bool = False,
) -> AnnData | MuData:
    """As `read_corpus`, with no more in memory of each cell than the columns that are asked for.

    Cells are known by their number, and names stay in the files. Which rows of several modalities are one cell is what
    each file says of it; where one says nothing of use, cells are matched by their names.

    Parameters
    ----------
    paths
        As `read_corpus` takes them.
    batch_key
        Column of the batch; None where all cells are of one.
    columns
        Columns that are kept; None keeps all.
    optional
        Columns that are kept where there are any such.
    layers
        Layer of the raw counts, which stays a layer; of every modality or by modality.
    named
        Whether names of cells are needed anyway.

    Raises
    ------
    ValueError
        Also if files have different features and no batch says so.
    """
    check_dask()
    files, key = find(paths), "file" if batch_key is None else batch_key
    kept = None if columns is None else {*columns, *optional, key}
    parts = {label: open_parts(path, layers, kept, named=named) for label, path in files.items()}
    check_columns(parts, columns or (), key, made=key == "file")
    paired = None if named else _paired(parts, files)
    if paired is None and not named:
        parts, named = {label: open_parts(path, layers, kept) for label, path in files.items()}, True
    out = join_files(parts, files, key, paired=paired, keep_layer=True)
    for name, table in out.mod.items() if isinstance(out, MuData) else [(SINGLE, out)]:
        if batch_key is None and _keys.OBSERVED_MASK in table.varm:
            raise ValueError(
                f"The files have different features of {name!r}, so that what a cell lacks was not measured. Say which "
                "cells were measured alike: batch_key= a column of obs, or batch_key='file' for each file by itself."
            )
    return out


def check_dask() -> None:
    """Refuse to open a corpus without dask."""
    try:
        import dask.array  # noqa: F401
    except ImportError:
        raise ImportError("A corpus needs dask, which is not installed: pip install 'scvcell[scale]'.") from None


def _paired(parts: Mapping[str, dict[str, Part]], files: Mapping[str, Path]) -> Paired | None:
    """Rows of the cells of each file, and their names; None where a file does not say which they are."""
    found = {}
    for label, part in parts.items():
        rows = stored_rows(files[label], {m: one.names for m, one in part.items()})
        if rows is None:
            return None
        found[label] = rows
    return found


def join_files(
    parts: Mapping[str, dict[str, Part]],
    files: Mapping[str, Path],
    batch_key: str,
    *,
    keep_layer: bool,
    paired: Paired | None = None,
) -> AnnData | MuData:
    """All files as one container, whose cells are known by their number where `paired` says which is which."""
    check_values(parts, files)
    prefixes, named = _prefixes(parts, files), paired is None
    tables: dict[str, Any] = {}
    for modality in dict.fromkeys(m for part in parts.values() for m in part):
        mine = {label: part[modality] for label, part in parts.items() if modality in part}
        tables[modality] = _joined(mine, files, batch_key, prefixes, named=named, keep_layer=keep_layer)
    if list(tables) == [SINGLE] and not any(path.suffix == ".h5mu" for path in files.values()):
        return tables[SINGLE]  # type: ignore[no-any-return]
    if paired is None:
        return MuData(tables)
    rows = joined_rows(list(paired.values()), [{m: len(one.obs) for m, one in part.items()} for part in parts.values()])
    spans = [span for _, names in paired.values() for span in names.files]
    start = None if prefixes is None else [prefixes[label] for label in parts]
    return MuCorpus(tables, rows, StoredNames(spans, start))


def _prefixes(parts: Mapping[str, dict[str, Part]], files: Mapping[str, Path]) -> dict[str, str] | None:
    """What names of the cells of each file begin with, where two files share one; else None.

    Raises
    ------
    ValueError
        If a file has two cells of one name.
    """
    found = []
    for label, part in parts.items():
        hashes = [_sorted(one.names.hashes()) for one in part.values()]
        if any(map(_repeats, hashes)):
            raise ValueError(f"{str(files[label])!r} has two cells of one name. Make its names unique.")
        found.append(hashes[0] if len(hashes) == 1 else np.unique(np.concatenate(hashes)))
    shared = _repeats(_sorted(np.concatenate(found)))
    return {label: f"{label}:" for label in parts} if shared else None


def _sorted(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    values.sort()
    return values


def _repeats(ordered: NDArray[np.uint64]) -> bool:
    return bool((ordered[1:] == ordered[:-1]).any())


def _joined(
    parts: Mapping[str, Part],
    files: Mapping[str, Path],
    batch_key: str,
    prefixes: Mapping[str, str] | None,
    *,
    named: bool,
    keep_layer: bool,
) -> AnnData:
    """One modality of all files."""
    features = _features(parts, files)
    at = [features.get_indexer(part.var_names) for part in parts.values()]
    x = Stack([part.rows for part in parts.values()], at, len(features)).as_dask()
    obs = _stacked(parts, list(files), batch_key)
    layer = next(iter(parts.values())).layer if keep_layer else None
    start: Any
    if named:
        start = [(prefixes or {}).get(label, "") + part.obs.index.to_numpy() for label, part in parts.items()]
        obs.index = pd.Index(np.concatenate(start))
        held = {"X": x} if layer is None else {"layers": {layer: x}, "shape": x.shape}
        out = AnnData(**held, obs=obs, var=pd.DataFrame(index=features))
    else:
        spans = [span for part in parts.values() for span in part.names.files]
        start = None if prefixes is None else [prefixes[label] for label in parts]
        out = Corpus(x, layer, obs, features, StoredNames(spans, start))
    observed = _observed(parts, out.obs[batch_key], features)
    if not observed.to_numpy().all():
        out.varm[_keys.OBSERVED_MASK] = observed
    return out


def _features(parts: Mapping[str, Part], files: Mapping[str, Path]) -> pd.Index:
    """Features of all files, those of the first file first."""
    features = pd.Index([])
    for label, part in parts.items():
        if len(features) and not len(features.intersection(part.var_names)):
            first = part.var_names[0]
            raise ValueError(
                f"{str(files[label])!r} shares no feature with the files before it: it has {first!r} and others, they "
                f"have {features[0]!r} and others. Give features the same kind of names in all files."
            )
        features = features.append(part.var_names.difference(features, sort=False))
    return features


def _stacked(parts: Mapping[str, Part], labels: list[str], batch_key: str) -> pd.DataFrame:
    """Annotation of all files, text as categories; the batch is the file where there is no other."""
    cells = [len(part.obs) for part in parts.values()]
    out: dict[Any, Any] = {}
    for column in dict.fromkeys(c for part in parts.values() for c in part.obs):
        held = [
            part.obs[column] if column in part.obs else pd.Series(np.nan, index=part.obs.index, dtype=object)
            for part in parts.values()
        ]
        out[column] = joined([each.reset_index(drop=True) for each in held]).array
    if batch_key not in out:
        code = np.repeat(np.array([labels.index(label) for label in parts], np.int32), cells)
        out[batch_key] = pd.Categorical.from_codes(code, pd.Index(labels))
    return pd.DataFrame(out, index=pd.RangeIndex(sum(cells)))


def _observed(parts: Mapping[str, Part], batch: pd.Series, features: pd.Index) -> pd.DataFrame:
    """Which batch measured which feature: those that each of its files has."""
    out: dict[str, Any] = {}
    start = 0
    for part in parts.values():
        has = features.isin(part.var_names)
        here = pd.Series(batch.iloc[start : start + len(part.obs)].dropna().unique())
        for name in labels(here):
            out[name] = out[name] & has if name in out else has
        start += len(part.obs)
    return pd.DataFrame(out, index=features)

"""pp.read_corpus: many files as one container, whose counts stay on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scvcell._checks import listed, one_name
from scvcell._containers import check_columns, check_dask, find, join_files, open_parts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from anndata import AnnData
    from mudata import MuData


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
        your own as a mapping. A zarr folder of several tables side by side, such as a collection that annbatch
        shuffled, counts as so many files. Counts must be stored by rows, dense or csr.
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
    check_dask()
    batch_key, files = one_name("batch_key", batch_key), find(paths)
    kept = None if columns is None else [*listed("columns", columns, "names of obs columns"), batch_key]
    parts = {label: open_parts(path, layer, kept) for label, path in files.items()}
    check_columns(parts, [column for column in kept or () if column != batch_key], batch_key, made=True)
    return join_files(parts, files, batch_key, keep_layer=False)

"""tl.embed: the state of every cell, from any subset of its assays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData

from scvcell import _keys
from scvcell._checks import expect
from scvcell._containers import check_store, is_paths, open_corpus, store_blocks
from scvcell.model import CSL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from scvcell._containers import Container, Paths, View
    from scvcell.state import Posterior


CELLS_PER_BLOCK = 16_384
"""Cells whose states are written to a file at once."""


def embed(
    data: Container | Paths,
    model: CSL,
    *,
    modalities: Sequence[str] | None = None,
    key_added: str | None = None,
    out: str | Path | None = None,
) -> None:
    """Write the state of every cell to the data, from the modalities it has, or to a file.

    Parameters
    ----------
    data
        AnnData, MuData or SpatialData, fitted or new, cells in any order; or files, as :func:`scvcell.tl.fit` takes
        them.
    model
        Fitted model.
    modalities
        Modalities that may be used; all by default.
    key_added
        ``.obsm`` key, ``"X_csl"`` by default. The uncertainty goes to ``.obs["csl_uncertainty"]`` for the default key,
        else to ``.obs[f"{key_added}_uncertainty"]``.
    out
        A zarr folder that is written instead of the data, block by block: an AnnData of all cells without features,
        with these keys (:func:`anndata.read_zarr`). Where the data are files there must be one.

    Notes
    -----
    Cells that have none of `modalities` get NaN in both.
    """
    expect("model", model, CSL, "The data come first, then the model.")
    if isinstance(modalities, str):
        modalities = [modalities]
    if modalities is not None and not len(modalities):
        raise ValueError(f"modalities= is empty; give some of {model.assays}, or leave it out for all.")
    model.check_modalities(modalities, assays=True)
    target = None if out is None else check_store(out)
    if is_paths(data):
        if target is None:
            raise ValueError("States of files are written to a file of their own: give out='states.zarr', say.")
        data = _opened(data, model)
    if target is not None:
        seen = model.view(data).only(model.assays)
        store_blocks(target, _blocks(seen, model, modalities, _keys.LATENT if key_added is None else key_added))
        return
    write_states(model.view(data), model, modalities, key_added)


def write_states(data: View, model: CSL, modalities: Sequence[str] | None = None, key_added: str | None = None) -> None:
    """As `embed`, of data that the model has viewed."""
    seen = data.only(model.assays)
    key_added = _keys.LATENT if key_added is None else key_added
    column = _keys.uncertainty_key(key_added)
    seen.check_key_added(key_added, [column], default=_keys.LATENT, obsm=True)
    latent, uncertainty = _told(seen, model.posterior(seen, modalities=modalities), modalities)
    seen.write(obsm={key_added: latent}, obs={column: uncertainty})


def _told(
    seen: View, posterior: Posterior, modalities: Sequence[str] | None
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Mean and uncertainty of the state of each cell, NaN where nothing was measured that may be used."""
    some = seen.measured([m for m in seen.modalities if modalities is None or m in modalities])
    latent = posterior.mean.numpy().copy()
    uncertainty = posterior.var.sqrt().mean(1).numpy().astype(np.float64)
    latent[~some] = np.nan
    uncertainty[~some] = np.nan
    return latent, uncertainty


def _blocks(seen: View, model: CSL, modalities: Sequence[str] | None, key: str) -> Iterator[AnnData]:
    """Tables of states of some cells each."""
    source = model.source(seen)
    for start in range(0, seen.n_obs, CELLS_PER_BLOCK):
        cells = np.arange(start, min(start + CELLS_PER_BLOCK, seen.n_obs))
        latent, uncertainty = _told(seen.subset(cells), model.states(source, cells, modalities), modalities)
        obs = pd.DataFrame({_keys.uncertainty_key(key): uncertainty}, index=pd.Index(list(seen.names(cells))))
        yield AnnData(obs=obs, obsm={key: latent})


def _opened(paths: Paths, model: CSL) -> Container:
    """Files as one container, as the model reads them."""
    specs = model.schema.modalities
    layers = {m: spec.layer for m, spec in specs.items() if spec.layer is not None}
    columns = [*model.schema.keys, *(spec.size_factor for spec in specs.values() if spec.size_factor is not None)]
    one = next(iter(layers.values())) if len(layers) == len(specs) == 1 else layers
    return open_corpus(paths, batch_key=model.schema.batch_key, columns=columns, layers=one)

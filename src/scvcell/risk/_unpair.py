"""Cells with two assays become two cells each, and nothing tells which belong together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData

from scvcell._checks import expect, seed_of
from scvcell._containers import choose, view

if TYPE_CHECKING:
    from collections.abc import Sequence


class Unpaired(NamedTuple):
    """Data that lost the pairing of some cells, and that pairing.

    Attributes
    ----------
    data
        All cells; those that were split are there twice, under two names.
    a, b
        New names of both halves: entry i of `a` and entry i of `b` are one cell.
    """

    data: MuData
    a: pd.Index
    b: pd.Index


def unpair(data: MuData, cells: Any, a: str, b: str, *, seed: int | None = None, keep: Sequence[str] = ()) -> Unpaired:
    """Split cells with two assays into two cells each.

    Parameters
    ----------
    data
        MuData with both assays. It does not change.
    cells
        Cells to split, which have both assays: names, a mask, or a query on obs.
    a, b
        Modalities. Any third one stays with the half that has `a`.
    seed
        Seed of new names and a new order. With a seed nothing tells which halves belong together: their names are
        unrelated, rows of every modality are shuffled, and of a cell only its values in ``X`` and the columns `keep`
        are left. Without a seed the half with `a` keeps its name, the other one is called ``"NAME|b"``, and all else
        stays; this will do for methods that read neither names nor other columns.
    keep
        Columns of obs that stay where there is a seed, such as the batch. A column whose values are different for all
        cells would give the pairs away.

    Raises
    ------
    TypeError
        If `data` is no MuData.
    ValueError
        If a cell lacks one of the two, or a new name is there already.
    """
    expect("data", data, MuData, "Pairs are cells with two modalities.")
    seen = view(data)
    at = choose(seen, "cells", cells)
    lacking = at[~(seen.present(a)[at] & seen.present(b)[at])]
    if len(lacking):
        raise ValueError(f"{len(lacking)} cells lack {a!r} or {b!r}, e.g. {seen.obs_names[lacking[0]]!r}.")
    old = seen.obs_names[at]
    rng = None if seed is None else np.random.default_rng(seed_of(seed))
    names = {m: _new_names(old, m, m == a, rng) for m in (a, b)}
    if len(taken := names[b].append(names[a] if rng else pd.Index([])).intersection(seen.obs_names)):
        raise ValueError(f"There is a cell named {taken[0]!r} already; give it another name.")
    renamed = {m: dict(zip(old, names[b if m == b else a], strict=True)) for m in data.mod}
    parts = {}
    for m, adata in data.mod.items():
        part = adata.copy() if rng is None else _bare(adata, keep)
        part.obs_names = [renamed[m].get(name, name) for name in adata.obs_names]
        parts[m] = part if rng is None else part[rng.permutation(part.n_obs)].copy()
    out = MuData(parts)
    origin = {new: name for m in data.mod for name, new in renamed[m].items()}
    rows = data.obs_names.get_indexer([origin.get(name, name) for name in out.obs_names])
    for column in data.obs.columns if rng is None else [c for c in keep if c in data.obs]:
        out.obs[column] = data.obs[column].iloc[rows].set_axis(out.obs_names)
    return Unpaired(out, names[a], names[b])


def _new_names(old: pd.Index, modality: str, first: bool, rng: np.random.Generator | None) -> pd.Index:
    if rng is None:
        return old if first else pd.Index([f"{name}|{modality}" for name in old])
    return pd.Index([f"hidden {i}|{modality}" for i in rng.permutation(len(old))])


def _bare(adata: AnnData, keep: Sequence[str]) -> AnnData:
    """Values, features and what each batch measured, but only some columns of cells."""
    columns = [column for column in keep if column in adata.obs]
    return AnnData(adata.X.copy(), adata.obs[columns].copy(), adata.var.copy(), varm=dict(adata.varm))

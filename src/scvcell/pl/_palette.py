"""Colours of categories as scanpy keeps them, in ``uns["<column>_colors"]``: read where they are, added where not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.colors import is_color_like, to_hex
from mudata import MuData

from scvcell._labels import labels
from scvcell.pl import _style

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData

    from scvcell.pl._tables import Column


def categorical(values: pd.Series) -> pd.Series:
    """Values as categories, text in the natural order in which scanpy would put it."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        return values
    text = labels(values)
    return text.astype(pd.CategoricalDtype(sorted(text.dropna().unique(), key=_natural)))


def _natural(text: str) -> list[str | int]:
    """Sort key by which ``"T2"`` comes before ``"T10"``."""
    return [int(part) if i % 2 else part for i, part in enumerate(re.split(r"([0-9]+)", text))]


def category_colours(
    data: AnnData | MuData, column: Column, name: str, palette: Sequence[str] | Mapping[str, str] | None
) -> dict[object, str]:
    """Colour of each category: of `palette`, else those kept in uns, else new ones, kept there if nothing was.

    Raises
    ------
    ValueError
        If `palette` lacks a category that occurs.
    """
    values = categorical(column.values)
    categories = list(values.cat.categories)
    colours = _given(palette, categories, set(values.dropna())) if palette is not None else None
    colours = colours or _kept(data, column, name, categories)
    if colours is None:
        colours = [to_hex(c) for c in _style.colours(len(categories))]
    holder, key = column.holder, f"{column.key}_colors"
    own = column.key in holder.obs and set(holder.obs[column.key].dropna()) <= set(categories)
    if key not in holder.uns and not holder.is_view and own:
        holder.uns[key] = colours
    return dict(zip(categories, colours, strict=True))


def _given(palette: Sequence[str] | Mapping[str, str], categories: list[object], used: set[object]) -> list[str]:
    if isinstance(palette, Mapping):
        by_name = {str(k): v for k, v in palette.items()}
        if missing := [c for c in categories if c in used and str(c) not in by_name]:
            raise ValueError(f"palette has no colour for {str(missing[0])!r}; it has {list(by_name)}.")
        return [to_hex(by_name.get(str(c), _style.LIGHT)) for c in categories]
    given = list(palette)
    if len(given) < len(categories):
        raise ValueError(f"palette has {len(given)} colours for {len(categories)} categories.")
    return [to_hex(c) for c in given[: len(categories)]]


def _kept(data: AnnData | MuData, column: Column, name: str, categories: list[object]) -> list[str] | None:
    """Colours in uns of the container, of where the column lies, or of a modality with the same categories."""
    places = [(data, f"{name}_colors"), (column.holder, f"{column.key}_colors")]
    if isinstance(data, MuData):
        alike = [a for a in data.mod.values() if column.key in a.obs and _same(a.obs[column.key], categories)]
        places += [(adata, f"{column.key}_colors") for adata in alike]
    for holder, key in places:
        found = list(np.ravel(np.asarray(holder.uns.get(key, ()), dtype=object)))
        if len(found) >= len(categories) and all(map(is_color_like, found)):
            return [to_hex(c) for c in found[: len(categories)]]
    return None


def _same(values: pd.Series, categories: list[object]) -> bool:
    return list(categorical(values).cat.categories) == categories

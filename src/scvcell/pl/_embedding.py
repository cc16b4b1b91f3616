"""pl.embedding: the cell-state latent in two dimensions."""

from __future__ import annotations

import hashlib
import logging
import sys
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib import patheffects
from matplotlib.lines import Line2D
from mudata import MuData

from scvcell import _keys
from scvcell._calm import Bar
from scvcell._labels import is_numeric, numbers
from scvcell.pl import _style, _tables
from scvcell.pl._palette import categorical, category_colours

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from scvcell._types import Rows
    from scvcell.pl._tables import Column

    type Floats = NDArray[np.float64]

logger = logging.getLogger("scvcell")

NOTHING = "#DDDDDD"
"""Colour of cells without a value."""
BASES = {"umap": "UMAP", "csl_umap": "UMAP", "pca": "PC", "tsne": "tSNE"}
"""What axes are called, by obsm key without ``X_``."""


def embedding(
    data: AnnData | MuData,
    *,
    basis: str | None = None,
    key: str = _keys.LATENT,
    color: str | Sequence[str] | None = None,
    size: float | None = None,
    palette: Sequence[str] | Mapping[str, str] | None = None,
    legend: Literal["right", "on data"] | None = "right",
    ax: Axes | Sequence[Axes] | None = None,
    seed: int = 0,
) -> Axes | NDArray[np.object_]:
    """Draw cells on a UMAP of their latent, or on any other embedding.

    Parameters
    ----------
    data
        AnnData or MuData with ``.obsm[key]`` or ``.obsm[basis]``.
    basis
        Key of obsm, with or without ``X_``, also ``"modality:key"``; its first two dimensions are drawn. By default
        ``"X_umap"``: the one that is there, or else a UMAP of the latent, which scanpy computes (see Notes). Of another
        `key` it is ``"<key>_umap"``, and a latent of two dimensions is drawn as it is.
    key
        Latent, ``(cells, dimensions)``. Cells with NaN are left out.
    color
        Obs column or feature of `data` or of a modality, by its name or as ``"modality:name"``; or ``"modalities"``
        (which assays each cell has). Several give one panel each. Cells without a value are light grey. Features are
        drawn as they are in ``X``, counts as ``log(1 + counts)``.
    size
        Area of a dot in points squared; chosen by the number of cells by default.
    palette
        Colours of the categories, in their order or by name. By default those in ``.uns["<column>_colors"]``; else
        Okabe and Ito's up to 8 categories, scanpy's beyond.
    legend
        Where category names go.
    ax
        Axes to draw on, as many as there are panels.
    seed
        Seed of a UMAP that is computed, and of the order in which cells are drawn.

    Returns
    -------
    Axes, or an array of Axes where `color` has several entries.

    Raises
    ------
    ValueError
        If there is no such latent, basis or `color`, a feature's name is one of several modalities, or `palette` lacks
        a category.

    Notes
    -----
    As in scanpy, a UMAP that was computed is kept in obsm (and its digest in ``.uns["csl_umap"]``), and new colours in
    uns, so that the next plot and :func:`scanpy.pl.umap` look the same. What was there is never replaced, but for a
    UMAP made here of a latent that has changed since. Nothing is written to a view.
    """
    several = not (color is None or isinstance(color, str))
    names: list[str | None] = [color] if color is None or isinstance(color, str) else list(color)
    columns = [None if name is None else _tables.column(data, name) for name in names]
    panels = _style.check_axes(ax, len(names))
    where = coordinates(data, key, basis, seed)
    panels = panels or _style.make_axes(None, len(names), size=(4.6, 3.4), columns=3)
    for panel, name, column in zip(panels, names, columns, strict=True):
        cells(panel, data, where, name, column, size=size, palette=palette, legend=legend)
    return np.asarray(panels, dtype=object) if several else panels[0]


class Place(NamedTuple):
    """Where cells are drawn."""

    rows: Rows
    """Positions of the cells in the data, in random order, so that none of the groups lies on top."""
    xy: Floats
    """Their coordinates."""
    label: str
    """Name of the axes."""


def coordinates(data: AnnData | MuData, key: str, basis: str | None, seed: int) -> Place:
    """Coordinates of the cells that have them; a UMAP is computed and kept where there is none.

    Raises
    ------
    ValueError
        If there is neither such a basis nor a latent to make it of.
    """
    asked = basis
    if basis is None:
        flat = key in data.obsm and np.shape(data.obsm[key])[1] <= 2
        basis = key if flat else f"{key}_umap"
        if not flat and key == _keys.LATENT and basis not in data.obsm:
            basis = _keys.UMAP
    elif basis not in data.obsm and ":" not in basis and not basis.startswith("X_"):
        basis = f"X_{basis}"
    found = _find(data, basis)
    if found is None or _outdated(data, basis, key):
        if not basis.lower().endswith("umap") or ":" in basis:
            raise ValueError(f"No .obsm[{basis!r}]. Keys: {', '.join(map(repr, data.obsm)) or 'none'}.")
        found = _umap(data, key, basis, seed)
    elif asked is None and basis == _keys.UMAP and key in data.obsm and basis not in data.uns.get(_keys.UMAP_UNS, {}):
        logger.info("Drawn on the .obsm['X_umap'] that is there; for a UMAP of %s give basis='%s_umap'.", key, key)
    xy = np.asarray(found, dtype=float)
    if xy.ndim != 2 or xy.shape[1] < 2:
        raise ValueError(f".obsm[{basis!r}] has shape {xy.shape}; a plot needs two dimensions.")
    rows = np.flatnonzero(np.isfinite(xy[:, :2]).all(1))
    if len(rows) < len(xy):
        logger.warning("%d cells have no %s and are not drawn.", len(xy) - len(rows), basis)
    rows = np.random.default_rng(seed).permutation(rows)
    plain = basis.split(":")[-1].removeprefix("X_")
    return Place(rows, xy[rows, :2], BASES.get(plain, "UMAP" if plain.endswith("_umap") else plain))


def _find(data: AnnData | MuData, basis: str) -> Any | None:
    """Array of obsm by its key, or by ``"modality:key"``, there also without ``X_``."""
    if basis in data.obsm:
        return np.asarray(data.obsm[basis])
    modality, _, rest = basis.partition(":")
    if isinstance(data, MuData) and modality in data.mod:
        for name in (rest, f"X_{rest}"):
            if name in data.mod[modality].obsm:
                frame = pd.DataFrame(np.asarray(data.mod[modality].obsm[name]), index=data.mod[modality].obs_names)
                return frame.reindex(data.obs_names).to_numpy()
    return None


def _outdated(data: AnnData | MuData, basis: str, key: str) -> bool:
    """Whether a UMAP was made here, of a latent that has changed since."""
    mark = data.uns.get(_keys.UMAP_UNS, {}).get(basis)
    if mark is None or key not in data.obsm or basis not in data.obsm:
        return False
    return mark["umap"] == _digest(data.obsm[basis]) and mark["latent"] != _digest(data.obsm[key])


def _digest(x: Any) -> str:
    return hashlib.sha256(np.ascontiguousarray(np.asarray(x, dtype=np.float32)).tobytes()).hexdigest()[:16]


def _umap(data: AnnData | MuData, key: str, basis: str, seed: int) -> NDArray[np.float32]:
    """Compute a UMAP of the latent and keep it, unless `data` is a view."""
    if key not in data.obsm:
        have = ", ".join(map(repr, data.obsm)) or "none"
        raise ValueError(f"No .obsm[{key!r}] (keys: {have}): run `scvcell.tl.fit(data)` or `scvcell.tl.embed` first.")
    import scanpy as sc

    latent = np.asarray(data.obsm[key])
    finite = np.isfinite(latent).all(1)
    work = AnnData(obs=pd.DataFrame(index=data.obs_names[finite]))
    work.obsm[key] = latent[finite]
    sc.pp.neighbors(work, use_rep=key, random_state=seed)
    bar = Bar(1, "UMAP", shown=sys.stderr.isatty(), delay=0)
    sc.tl.umap(work, random_state=seed)
    bar.step()
    bar.close()
    out = np.full((len(latent), 2), np.nan, np.float32)
    out[finite] = work.obsm["X_umap"]
    if not data.is_view:
        data.obsm[basis] = out
        marks = dict(data.uns.get(_keys.UMAP_UNS, {}))
        data.uns[_keys.UMAP_UNS] = marks | {basis: {"key": key, "latent": _digest(latent), "umap": _digest(out)}}
        logger.info("Computed a UMAP of .obsm[%r] and kept it in .obsm[%r].", key, basis)
    return out


def cells(
    ax: Axes,
    data: AnnData | MuData,
    where: Place,
    name: str | None,
    column: Column | None,
    *,
    size: float | None = None,
    palette: Sequence[str] | Mapping[str, str] | None = None,
    legend: Literal["right", "on data"] | None = "right",
) -> None:
    """Draw cells at their places, coloured by a column or feature."""
    dot: dict[str, Any] = {"s": size if size is not None else float(np.clip(24_000 / max(len(where.rows), 1), 1, 30))}
    dot |= {"linewidths": 0, "rasterized": True}
    x, y = where.xy.T
    if column is None:
        ax.scatter(x, y, color=_style.BLUE, **dot)
    else:
        numeric = is_numeric(column.values)
        values = (column.values if numeric else categorical(column.values)).iloc[where.rows]
        empty = values.isna().to_numpy()
        if empty.any():
            ax.scatter(x[empty], y[empty], color=NOTHING, **dot)
        if numeric:
            _continuous(ax, where.xy[~empty], numbers(values[~empty]), column.scale, dot)
        else:
            colours = category_colours(data, column, str(name), palette)
            shown = values[~empty]
            ax.scatter(x[~empty], y[~empty], c=[colours[v] for v in shown], **dot)
            _names(ax, where.xy[~empty], shown, colours, legend)
        ax.set_title(_style.short(name, 40), fontsize="medium")
    ax.set(xlabel=f"{where.label} 1", ylabel=f"{where.label} 2", xticks=[], yticks=[])
    _style.tidy(ax)


def _continuous(ax: Axes, xy: Floats, values: Floats, scale: str, dot: dict[str, Any]) -> None:
    """Draw numbers as colour, the highest on top."""
    if len(values) == 0:
        return
    order = np.argsort(values, kind="stable")
    x, y = xy[order].T
    points = ax.scatter(x, y, c=values[order], cmap="viridis", **dot)
    bar = ax.figure.colorbar(points, ax=ax, shrink=0.7, aspect=18, pad=0.02)
    bar.outline.set_visible(False)  # type: ignore[operator]
    if scale != "obs":
        bar.set_label(scale, fontsize="small")
    bar.ax.tick_params(labelsize="small")


def _names(
    ax: Axes,
    xy: Floats,
    shown: pd.Series,
    colours: dict[object, str],
    legend: Literal["right", "on data"] | None,
) -> None:
    """Names of the categories that occur, beside the cells or upon them."""
    used = [c for c in colours if (shown == c).any()]
    if legend == "right":
        marks = [Line2D([], [], marker="o", linestyle="", color=colours[c], markersize=5) for c in used]
        _style.side_legend(ax, marks, used)
    elif legend == "on data":
        outline = [patheffects.withStroke(linewidth=2, foreground="white")]
        options: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": "small", "path_effects": outline}
        options["fontweight"] = "bold"
        middles = [np.median(xy[(shown == c).to_numpy()], axis=0) for c in used]
        texts = [ax.text(x, y, _style.short(c), zorder=5, **options) for (x, y), c in zip(middles, used, strict=True)]
        ax.set(xlabel=" ", ylabel=" ", xticks=[], yticks=[])
        _style.spread(ax, texts, middles)

"""pl.embedding: the cell-state latent in two dimensions."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from anndata import AnnData

from scvcell import _keys
from scvcell._calm import Bar
from scvcell.pl import _style, _tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from mudata import MuData
    from numpy.typing import NDArray

logger = logging.getLogger("scvcell")


def embedding(
    data: AnnData | MuData,
    *,
    key: str = _keys.LATENT,
    color: str | Sequence[str] | None = None,
    size: float | None = None,
    palette: Sequence[str] | dict[str, str] | None = None,
    legend: Literal["right", "on data"] | None = "right",
    ax: Axes | Sequence[Axes] | None = None,
    seed: int = 0,
) -> Axes | NDArray[np.object_]:
    """Draw cells on a UMAP of their latent.

    The UMAP is computed by scanpy on a copy of the latent and is not stored. To compute it once for several plots, put
    it into ``.obsm[f"{key}_umap"]``; it is used where it exists. A latent of two dimensions is drawn as it is.

    Parameters
    ----------
    data
        AnnData or MuData with ``.obsm[key]``.
    key
        Latent, ``(cells, dimensions)``. Cells with NaN are left out.
    color
        Obs column of `data`, ``"modality:column"`` of a modality's obs, or ``"modalities"`` (which assays each cell
        has). Several give one panel each. Cells without a value are light grey.
    size
        Area of a dot in points squared; chosen by the number of cells by default.
    palette
        Colours of the categories, in their order or by name. Okabe and Ito's up to 8 categories, else scanpy's.
    legend
        Where category names go.
    ax
        Axes to draw on, as many as there are panels.
    seed
        Seed of the UMAP and of the order in which cells are drawn.

    Returns
    -------
    Axes, or an array of Axes where `color` has several entries.

    Raises
    ------
    ValueError
        If ``.obsm[key]`` or a column of `color` is missing.
    """
    if key not in data.obsm:
        have = ", ".join(map(repr, data.obsm)) or "none"
        raise ValueError(f"No .obsm[{key!r}] (keys: {have}): run `scvcell.tl.fit(data)` or `scvcell.tl.embed` first.")
    several = not (color is None or isinstance(color, str))
    names: list[str | None] = [color] if color is None or isinstance(color, str) else list(color)
    columns = [None if name is None else _tables.obs_column(data, name) for name in names]
    panels = _style.make_axes(ax, len(names), size=(4.6, 3.4), columns=3)
    light, basis = coordinates(data, key, seed)
    label = "UMAP" if basis.endswith("_umap") else key
    for panel, name, column in zip(panels, names, columns, strict=True):
        if column is not None:
            values = column.reindex(light.obs_names)
            numeric = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
            light.obs["color"] = values.astype(float) if numeric else _categories(values)
        _draw(panel, light, basis, name, size, palette, legend)
        panel.set(xlabel=f"{label} 1", ylabel=f"{label} 2")
    return np.asarray(panels, dtype=object) if several else panels[0]


def coordinates(data: AnnData | MuData, key: str, seed: int) -> tuple[AnnData, str]:
    """Cells in random order, so that none of the groups lies on top, and the obsm key of their coordinates."""
    latent = np.asarray(data.obsm[key])
    finite = np.flatnonzero(np.isfinite(latent).all(1))
    if len(finite) < len(latent):
        logger.warning("%d cells have no latent and are not drawn.", len(latent) - len(finite))
    basis = f"{key}_umap" if latent.shape[1] > 2 else key
    order = np.random.default_rng(seed).permutation(finite)
    if basis in data.obsm:
        light = AnnData(obs=pd.DataFrame(index=data.obs_names[order]))
        light.obsm[basis] = np.asarray(data.obsm[basis])[order]
        return light, basis
    import scanpy as sc

    work = AnnData(obs=pd.DataFrame(index=data.obs_names[finite]))
    work.obsm[key] = latent[finite]
    sc.pp.neighbors(work, use_rep=key, random_state=seed)
    bar = Bar(1, "UMAP", shown=sys.stderr.isatty(), delay=0)
    sc.tl.umap(work, random_state=seed)
    bar.step()
    bar.close()
    work.obsm[basis] = work.obsm["X_umap"]
    return work[data.obs_names[order]].copy(), basis


def _categories(values: pd.Series) -> pd.Series:
    if not isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(object).where(values.notna()).map(str, na_action="ignore").astype("category")
    return values.cat.remove_unused_categories()


def _draw(
    ax: Axes,
    light: AnnData,
    basis: str,
    title: str | None,
    size: float | None,
    palette: Sequence[str] | dict[str, str] | None,
    legend: Literal["right", "on data"] | None,
) -> None:
    import scanpy as sc

    options: dict[str, Any] = {"legend_loc": {"right": "right margin", None: "none"}.get(legend, legend)}
    if title is not None:
        options["color"] = "color"
        if isinstance(light.obs["color"].dtype, pd.CategoricalDtype):
            light.uns.pop("color_colors", None)
            n = len(light.obs["color"].cat.categories)
            options["palette"] = palette if palette is not None else (_style.colours(n) if n <= 8 else None)
            options["sort_order"] = False
        else:
            options |= {"color_map": "viridis", "colorbar_loc": "right"}
    area = size if size is not None else float(np.clip(24_000 / light.n_obs, 1, 30))
    sc.pl.embedding(
        light,
        basis,
        ax=ax,
        show=False,
        size=area,
        title=title or "",
        legend_fontsize="small",
        legend_fontoutline=2,
        na_color="#DDDDDD",
        na_in_legend=False,
        **options,
    )
    _style.tidy(ax)
    for points in ax.collections:
        points.set_rasterized(True)
        if title is None:
            points.set_facecolor(_style.BLUE)

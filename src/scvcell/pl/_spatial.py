"""pl.spatial: units at their places in tissue."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.collections import EllipseCollection
from matplotlib.colors import Normalize, to_rgba
from matplotlib.lines import Line2D
from scipy.spatial import KDTree

from scvcell._checks import is_number
from scvcell._containers import Space, view_units
from scvcell._labels import is_numeric, numbers
from scvcell.pl import _style, _tables
from scvcell.pl._palette import categorical, category_colours

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from mudata import MuData
    from numpy.typing import NDArray

    from scvcell._containers import Container, View
    from scvcell._types import Array, Rows
    from scvcell.pl._tables import Column

type Palette = Sequence[str] | Mapping[str, str] | None

logger = logging.getLogger("scvcell")

NOTHING = "#DDDDDD"
"""Colour of units without a value."""
CMAP = "viridis"
COLUMN, TABLE = "value", "drawn"
"""What spatialdata-plot is told that it draws."""
MARGIN = 0.02
"""Empty border of a panel, as a share of the section's longer side."""


def spatial(
    data: Container,
    color: str,
    *,
    table_key: str | Sequence[str] | Mapping[str, str] | None = None,
    section_key: str | None = None,
    radius: float | None = None,
    palette: Sequence[str] | Mapping[str, str] | None = None,
    ax: Axes | Sequence[Axes] | None = None,
) -> Axes | NDArray[np.object_]:
    """Draw cells or spots at their places, coloured by a column or feature.

    Parameters
    ----------
    data
        AnnData or MuData with ``.obsm["spatial"]``, of which units are circles; or SpatialData, whose own circles,
        polygons, labels or points are drawn by spatialdata-plot.
    color
        Obs column or feature of the table, or of one of its modalities as ``"modality:name"``. Units without a value
        are light grey. Features are drawn as they are in ``X``, counts as ``log(1 + counts)``.
    table_key
        Table of a SpatialData, or several of the same units by modality; the only one by default.
    section_key
        Column of the section. Each section is a panel, of one scale of colours. Without it the elements of a
        SpatialData are sections, and other data are one section.
    radius
        Radius of the circles of AnnData or MuData, in the unit of the coordinates; by default half of the median
        distance to the nearest unit. A SpatialData has its own.
    palette
        Colours of the categories, in their order or by name. By default those in ``.uns["<column>_colors"]``; else
        Okabe and Ito's up to 8 categories, scanpy's beyond.
    ax
        Axes to draw on, as many as there are sections.

    Returns
    -------
    Axes, or an array of Axes where there are several sections. The y axis points down, as that of images.

    Raises
    ------
    ValueError
        If there are no coordinates, no such column or feature, or `radius` is no number above 0.
    ImportError
        If a SpatialData is given and spatialdata-plot is not installed.

    Notes
    -----
    New colours of categories are kept in ``.uns["<column>_colors"]``, as scanpy keeps them. Only two dimensions are
    drawn.
    """
    seen = view_units(data, table_key)
    column = _tables.column(seen.source, color)
    check_radius(radius)
    space = Space.of(seen, section_key)
    if seen.place is not None and find_spec("spatialdata_plot") is None:
        raise ImportError(
            "A SpatialData is drawn by the package spatialdata-plot: `pip install 'scvcell[spatial]'`, or give the "
            "table alone, with obsm['spatial']."
        )
    panels, parts = section_axes(space, ax)
    colours = Colouring.of(seen.source, column, color, palette, np.concatenate(parts))
    for panel, rows in zip(panels, parts, strict=True):
        if seen.place is not None:
            _elements(panel, seen, rows, colours)
        else:
            _circles(panel, space.xy[rows, :2], colours.faces(rows), radius)
        frame(panel, space.xy[rows, :2], float(radius or 0))
        _style.headline(panel, section_title(space, rows, color))
    colours.tell(panels)
    return panels[0] if len(panels) == 1 else np.asarray(panels, dtype=object)


def check_radius(radius: Any) -> None:
    """Refuse what is no radius of circles."""
    if radius is not None and (not is_number(radius) or not 0 < float(radius) < np.inf):
        raise ValueError(f"radius must be a number above 0, in the unit of the coordinates, not {radius!r}.")


def section_axes(space: Space, ax: Any) -> tuple[list[Axes], list[Rows]]:
    """Axes of each section that has units, and its units that have coordinates."""
    known = space.placed
    if not known.all():
        logger.warning("%d of %d units have no place or no section: not drawn.", (~known).sum(), len(known))
    parts = [np.flatnonzero(known & (space.section == code)) for code in range(len(space.sections))]
    parts = [rows for rows in parts if len(rows)]
    across, down = np.ptp(space.xy[parts[0], :2], axis=0)
    wide = 4.4 if len(parts) > 1 else 5.6
    tall = float(np.clip(wide * 0.85 * down / max(across, 1e-9), 0.45 * wide, 1.2 * wide)) + 0.5
    return _style.make_axes(ax, len(parts), size=(wide, tall), columns=3), parts


def section_title(space: Space, rows: Rows, name: str) -> str:
    """What a panel is called: what is drawn, and the section where there are several."""
    name, section = _style.short(name, 40), space.sections[space.section[rows[0]]]
    return name if len(space.sections) == 1 else f"{name}, {_style.short(section)}"


def frame(ax: Axes, xy: Array, radius: float) -> None:
    """Limits around the units, equal scales, the y axis down, and no ticks."""
    low, high = xy.min(0), xy.max(0)
    border = MARGIN * float((high - low).max()) + (radius or neighbour_distance(xy) / 2)
    ax.set(xlim=(low[0] - border, high[0] + border), ylim=(high[1] + border, low[1] - border), aspect="equal")
    ax.set(xticks=[], yticks=[], xlabel="", ylabel="")
    ax.spines[:].set_visible(False)


def neighbour_distance(xy: Array) -> float:
    """Median distance to the nearest unit at another place; 1 where there is one place only."""
    places = np.unique(xy, axis=0)
    return float(np.median(KDTree(places).query(places, k=2)[0][:, 1])) if len(places) > 1 else 1.0


@dataclass(frozen=True, eq=False)
class Colouring:
    """Colour of each unit, by category or by number; the same in all panels.

    Attributes
    ----------
    values
        Category or number of each unit, ``(units,)``.
    scale
        What numbers are, see `_tables.Column`.
    colours
        Colour of each category that is drawn; None of numbers.
    norm
        Scale of numbers; None of categories.
    """

    values: pd.Series
    scale: str
    colours: dict[object, str] | None = None
    norm: Normalize | None = None

    @classmethod
    def of(cls, data: AnnData | MuData, column: Column, name: str, palette: Palette, drawn: Rows) -> Colouring:
        """Colours of the units in rows `drawn`."""
        if is_numeric(column.values):
            values = pd.Series(numbers(column.values), index=column.values.index).replace([np.inf, -np.inf], np.nan)
            known = values.iloc[drawn].dropna()
            ends = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
            return cls(values, column.scale, norm=Normalize(*ends))
        values = categorical(column.values)
        here = set(values.iloc[drawn].dropna())
        colours = category_colours(data, column, name, palette)
        return cls(values, column.scale, {each: colour for each, colour in colours.items() if each in here})

    def faces(self, rows: Rows) -> list[Any]:
        """Colour of each of some units."""
        values = self.values.iloc[rows]
        if self.colours is not None:
            return [NOTHING if empty else self.colours[v] for v, empty in zip(values, values.isna(), strict=True)]
        faces = colormaps[CMAP](self.norm(values.to_numpy(dtype=float)))  # type: ignore[misc]
        faces[values.isna().to_numpy()] = to_rgba(NOTHING)
        return list(faces)

    def tell(self, panels: Sequence[Axes]) -> None:
        """Legend or colour bar, beside the last panel."""
        if self.colours is not None:
            legend(panels[-1], self.colours)
            return
        mappable = ScalarMappable(self.norm, CMAP)
        bar = panels[-1].figure.colorbar(mappable, ax=list(panels), shrink=0.7, aspect=18, pad=0.02)
        bar.outline.set_visible(False)  # type: ignore[operator]
        bar.ax.tick_params(labelsize="small")
        if self.scale != "obs":
            bar.set_label(self.scale, fontsize="small")


def legend(ax: Axes, colours: Mapping[object, str]) -> None:
    """Names of categories beside a panel."""
    marks = [Line2D([], [], marker="o", linestyle="", color=colour, markersize=5) for colour in colours.values()]
    _style.side_legend(ax, marks, list(colours))


def _circles(ax: Axes, xy: Array, faces: Sequence[Any], radius: float | None) -> None:
    """Circles of one radius in the unit of the coordinates."""
    wide = 2 * (neighbour_distance(xy) / 2 if radius is None else float(radius))
    size = np.full(len(xy), wide)
    dots = EllipseCollection(
        *(size, size, np.zeros(len(xy))), units="xy", offsets=xy, offset_transform=ax.transData, facecolors=faces
    )
    dots.set(linewidth=0, rasterized=True)
    ax.add_collection(dots)


def _elements(ax: Axes, seen: View, rows: Rows, colours: Colouring) -> None:
    """Units of a SpatialData, drawn by spatialdata-plot; one panel may show those of several elements."""
    import_module("spatialdata_plot")  # it adds `.pl` to SpatialData
    place = seen.subset(rows).own_place
    assert place is not None, "elements are drawn of units that annotate them"
    regions = place.region.astype(str).to_numpy()
    for region in sorted(set(regions)):
        here = rows[regions == region]
        values = colours.values.iloc[here]
        if colours.colours is not None:
            values = values.cat.set_categories(list(colours.colours)).cat.rename_categories(str)
        table = seen.subset(here).as_table(AnnData(obs=pd.DataFrame({COLUMN: values.array}, index=values.index)))
        alone, kind, system = place.alone(region, {TABLE: table})
        how: dict[str, Any] = {"color": COLUMN, "table_name": TABLE, "method": "matplotlib", "na_color": NOTHING}
        if values.isna().all():
            how["color"] = NOTHING
        elif colours.colours is not None:
            how["palette"] = {str(each): colour for each, colour in colours.colours.items()}
        else:
            how |= {"cmap": CMAP, "norm": colours.norm}
        drawn = getattr(alone.pl, f"render_{kind}")(region, colorbar=False, **how)
        drawn.pl.show(system, ax=ax, legend_loc="none", show=False)

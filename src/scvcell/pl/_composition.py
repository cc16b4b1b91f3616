"""pl.composition: what spots hold, as pies at their places."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.collections import PatchCollection
from matplotlib.colors import is_color_like, to_hex, to_rgba
from matplotlib.patches import Wedge

from scvcell import _keys
from scvcell._containers import Space, view
from scvcell._registry import near_miss
from scvcell.pl import _style
from scvcell.pl._spatial import NOTHING, check_radius, frame, legend, neighbour_distance, section_axes, section_title
from scvcell.score import dense

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from scvcell._types import Array, Rows

N_KINDS = 8
"""Kinds that have a colour by default; the others are one grey part."""
OTHER, OTHER_COLOUR = "other", "#B0B0B0"
FAINTEST = 0.15
"""Opacity of a share of which nothing is known: an interval from 0 to 1, or a spot that is not trusted."""
SMALLEST = 0.005
"""Shares below this are not drawn."""


def composition(
    lifted: AnnData,
    kinds: Sequence[str] | None = None,
    *,
    section_key: str | None = None,
    radius: float | None = None,
    palette: Sequence[str] | Mapping[str, str] | None = None,
    ax: Axes | Sequence[Axes] | None = None,
) -> Axes | NDArray[np.object_]:
    """Draw what spots hold: a pie at the place of each, of which a part is the fainter the less it is known.

    Parameters
    ----------
    lifted
        Result of `scvcell.tl.lift`, spots x kinds of cells, with ``.obsm["spatial"]``; or any AnnData of shares.
    kinds
        Kinds that are drawn in colour, by default the 8 most abundant; the others are one grey part. Maps of one kind
        each: `scvcell.pl.spatial(lifted, kind)`.
    section_key
        Column of the section; each section is a panel.
    radius
        Radius of the pies, in the unit of the coordinates; by default half of the median distance to the nearest spot.
    palette
        Colours of all kinds, in their order or by name. By default those that `scvcell.pl.spatial` gives cells of these
        kinds.
    ax
        Axes to draw on, as many as there are sections.

    Returns
    -------
    Axes, or an array of Axes where there are several sections. Opacity of a part is 1 less the width of its interval
    (layers ``upper`` - ``lower``), where there is one. Spots that are not trusted are faint, those without shares grey.

    Raises
    ------
    ValueError
        If there are no coordinates, `kinds` are not in `lifted`, or its values are no shares.
    """
    share = np.asarray(dense(lifted.X), dtype=float)
    known = np.isfinite(share).all(1)
    if share[known].size and (share[known].min() < 0 or not np.allclose(share[known].sum(1), 1, atol=1e-3)):
        raise ValueError("`lifted` holds no shares, which sum to 1 in each spot: give the result of `scvcell.tl.lift`.")
    check_radius(radius)
    chosen = _chosen(lifted, kinds, share[known])
    colours = _colours(lifted, palette, chosen)
    space = Space.of(view(lifted), section_key)
    opacity = _opacity(lifted, share)
    panels, parts = section_axes(space, ax)
    rest = share.shape[1] > len(chosen)
    for panel, rows in zip(panels, parts, strict=True):
        xy = space.xy[rows, :2]
        wide = neighbour_distance(xy) / 2 if radius is None else float(radius)
        _pies(panel, xy, wide, share[rows], opacity[rows], chosen, [to_rgba(c) for c in colours.values()])
        frame(panel, xy, wide)
        _style.headline(panel, section_title(space, rows, "Composition"), _told(lifted, rows))
    legend(panels[-1], colours | ({OTHER: OTHER_COLOUR} if rest else {}))
    return panels[0] if len(panels) == 1 else np.asarray(panels, dtype=object)


def _chosen(lifted: AnnData, kinds: Sequence[str] | None, share: Array) -> Rows:
    """Columns that are drawn in colour."""
    if kinds is None:
        order = np.argsort(-share.mean(0), kind="stable") if len(share) else np.arange(lifted.n_vars)
        return np.sort(order if len(order) <= N_KINDS + 1 else order[:N_KINDS])
    names = [kinds] if isinstance(kinds, str) else list(kinds)
    for name in names:
        if name not in lifted.var_names:
            known = list(map(str, lifted.var_names))
            raise ValueError(f"`lifted` has no kind {name!r}.{near_miss(str(name), known)} It has {known}.")
    return lifted.var_names.get_indexer(names)


def _colours(lifted: AnnData, palette: Sequence[str] | Mapping[str, str] | None, chosen: Rows) -> dict[object, str]:
    """Colour of each kind that is drawn: by its place among all kinds, as those of cells are."""
    names = list(map(str, lifted.var_names))
    if palette is None:
        every = _style.colours(len(names))
    elif isinstance(palette, Mapping):
        by_name = {str(key): colour for key, colour in palette.items()}
        every = [by_name.get(name, "") for name in names]
    else:
        every = list(palette) + [""] * (len(names) - len(palette))
    lacking = [names[k] for k in chosen if not is_color_like(every[k])]
    if lacking:
        raise ValueError(f"palette has no colour for {lacking[0]!r}.")
    return {names[k]: to_hex(every[k]) for k in chosen}


def _opacity(lifted: AnnData, share: Array) -> Array:
    """How far each share is known, from its interval and from whether the spot is trusted, ``(spots, kinds)``."""
    out = np.ones(share.shape)
    if _keys.LOWER in lifted.layers and _keys.UPPER in lifted.layers:
        ends = [np.asarray(dense(lifted.layers[key]), dtype=float) for key in (_keys.LOWER, _keys.UPPER)]
        out = 1 - np.nan_to_num(ends[1] - ends[0])
    if _keys.TRUSTED in lifted.obs:
        out = np.where(lifted.obs[_keys.TRUSTED].to_numpy(bool)[:, None], out, 0)
    return np.clip(out, FAINTEST, 1)


def _told(lifted: AnnData, rows: Rows) -> str:
    """How many spots are trusted, where that is known."""
    if _keys.TRUSTED not in lifted.obs:
        return ""
    return f"{int(lifted.obs[_keys.TRUSTED].iloc[rows].sum()):,} of {len(rows):,} spots trusted"


def _pies(
    ax: Axes, xy: Array, radius: float, share: Array, opacity: Array, chosen: Rows, colours: Sequence[Any]
) -> None:
    """A pie for each spot, clockwise from the top; the part of other kinds is the last."""
    rest = np.setdiff1d(np.arange(share.shape[1]), chosen)
    parts = np.column_stack([share[:, chosen], share[:, rest].sum(1)])
    weight = np.where(share[:, rest] > 0, share[:, rest], 0)
    faint = (weight * opacity[:, rest]).sum(1) / np.maximum(weight.sum(1), 1e-12)
    alpha = np.clip(np.column_stack([opacity[:, chosen], faint]), FAINTEST, 1)
    wedges, faces = [], []
    for spot, place in enumerate(xy):
        if not np.isfinite(parts[spot]).all():
            wedges.append(Wedge(place, radius, 0, 360))
            faces.append(to_rgba(NOTHING))
            continue
        ends = np.append(0, parts[spot].cumsum()) * 360
        for k in np.flatnonzero(parts[spot] > SMALLEST).tolist():
            wedges.append(Wedge(place, radius, ends[k] - 90, ends[k + 1] - 90))  # the y axis points down
            colour = colours[k] if k < len(colours) else to_rgba(OTHER_COLOUR)
            faces.append((*colour[:3], alpha[spot, k]))
    ax.add_collection(PatchCollection(wedges, facecolors=faces, linewidths=0, rasterized=True))

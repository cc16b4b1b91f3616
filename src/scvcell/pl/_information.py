"""pl.modality_information: what each assay tells of each cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb
from matplotlib.patches import Patch

from scvcell import _keys
from scvcell.pl import _style, _tables
from scvcell.pl._palette import categorical

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from mudata import MuData

PREFIX = _keys.BITS.format(modality="")


def modality_information(data: AnnData | MuData, *, groupby: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw how much each modality tells of the state of each cell, in bits.

    What an assay tells alone and what it adds to others are two quantities, so cells with one assay and cells with
    several are drawn apart where there are both.

    Parameters
    ----------
    data
        AnnData or MuData with the obs columns of `scvcell.tl.modality_information`.
    groupby
        Obs column, e.g. of cell types, of `data` or of a modality; also ``"modality:column"`` or ``"modalities"``. One
        box per group and modality (quartiles, whiskers from the 5th to the 95th percentile). Without it, one violin per
        modality, with a bar from the first to the third quartile and a dot at the median.
    ax
        Axes to draw on.

    Returns
    -------
    Axes; cells without a modality do not count for it.

    Raises
    ------
    ValueError
        If the columns are missing, or `groupby` is no column.
    """
    columns = [c for c in data.obs if str(c).startswith(PREFIX)]
    if not columns:
        raise ValueError(f"No obs column {PREFIX}*: run `scvcell.tl.modality_information(data, model)` first.")
    bits, colours = _kinds({str(c)[len(PREFIX) :]: pd.Series(data.obs[c], dtype=float) for c in columns})
    if groupby is None:
        (ax,) = _style.make_axes(ax, 1, size=(1.6 + 0.8 * len(bits), 3.2))
        _violins(ax, bits, colours)
    else:
        groups = categorical(_tables.obs_column(data, groupby).reindex(data.obs_names)).cat.remove_unused_categories()
        n = len(groups.cat.categories)
        (ax,) = _style.make_axes(ax, 1, size=(min(3.2 + 0.25 * n * len(bits), 12), 3.4))
        _boxes(ax, bits, groups, colours)
        ax.set_xlabel(_style.short(groupby, 40))
        marks = [Patch(facecolor=colours[name]) for name in bits]
        _style.side_legend(ax, marks, list(bits), title="box: quartiles\nwhiskers: 5 to 95%")
    ax.set_ylabel("Information (bits per cell)")
    ax.set_ylim(bottom=0)
    _style.tidy(ax, grid="y")
    return ax


def _kinds(bits: dict[str, pd.Series]) -> tuple[dict[str, pd.Series], dict[str, Any]]:
    """Values and colours by what they tell of: a modality alone (pale) or beside others, if there are cells of both."""
    count = np.sum([values.notna().to_numpy() for values in bits.values()], axis=0)
    colours = dict(zip(bits, _style.colours(len(bits)), strict=True))
    if not ((count == 1).any() and (count > 1).any()):
        return bits, colours
    out, tints = {}, {}
    for name, values in bits.items():
        others = [other for other in bits if other != name]
        beside = f"{name} beside {others[0] if len(others) == 1 else 'others'}"
        pale = tuple(0.55 + 0.45 * part for part in to_rgb(colours[name]))
        for label, rows, tint in ((f"{name} alone", count == 1, pale), (beside, count > 1, colours[name])):
            here = values.where(rows)
            if here.notna().any():
                out[label], tints[label] = here, tint
    return out, tints


def _violins(ax: Axes, bits: dict[str, pd.Series], colours: dict[str, Any]) -> None:
    for place, (modality, values) in enumerate(bits.items()):
        known = values.dropna().to_numpy()
        if len(known) == 0:
            continue
        if np.ptp(known) > 0:
            parts = ax.violinplot([known], [place], widths=0.8, showextrema=False)
            for body in parts["bodies"]:  # type: ignore[attr-defined]
                body.set(facecolor=colours[modality], alpha=0.45, edgecolor="none")
        low, middle, high = np.quantile(known, [0.25, 0.5, 0.75])
        ax.vlines(place, low, high, color=colours[modality], linewidth=5)
        ax.scatter(place, middle, s=22, color="white", edgecolor=colours[modality], zorder=3)
    ax.set_xlim(-0.6, len(bits) - 0.4)
    _style.name_ticks(ax, list(bits))


def _boxes(ax: Axes, bits: dict[str, pd.Series], groups: pd.Series, colours: dict[str, Any]) -> None:
    names = list(groups.cat.categories)
    width = 0.8 / len(bits)
    for i, (modality, values) in enumerate(bits.items()):
        drawn = [values[(groups == name).to_numpy() & values.notna().to_numpy()].to_numpy() for name in names]
        boxes = ax.boxplot(
            drawn,
            positions=np.arange(len(names)) + (i - (len(bits) - 1) / 2) * width,
            widths=0.85 * width,
            whis=(5, 95),
            showfliers=False,
            patch_artist=True,
            medianprops={"color": "white", "linewidth": 1.2},
            whiskerprops={"color": colours[modality]},
            showcaps=False,
        )
        for box in boxes["boxes"]:
            box.set(facecolor=colours[modality], edgecolor="none")
    ax.set_xlim(-0.6, len(names) - 0.4)
    _style.name_ticks(ax, names)

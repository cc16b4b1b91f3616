"""pl.modality_information: what each assay tells of each cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.patches import Patch

from scvcell import _keys
from scvcell.pl import _style, _tables

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from mudata import MuData

PREFIX = _keys.BITS.format(modality="")


def modality_information(data: AnnData | MuData, *, groupby: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw how much each modality tells of the state of each cell, in bits.

    Parameters
    ----------
    data
        AnnData or MuData with the obs columns of `scvcell.tl.modality_information`.
    groupby
        Obs column, e.g. of cell types; also ``"modality:column"`` or ``"modalities"``. One box per group and
        modality (middle half and median, whiskers from the 5th to the 95th percentile). Without it, one violin per
        modality.
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
    bits: dict[str, pd.Series] = {str(c)[len(PREFIX) :]: pd.Series(data.obs[c], dtype=float) for c in columns}
    colours = dict(zip(bits, _style.colours(len(bits)), strict=True))
    if groupby is None:
        (ax,) = _style.make_axes(ax, 1, size=(1.6 + 0.8 * len(bits), 3.2))
        _violins(ax, bits, colours)
    else:
        groups = _tables.obs_column(data, groupby).reindex(data.obs_names)
        groups = groups.astype("category").cat.remove_unused_categories()
        n = len(groups.cat.categories)
        (ax,) = _style.make_axes(ax, 1, size=(min(2.2 + 0.3 * n * len(bits), 12), 3.4))
        _boxes(ax, bits, groups, colours)
        ax.set_xlabel(groupby)
        _style.side_legend(ax, [Patch(facecolor=colours[m], label=m) for m in bits])
    ax.set_ylabel("Information (bits per cell)")
    ax.set_ylim(bottom=0)
    _style.tidy(ax, grid="y")
    return ax


def _violins(ax: Axes, bits: dict[str, pd.Series], colours: dict[str, str]) -> None:
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
    ax.set_xticks(range(len(bits)), list(bits))
    ax.set_xlim(-0.6, len(bits) - 0.4)


def _boxes(ax: Axes, bits: dict[str, pd.Series], groups: pd.Series, colours: dict[str, str]) -> None:
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
    long = len(names) * max(len(str(name)) for name in names) > 60
    ax.set_xticks(range(len(names)), list(map(str, names)))
    if long:
        for text in ax.get_xticklabels():
            text.set(rotation=45, horizontalalignment="right", rotation_mode="anchor")
    ax.set_xlim(-0.6, len(names) - 0.4)

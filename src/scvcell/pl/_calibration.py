"""pl.calibration: nominal against observed coverage of predictive intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.ticker import PercentFormatter
from scipy.stats import binom

from scvcell import _keys
from scvcell.pl import _style, _tables
from scvcell.score import coverage, dense

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes


CELLS: dict[tuple[str, ...], str] = {
    ("test",): "cells that the fit did not see",
    ("validation",): "held-out cells, which set the intervals",
}
"""Parts of the split that are scored, the first with enough cells, and how the title names them."""


def calibration(pred: AnnData | pd.DataFrame, truth: AnnData | None = None, *, ax: Axes | None = None) -> Axes:
    """Draw how often intervals hold the measurement, beside how often they should.

    Cells that the fit did not see are counted; without ten of them the held-out cells on which the intervals were set,
    and without these all cells. The title says which and how many.

    Parameters
    ----------
    pred
        Either the result of `scvcell.tl.translate`, with `truth`: coverage per feature at its one level. Or a tidy
        frame with columns ``level`` and ``coverage`` (shares, 0 to 1) and optionally ``feature``: coverage by level. Or
        ``calibration`` of a report of `scvcell.risk.evaluate`: one row per axis, regime, readout and predictor,
        with CRPS and PIT of those that give quantiles.
    truth
        Measured counts. Cells and features are matched by name.
    ax
        Axes to draw on.

    Returns
    -------
    Axes. With `truth`, the shaded band holds 95 % of perfectly calibrated features, for this number of cells; features
    outside it are grey.

    Raises
    ------
    ValueError
        If columns, layers or `truth` are missing, or nothing is shared.
    """
    if isinstance(pred, pd.DataFrame):
        return _by_part(pred, ax) if {"axis", "of", "lower", "upper"} <= set(pred) else _by_level(pred, ax)
    if truth is None:
        raise ValueError("Give `truth=`, the measured counts, or a frame with columns 'level' and 'coverage'.")
    _tables.need_layers(pred, _keys.LOWER, _keys.UPPER)
    level = pred.uns.get(_keys.TRANSLATE, {}).get("level")
    if level is None:
        raise ValueError(
            f"`pred` has no .uns[{_keys.TRANSLATE!r}]['level']: run `scvcell.tl.translate(data, model, to=...)` first."
        )
    return _by_feature(*_tables.shared(pred, truth), float(level), ax)


def _by_feature(pred: AnnData, truth: AnnData, level: float, ax: Axes | None) -> Axes:
    lower, upper = (dense(pred.layers[key]) for key in (_keys.LOWER, _keys.UPPER))
    x = dense(truth.X)
    rows = np.isfinite(lower).all(1) & np.isfinite(upper).all(1) & np.isfinite(x).all(1)
    if not rows.any():
        raise ValueError(
            "No cell has an interval; `scvcell.tl.translate` needs cells with both modalities to calibrate."
        )
    rows, cells = _tables.scored(pred, rows, CELLS)
    observed = coverage(x[rows], lower[rows], upper[rows])
    (ax,) = _style.make_axes(ax, 1, size=(4.0, _style.ranked_height(pred.n_vars)))
    low, high = binom.interval(0.95, rows.sum(), level) / rows.sum()
    good = (observed >= low) & (observed <= high)
    long = _style.is_long(pred.n_vars)
    band = "95% of calibrated features"
    label = f"Observed coverage (nominal {level:.0%})" + ("" if long else f"\nshaded: {band}\ngrey: outside it")
    _style.ranked(ax, observed, list(pred.var_names), good, label=label)
    span, line, axis = (ax.axhspan, ax.axhline, ax.yaxis) if long else (ax.axvspan, ax.axvline, ax.xaxis)
    span(low, high, color=_style.SKY, alpha=0.25, linewidth=0, zorder=1, label=band)
    line(level, color="black", linewidth=0.8, linestyle=(0, (4, 3)), zorder=2)
    axis.set_major_formatter(PercentFormatter(1, decimals=0))
    floor = min(float(observed.min()) - 0.03, level - 0.12)
    (ax.set_ylim if long else ax.set_xlim)(max(floor, 0.0 if observed.min() > 0 else -0.02), 1.005)
    if long:
        ax.legend(frameon=False, fontsize="small", loc="upper right")
    _style.headline(ax, f"Mean coverage {observed.mean():.1%}", cells)
    return ax


def _by_level(frame: pd.DataFrame, ax: Axes | None) -> Axes:
    for column in ("level", "coverage"):
        if column not in frame:
            raise ValueError(f"The frame has no column {column!r}; it has {', '.join(map(str, frame.columns))}.")
    (ax,) = _style.make_axes(ax, 1, size=(3.4, 3.3))
    if "feature" in frame:
        for _, curve in frame.sort_values("level").groupby("feature", observed=True):
            ax.plot(curve["level"], curve["coverage"], color=_style.LIGHT, linewidth=0.8, zorder=1)
        ax.plot([], [], color=_style.LIGHT, linewidth=1.2, label="each feature")
    ax.plot([0, 1], [0, 1], color="black", linewidth=0.8, linestyle=(0, (4, 3)), label="perfect", zorder=2)
    mean = frame.groupby("level")["coverage"].mean().sort_index()
    label = "mean" if "feature" in frame else "observed"
    ax.plot(mean.index, mean, color=_style.BLUE, marker="o", markersize=5, linewidth=1.5, label=label, zorder=3)
    ax.set(xlim=(0, 1), ylim=(0, 1), box_aspect=1, xlabel="Nominal coverage", ylabel="Observed coverage")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.legend(frameon=False, fontsize="small", loc="upper left")
    _style.tidy(ax)
    return ax


def _by_part(frame: pd.DataFrame, ax: Axes | None) -> Axes:
    """Coverage and its interval, one row per line of a report's table; those that are flagged in colour."""
    rows = frame.dropna(subset="coverage").reset_index(drop=True)
    if not len(rows):
        raise ValueError("The frame has no coverage: no predictor of the report gives intervals.")
    (ax,) = _style.make_axes(ax, 1, size=(4.6, 0.9 + 0.3 * len(rows)))
    place = np.arange(len(rows))
    colours = [_style.VERMILION if flag else _style.BLUE for flag in rows["flag"]]
    ax.hlines(place, rows["lower"].astype(float), rows["upper"].astype(float), colors=colours, linewidth=1.5)
    ax.scatter(rows["coverage"].astype(float), place, c=colours, s=26, zorder=3)
    for y, level in zip(place, rows["level"].astype(float), strict=True):
        ax.vlines(level, y - 0.4, y + 0.4, color="black", linewidth=1.0)
    for y, crps, pit in zip(place, rows["crps"].astype(float), rows["pit"].astype(float), strict=True):
        if np.isfinite(crps) and np.isfinite(pit):
            ax.annotate(
                f"CRPS {crps:.2g}, PIT {pit:.2f}",
                (1.02, y),
                xycoords=ax.get_yaxis_transform(),
                fontsize="small",
                va="center",
            )
    several = rows["predictor"].nunique() > 1
    each = rows.groupby(["axis", "regime", "of", "predictor"], observed=True)["readout"].transform("nunique") > 1
    readout = np.where(each, rows["readout"] + ", ", "")
    names = rows["axis"] + ", " + readout + rows["of"] + (", " + rows["predictor"] if several else "")
    ax.set_yticks(place, [_style.short(name, 40) for name in names], fontsize="small")
    ax.set(ylim=(len(rows) - 0.4, -0.6), xlabel="Observed coverage\nblack: nominal; red: too narrow or too wide")
    ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.tick_params(axis="y", length=0)
    _style.tidy(ax, grid="x")
    return ax

"""pl.translation: predicted against measured features."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.lines import Line2D

from scvcell import _keys
from scvcell.pl import _style, _tables
from scvcell.score import correlation, dense, inside

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from scvcell._types import Array

CELLS: dict[tuple[str, ...], str] = {("test", "validation"): "held-out cells"}
"""Parts of the split that are scored, and how the title names them."""
DRAWN = 300
"""Cells in a scatter panel; more would hide each other's whiskers."""


def translation(
    pred: AnnData,
    truth: AnnData,
    *,
    features: Sequence[str] | None = None,
    ax: Axes | Sequence[Axes] | None = None,
) -> Axes | NDArray[np.object_]:
    """Draw the correlation of prediction and measurement per feature, and single features cell by cell.

    Cells on whose measurement the model was trained do not count, where there are at least ten others; the title says
    how many cells do.

    Parameters
    ----------
    pred
        Result of `scvcell.tl.translate`.
    truth
        Measured counts. Cells and features are matched by name; those that only one of the two has are left out.
    features
        Features to draw cell by cell, in one more panel each: up to 300 cells with their predictive interval.
    ax
        Axes to draw on: one, or with `features` one more for each of them.

    Returns
    -------
    Axes with the Pearson correlation of ``log1p`` counts per feature (features that translate does not trust in grey);
    with `features` an array of Axes, that one first.

    Raises
    ------
    ValueError
        If `pred` and `truth` share no cell or feature, or a feature is unknown.
    """
    pred, truth = _tables.shared(pred, truth)
    chosen = [features] if isinstance(features, str) else [] if features is None else list(features)
    if unknown := [name for name in chosen if name not in pred.var_names]:
        raise ValueError(f"Feature {unknown[0]!r} is not in both `pred` and `truth`, e.g. {pred.var_names[0]!r} is.")
    if chosen:
        _tables.need_layers(pred, _keys.LOWER, _keys.UPPER)
    both = np.isfinite(dense(pred.X)).all(1) & np.isfinite(dense(truth.X)).all(1)
    rows, cells = _tables.scored(pred, both, CELLS)
    pred, truth = pred[rows], truth[rows]
    r = correlation(*(np.log1p(dense(part.X)) for part in (pred, truth)), constant="nan")
    size = (3.3, 3.1) if chosen else (4.0, _style.ranked_height(pred.n_vars))
    panels = _style.make_axes(ax, 1 + len(chosen), size=size, columns=3)
    _summary(panels[0], pred, r, cells, compact=bool(chosen))
    for panel, name in zip(panels[1:], chosen, strict=True):
        _scatter(panel, pred[:, name], truth[:, name], name, float(r[pred.var_names.get_loc(name)]))
    return np.asarray(panels, dtype=object) if chosen else panels[0]


def _summary(ax: Axes, pred: AnnData, r: Array, cells: str, *, compact: bool) -> None:
    known = np.isfinite(r)
    if not known.any():
        raise ValueError("Every feature is constant in prediction or truth; there is no correlation to draw.")
    trusted = np.ones(len(r), dtype=bool)
    if _keys.TRUSTED in pred.var:
        trusted = np.asarray(pred.var[_keys.TRUSTED], dtype=bool)
    names = list(pred.var_names[known])
    _style.ranked(ax, r[known], names, trusted[known], label="Pearson r (log counts)", compact=compact)
    long = _style.is_long(len(names), compact)
    low = min(0.0, float(r[known].min()) - 0.05)
    (ax.set_ylim if long else ax.set_xlim)(low, 1.0)
    constant = f", {(~known).sum()} constant left out" if not known.all() else ""
    _style.headline(ax, f"Median r = {np.median(r[known]):.2f}{constant}", cells)
    if not trusted[known].all():
        marks = [
            Line2D([], [], marker="o", linestyle="", color=colour, markersize=5, label=label)
            for colour, label in ((_style.BLUE, "trusted"), (_style.GREY, "not trusted"))
        ]
        ax.legend(handles=marks, frameon=False, fontsize="small", loc="best")


def _scatter(ax: Axes, pred: AnnData, truth: AnnData, name: str, r: float) -> None:
    point, x = (dense(m).ravel() for m in (pred.X, truth.X))
    lower, upper = (dense(pred.layers[key]).ravel() for key in (_keys.LOWER, _keys.UPPER))
    cells = np.flatnonzero(np.isfinite(point) & np.isfinite(x))
    held = inside(x, lower, upper)
    covered = held[cells].mean()
    cells = np.sort(np.random.default_rng(0).permutation(cells)[:DRAWN])
    top = max(float(np.nanmax(v[cells])) for v in (x, point, upper)) * 1.15 + 1
    ax.plot([0, top], [0, top], color="black", linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    for colour, part in ((_style.BLUE, cells[held[cells]]), (_style.VERMILION, cells[~held[cells]])):
        ax.vlines(x[part], lower[part], upper[part], color=colour, linewidth=0.6, alpha=0.25, zorder=2)
        ax.scatter(x[part], point[part], s=9, color=colour, alpha=0.8, linewidths=0, zorder=3)
    ticks = [t for t in (0, 1, 3, 10, 30, 100, 300, 1000, 3000, 10_000, 30_000, 100_000) if t <= top]
    if len(ticks) > 7:
        ticks = [t for t in ticks if not str(t).startswith("3")]
    for axis in ("x", "y"):
        getattr(ax, f"set_{axis}scale")("function", functions=(_log1p, np.expm1))
        getattr(ax, f"set_{axis}lim")(-0.15, top)
        getattr(ax, f"set_{axis}ticks")(ticks, [f"{t:,}" for t in ticks])
    outside = Line2D([], [], marker="o", linestyle="", color=_style.VERMILION, markersize=4, label="outside interval")
    ax.legend(handles=[outside], frameon=False, fontsize="small", loc="upper left", handletextpad=0.1, borderaxespad=0)
    ax.set(xlabel="Measured (counts)", ylabel="Predicted (counts)", box_aspect=1)
    _style.headline(ax, _style.short(name, 28), f"r = {r:.2f}, {covered:.0%} in interval")
    _style.tidy(ax)


def _log1p(x: Array) -> Array:
    return np.log1p(np.maximum(x, -0.9))

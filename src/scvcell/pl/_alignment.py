"""pl.alignment: alignment metrics beside their nulls and baselines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pandas.api.types import is_numeric_dtype

from scvcell.pl import _style
from scvcell.score import lower_is_better, metric_name

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

OTHER = {"metric", "value", "null", "n", "k", "level", "lower", "upper", "seed", "better"}
"""Columns that are no baseline."""


def alignment(report: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw every metric of an alignment report as a row, with null and baselines.

    Parameters
    ----------
    report
        Result of `scvcell.tl.alignment_report`: tidy frame with columns ``metric``, ``value``, ``null`` (shuffled
        pairs), optionally ``better`` (``"lower"`` or ``"higher"``), and a numeric column per baseline, e.g. ``cca``.
        Text columns (which modalities) are added to the row's name where they differ between rows.
    ax
        Axes to draw on.

    Returns
    -------
    Axes with one row per row of `report`, in its order; an arrow at the right says which way is better.

    Raises
    ------
    ValueError
        If `report` has no rows or no columns ``metric`` and ``value``.
    """
    if not {"metric", "value"} <= set(report.columns) or report.empty:
        raise ValueError(
            "`report` needs columns 'metric' and 'value': run `scvcell.tl.alignment_report(data, model)` first."
        )
    report = report.reset_index(drop=True)
    baselines = [str(c) for c in report if c not in OTHER and is_numeric_dtype(report[c]) and report[c].notna().any()]
    (ax,) = _style.make_axes(ax, 1, size=(5.6, 0.9 + 0.42 * len(report)))
    row = np.arange(len(report))
    ends = report[["value", *baselines, *(["null"] if "null" in report else [])]]
    ax.hlines(row, ends.min(axis=1), ends.max(axis=1), color=_style.LIGHT, linewidth=1.5, zorder=1)
    if "null" in report:
        ax.scatter(
            report["null"], row, s=34, facecolor="white", edgecolor=_style.GREY, label="shuffled pairs", zorder=2
        )
    markers = dict(zip(baselines, "DsP^vX" * len(baselines), strict=False))
    for name, colour in zip(baselines, _style.colours(len(baselines) + 1)[1:], strict=True):
        label = _style.short(name.upper() if len(name) <= 4 else name)
        marker: dict[str, Any] = {"marker": markers[name], "color": colour, "edgecolor": "white", "linewidth": 0.6}
        ax.scatter(report[name], row, s=30, label=label, zorder=4, **marker)
    # Behind the smaller baselines, so that neither hides the other where they tie.
    ax.scatter(report["value"], row, s=70, color=_style.BLUE, label="scvcell", zorder=3, linewidths=0)
    for i, value in enumerate(report["value"]):
        ax.annotate(
            f"{value:.3f}", (value, i), xytext=(0, 6), textcoords="offset points", ha="center", fontsize="x-small"
        )
    _finish(ax, report, ends)
    return ax


def _finish(ax: Axes, report: pd.DataFrame, ends: pd.DataFrame) -> None:
    """Row names, arrows, limits and legend."""
    ax.set_yticks(np.arange(len(report)), [_style.short(name, 48) for name in _row_names(report)])
    ax.set_ylim(len(report) - 0.5, -0.7)
    ax.tick_params(axis="y", length=0)
    low, high = min(0.0, float(ends.min().min())), max(1.0, float(ends.max().max()))
    ax.set_xlim(low - 0.03 * (high - low), high + 0.03 * (high - low))
    ax.set_xlabel("Score")
    lower = report["better"] == "lower" if "better" in report else report["metric"].map(lower_is_better)
    for i, down in enumerate(lower):
        text = "← better" if down else "better →"
        ax.annotate(
            text, (1.02, i), xycoords=ax.get_yaxis_transform(), va="center", fontsize="x-small", color=_style.GREY
        )
    handles, labels = ax.get_legend_handles_labels()
    ax.legend(
        handles[::-1],
        labels[::-1],
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=len(handles),
        frameon=False,
        fontsize="small",
        columnspacing=1.2,
        handletextpad=0.2,
        borderaxespad=0.2,
    )
    _style.tidy(ax, grid="x")
    ax.spines["left"].set_visible(False)


def _row_names(report: pd.DataFrame) -> list[str]:
    names = [metric_name(m) for m in report["metric"]]
    text = [c for c in report if c not in OTHER and not is_numeric_dtype(report[c]) and report[c].nunique() > 1]
    if "modality_a" in report and "modality_b" in report:
        pairs = report["modality_a"].astype(str) + ", " + report["modality_b"].astype(str)
        suffix = list(pairs) if pairs.nunique() > 1 else None
    else:
        suffix = [", ".join(map(str, values)) for values in report[text].to_numpy()] if text else None
    return names if suffix is None else [f"{name} ({extra})" for name, extra in zip(names, suffix, strict=True)]

"""pl.feature_links and pl.prior_ablation: which edges the data support, and what the whole graph is worth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scvcell.pl import _style
from scvcell.score import lower_is_better, metric_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.axes import Axes


def feature_links(links: pd.DataFrame, *, fdr: float = 0.05, ax: Axes | None = None) -> Axes:
    """Draw the scores of all edges of a guidance graph, and which of them the data support.

    Parameters
    ----------
    links
        Result of `scvcell.tl.feature_links`.
    fdr
        False discovery rate up to which an edge counts as supported.
    ax
        Axes to draw on.

    Returns
    -------
    Axes with a histogram of supported and other edges.

    Raises
    ------
    ValueError
        If `links` has no rows or no columns ``score`` and ``qvalue``.
    """
    if not {"score", "qvalue"} <= set(links.columns) or links.empty:
        raise ValueError(
            "`links` needs columns 'score' and 'qvalue': run `scvcell.tl.feature_links(data, model)` first."
        )
    (ax,) = _style.make_axes(ax, 1, size=(4.4, 3.0))
    supported = (links["qvalue"] <= fdr).to_numpy()
    score = links["score"].to_numpy()
    edges = np.linspace(min(-1.0, score.min()), max(1.0, score.max()), 41).tolist()
    parts: list[Any] = [score[supported], score[~supported]]
    labels = [f"supported, FDR {fdr:g} ({supported.sum():,})", f"others ({(~supported).sum():,})"]
    ax.hist(parts, bins=edges, stacked=True, color=[_style.BLUE, _style.LIGHT], label=labels)
    ax.set(xlabel="Score of the edge (signed correlation)", ylabel="Edges")
    ax.set_xticks([-1, -0.5, 0, 0.5, 1])
    ax.legend(frameon=False, fontsize="small", loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2)
    _style.tidy(ax, grid="y")
    return ax


def prior_ablation(
    table: pd.DataFrame, *, metrics: Sequence[str] | None = None, ax: Axes | Sequence[Axes] | None = None
) -> list[Axes]:
    """Draw scores against the share of wrong edges in the guidance graph.

    Parameters
    ----------
    table
        Result of `scvcell.tl.prior_ablation`.
    metrics
        Metrics to draw, one panel each; by default all but recall and mixing.
    ax
        As many Axes as there are panels.

    Returns
    -------
    One Axes per metric: dots are fits, the line joins their means from the real graph (0) to the rewired one (1), the
    dashed line is the mean without a graph. The arrow at the label says which way is better.

    Raises
    ------
    ValueError
        If a column or a metric is missing.
    """
    needed = {"variant", "corrupted", "metric", "value"}
    if not needed <= set(table.columns) or table.empty:
        raise ValueError(f"`table` needs columns {sorted(needed)}: run `scvcell.tl.prior_ablation(data, graph)` first.")
    there = list(dict.fromkeys(table["metric"]))
    chosen = [m for m in there if not m.startswith(("recall", "mixing"))] if metrics is None else list(metrics)
    unknown = [m for m in chosen if m not in there]
    if unknown:
        raise ValueError(f"`table` has no metric {unknown[0]!r}; it has {there}.")
    panels = _style.make_axes(ax, len(chosen), size=(3.0, 2.7))
    for panel, metric in zip(panels, chosen, strict=True):
        rows = table[table["metric"] == metric]
        graph = rows[rows["corrupted"].notna()]
        mean = graph.groupby("corrupted")["value"].mean()
        panel.plot(mean.index, mean, color=_style.BLUE, linewidth=1.5)
        panel.scatter(graph["corrupted"], graph["value"], s=22, color=_style.BLUE, zorder=3, linewidths=0)
        none = rows.loc[rows["variant"] == "none", "value"]
        if len(none):
            panel.axhline(none.mean(), color=_style.GREY, linestyle="--", linewidth=1.2)
            # Room above and below, so that neither line nor words lie on the frame.
            low, high = panel.get_ylim()
            panel.set_ylim(low - 0.06 * (high - low), high + 0.12 * (high - low))
            panel.annotate(
                "no graph", (1, none.mean()), xytext=(0, 3), textcoords="offset points", ha="right", fontsize="x-small"
            )
        lower = metric.startswith("held-out") or lower_is_better(metric.split(" ")[0])
        name = _style.short(metric_name(metric), 40)
        name = f"{name}, nats per cell" if metric.startswith("held-out") else name
        panel.set(xlabel="Share of wrong edges", ylabel=f"{name}\n({'lower' if lower else 'higher'} is better)")
        panel.set_xticks(list(mean.index))
        _style.tidy(panel, grid="y")
    return panels

"""pl.effects, pl.order_effect and pl.support: what actions do, and how much of it was seen before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scvcell._checks import whole_number
from scvcell.pl import _style
from scvcell.pl._tables import need, part

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

FEATURES = 20
BAND = 0.6
"""Share of a row's height over which the groups of an action are spread."""


def effects(
    frame: pd.DataFrame,
    *,
    group: Any = None,
    modality: str | None = None,
    n_features: int = FEATURES,
    ax: Axes | None = None,
) -> Axes:
    """Draw the strongest effects of an action with their intervals.

    Parameters
    ----------
    frame
        Result of `scvcell.tl.effects`. Of several actions the first is drawn.
    group, modality
        Group and modality to draw; the first by default. The title says of how many.
    n_features
        Features to draw, those with the largest effects.
    ax
        Axes to draw on.

    Returns
    -------
    Axes with one row per feature; grey where the interval holds 0, an empty dot where there is no interval.

    Raises
    ------
    ValueError
        If `frame` is no such result, or has no such group or modality.
    """
    need(frame, ("feature", "lfc", "lower", "upper", "group"), "effects")
    here, title, of = part(frame, group, modality)
    here = here.iloc[
        np.argsort(-here["lfc"].abs().to_numpy(), kind="stable")[: whole_number("n_features", n_features, 1)]
    ]
    here = here.sort_values("lfc", ascending=False)
    names = [_style.short(name) for name in here["feature"]]
    size = (3.4 + 0.07 * max(map(len, names)), 0.45 + _style.ranked_height(min(len(here), _style.MANY)))
    (ax,) = _style.make_axes(ax, 1, size=size)
    value, lower, upper = (here[c].to_numpy(float) for c in ("lfc", "lower", "upper"))
    place = np.arange(len(here))
    sure = (lower > 0) | (upper < 0)
    finite = np.isfinite(lower) & np.isfinite(upper)
    colour = np.where(sure, _style.BLUE, _style.GREY)
    ax.hlines(place[finite], lower[finite], upper[finite], colors=colour[finite].tolist(), linewidth=1.6)
    ax.scatter(value, place, c=np.where(finite, colour, "white"), edgecolors=colour.tolist(), s=24, zorder=3)
    ax.axvline(0, color=_style.GREY, linewidth=0.8)
    ax.set_yticks(place, names, fontsize="small")
    ax.set_ylim(len(here) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel("log2 fold change\n" + _intervals(here, sure, finite), fontsize="small")
    _style.headline(ax, title, of, _trust(here), loc="left")
    _style.tidy(ax, grid="x")
    return ax


def _intervals(here: pd.DataFrame, sure: np.ndarray, finite: np.ndarray) -> str:
    """What bars, grey and empty dots mean, of those that are drawn."""
    level = f"{here['level'].iloc[0]:.0%} " if "level" in here else ""
    if not finite.any():
        return "no interval could be calibrated"
    words = [f"bar: {level}interval"]
    words += ["grey: it holds 0"] if (~sure & finite).any() else []
    words += ["empty: none known"] if not finite.all() else []
    return "; ".join(words)


def _trust(here: pd.DataFrame) -> str:
    words = [f"support {here['support'].iloc[0]:.2f}"] if "support" in here else []
    if "trusted" in here and not here["trusted"].any():
        words.append("not trusted")
    return ", ".join(words)


def order_effect(frame: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw how much the order of two targets matters, beside what an additive truth would show.

    Parameters
    ----------
    frame
        Result of `scvcell.tl.order_effect`.
    ax
        Axes to draw on.

    Returns
    -------
    Axes with one row per group: kappa with its interval, in colour where p is at most 0.05, and a bar at the mean of
    the null.

    Raises
    ------
    ValueError
        If `frame` is no such result.
    """
    need(frame, ("group", "kappa", "null", "lower", "upper", "p"), "order_effect")
    place = np.arange(len(frame))
    (ax,) = _style.make_axes(ax, 1, size=(5.0, 1.1 + 0.3 * max(len(frame), 2)))
    colour = np.where(frame["p"] <= 0.05, _style.VERMILION, _style.GREY)
    ax.hlines(place, frame["lower"], frame["upper"], color=colour, linewidth=1.5)
    ax.scatter(frame["kappa"], place, c=colour, s=24, zorder=3)
    ax.scatter(frame["null"], place, marker="|", c="black", s=90, label="no order effect\n(mean)")
    kinds = ((_style.VERMILION, "p ≤ 0.05"), (_style.GREY, "p > 0.05"))
    for (tint, label), there in zip(kinds, (frame["p"] <= 0.05, frame["p"] > 0.05), strict=True):
        if there.any():
            ax.scatter([], [], c=tint, s=24, label=label)
    ax.set_yticks(place, [f"{_style.short(g)}  p = {p:.2g}" for g, p in zip(frame["group"], frame["p"], strict=True)])
    ax.set_ylim(len(frame) - 0.5, -0.5)
    ax.set_xlim(left=0)
    ax.tick_params(axis="y", length=0)
    level = f" with {frame['level'].iloc[0]:.0%} interval" if "level" in frame else ""
    ax.set_xlabel(f"Order effect (kappa){level}", fontsize="small")
    _style.side_legend(ax)
    _style.tidy(ax, grid="x")
    return ax


def support(frame: pd.DataFrame, *, n_actions: int = _style.MANY, ax: Axes | None = None) -> Axes:
    """Draw how close actions are to what was seen in training, in each group of cells.

    Parameters
    ----------
    frame
        Results of `scvcell.tl.effects` of some actions, one after the other (`pandas.concat`).
    n_actions
        Actions to draw, those with the least support in the mean over groups.
    ax
        Axes to draw on.

    Returns
    -------
    Axes with one row per action, the best supported first, and one dot per group; empty dots where effects are not
    trusted. Of one action, the groups are the rows.

    Raises
    ------
    ValueError
        If `frame` is no such result.
    """
    need(frame, ("action", "group", "support", "trusted"), "effects")
    each = frame.groupby(["group", "action"], observed=True).agg({"support": "first", "trusted": "any"})
    title = ""
    groups = list(each.index.unique("group"))
    if frame["action"].nunique() == 1:
        title = str(frame["action"].iloc[0])
        each.index = each.index.set_names(["action", "group"])
        groups = list(each.index.unique("group"))
    mean = each["support"].groupby("action", observed=True).mean().sort_values(ascending=False, kind="stable")
    names = list(mean.index[-whole_number("n_actions", n_actions, 1) :])
    row = max(0.19, 0.06 * len(groups))
    legend = 0.2 * len(groups) / _style.legend_columns(len(groups)) if len(groups) > 1 else 0
    (ax,) = _style.make_axes(ax, 1, size=(4.6 if len(groups) > 1 else 4.2, max(0.9 + row * len(names), 0.9 + legend)))
    for number, (group, colour) in enumerate(zip(groups, _style.colours(len(groups)), strict=True)):
        here = each.xs(group, level="group").reindex(names).dropna()
        place = np.array([names.index(name) for name in here.index]) + BAND * ((number + 0.5) / len(groups) - 0.5)
        inside = np.where(here["trusted"].astype(bool), colour, "white")
        ax.scatter(here["support"].astype(float), place, c=inside, edgecolors=colour, s=24, zorder=3, clip_on=False)
    ax.set_yticks(range(len(names)), [_style.short(name) for name in names], fontsize="small")
    ax.set(xlim=(0, 1), ylim=(len(names) - 0.4, -0.6), xlabel="Support (1: seen in training)")
    ax.tick_params(axis="y", length=0)
    some = f"{len(names)} of {len(mean)} {'groups' if title else 'actions'}, the least supported"
    _style.headline(ax, _style.short(title, 40), some if len(names) < len(mean) else "", loc="left")
    _support_legend(ax, groups, bool(each.loc[:, "trusted"].all()))
    _style.tidy(ax, grid="both")
    return ax


def _support_legend(ax: Axes, groups: list[str], trusted: bool) -> None:
    several = groups if len(groups) > 1 else []
    marks = [ax.scatter([], [], c=colour, s=24) for colour in _style.colours(len(several))]
    if not trusted:
        marks.append(ax.scatter([], [], c="white", edgecolors=_style.GREY, s=24))
    if marks:
        _style.side_legend(ax, marks, [*several, *([] if trusted else ["not trusted"])])

"""pl.effects, pl.dose_response, pl.synergy and pl.support: what actions do, and how much of it was seen before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scvcell.pl import _style

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.axes import Axes

FEATURES = 20


def effects(
    frame: pd.DataFrame, *, group: str | None = None, n_features: int = FEATURES, ax: Axes | None = None
) -> Axes:
    """Draw the strongest effects of an action with their intervals.

    Parameters
    ----------
    frame
        Result of `scvcell.tl.effects`.
    group
        Group to draw; the first by default.
    n_features
        Features to draw, those with the largest effects.
    ax
        Axes to draw on.

    Returns
    -------
    Axes with one row per feature; grey where the interval holds 0.

    Raises
    ------
    ValueError
        If `frame` is no such result or has no such group.
    """
    _need(frame, ("feature", "lfc", "lower", "upper", "group"), "effects")
    groups = list(dict.fromkeys(frame["group"]))
    group = groups[0] if group is None else group
    if group not in groups:
        raise ValueError(f"`frame` has no group {group!r}; it has {groups}.")
    here = frame[frame["group"] == group]
    here = here.iloc[np.argsort(-here["lfc"].abs().to_numpy(), kind="stable")[:n_features]]
    here = here.sort_values("lfc", ascending=False)
    (ax,) = _style.make_axes(ax, 1, size=(4.2, _style.ranked_height(min(len(here), _style.MANY))))
    value, lower, upper = (here[c].to_numpy(float) for c in ("lfc", "lower", "upper"))
    place = np.arange(len(here))
    sure = (lower > 0) | (upper < 0)
    finite = np.isfinite(lower) & np.isfinite(upper)
    colour = np.where(sure, _style.BLUE, _style.GREY)
    ax.hlines(place[finite], lower[finite], upper[finite], colors=colour[finite].tolist(), linewidth=1.6)
    ax.scatter(value, place, c=colour, s=24, zorder=3)
    ax.axvline(0, color=_style.GREY, linewidth=0.8)
    ax.set_yticks(place, here["feature"].tolist(), fontsize="small")
    ax.set_ylim(len(here) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    support = f", support {here['support'].iloc[0]:.2f}" if "support" in here else ""
    ax.set_xlabel("log2 fold change")
    ax.set_title(f"{group}{support}", fontsize="medium", loc="left")
    _style.tidy(ax, grid="x")
    return ax


def dose_response(
    frame: pd.DataFrame, *, features: Sequence[str] | None = None, group: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw effects over doses.

    Parameters
    ----------
    frame
        Result of `scvcell.tl.dose_response`.
    features
        Features to draw; by default the five with the largest effect at any dose.
    group
        Group to draw; the first by default.
    ax
        Axes to draw on.

    Returns
    -------
    Axes with a line and an interval per feature.

    Raises
    ------
    ValueError
        If `frame` is no such result or lacks a feature.
    """
    _need(frame, ("feature", "lfc", "lower", "upper", "dose"), "dose_response")
    here = frame[frame["group"] == (frame["group"].iloc[0] if group is None else group)]
    strongest = here["lfc"].abs().groupby(here["feature"]).max().sort_values(ascending=False)
    names = list(strongest.index[:5]) if features is None else list(features)
    missing = [name for name in names if name not in strongest.index]
    if missing:
        raise ValueError(f"`frame` has no feature {missing[0]!r}.")
    (ax,) = _style.make_axes(ax, 1, size=(4.4, 3.2))
    for name, colour in zip(names, _style.colours(len(names)), strict=True):
        rows = here[(here["feature"] == name) & (here["dose"] > 0)].sort_values("dose")
        ax.plot(rows["dose"], rows["lfc"], color=colour, marker="o", markersize=3, label=name)
        if np.isfinite(rows[["lower", "upper"]].to_numpy()).all():
            ax.fill_between(rows["dose"], rows["lower"], rows["upper"], color=colour, alpha=0.15, linewidth=0)
    unit = here["unit"].iloc[0] if "unit" in here else ""
    ax.set(xscale="log", xlabel=f"Dose ({unit})" if unit else "Dose", ylabel="log2 fold change")
    ax.axhline(0, color=_style.GREY, linewidth=0.8)
    _style.side_legend(ax)
    _style.tidy(ax, grid="y")
    return ax


def synergy(frame: pd.DataFrame, *, n_names: int = 8, ax: Axes | None = None) -> Axes:
    """Draw the effect of a combination against the sum of its parts.

    Parameters
    ----------
    frame
        Result of `scvcell.tl.synergy`.
    n_names
        Features to name, those with the largest interactions.
    ax
        Axes to draw on.

    Returns
    -------
    Axes with one dot per feature; in colour where the interval of the interaction leaves out 0.

    Raises
    ------
    ValueError
        If `frame` is no such result.
    """
    _need(frame, ("feature", "lfc", "additive", "interaction", "lower", "upper"), "synergy")
    (ax,) = _style.make_axes(ax, 1, size=(3.6, 3.4))
    sure = ((frame["lower"] > 0) | (frame["upper"] < 0)).to_numpy()
    ax.scatter(frame["additive"], frame["lfc"], c=np.where(sure, _style.VERMILION, _style.GREY), s=9, linewidths=0)
    ends = [float(frame[["additive", "lfc"]].min().min()), float(frame[["additive", "lfc"]].max().max())]
    ax.plot(ends, ends, color=_style.LIGHT, linewidth=1, zorder=0)
    for _, row in frame.iloc[np.argsort(-frame["interaction"].abs().to_numpy(), kind="stable")[:n_names]].iterrows():
        ax.annotate(
            row["feature"], (row["additive"], row["lfc"]), fontsize="x-small", xytext=(3, 2), textcoords="offset points"
        )
    ax.set(xlabel="Sum of the parts (log2 fold change)", ylabel="Combination (log2 fold change)")
    _style.tidy(ax)
    return ax


def surface(frame: pd.DataFrame, feature: str, *, group: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw the effect on one feature over doses and times.

    Parameters
    ----------
    frame
        Result of `scvcell.tl.dose_response` with `times`.
    feature
        Feature to draw.
    group
        Group to draw; the first by default.
    ax
        Axes to draw on.

    Returns
    -------
    Axes with doses across, times upwards, and the effect as colour; dots where the interval leaves out 0.

    Raises
    ------
    ValueError
        If `frame` is no such result, has one time only, or lacks the feature.
    """
    _need(frame, ("feature", "lfc", "lower", "upper", "dose", "time"), "dose_response")
    here = frame[(frame["group"] == (frame["group"].iloc[0] if group is None else group)) & (frame["dose"] > 0)]
    if feature not in set(here["feature"]):
        raise ValueError(f"`frame` has no feature {feature!r}.")
    if here["time"].nunique() < 2:
        raise ValueError("A surface needs at least two times: run `scvcell.tl.dose_response(..., times=[2, 8, 24])`.")
    here = here[here["feature"] == feature].assign(sure=lambda rows: (rows["lower"] > 0) | (rows["upper"] < 0))
    table = here.pivot(index="time", columns="dose", values="lfc")
    (ax,) = _style.make_axes(ax, 1, size=(4.4, 3.0))
    most = float(table.abs().max().max()) or 1.0
    mesh = ax.pcolormesh(table.to_numpy(), cmap="RdBu_r", vmin=-most, vmax=most)
    sure = here.pivot(index="time", columns="dose", values="sure").to_numpy(bool)
    rows, columns = np.nonzero(sure)
    ax.scatter(columns + 0.5, rows + 0.5, c="black", s=6, linewidths=0)
    ax.set_xticks(
        np.arange(table.shape[1]) + 0.5, [f"{float(f'{dose:.2g}'):g}" for dose in table.columns], fontsize="small"
    )
    ax.tick_params(axis="x", rotation=45)
    ax.set_yticks(np.arange(table.shape[0]) + 0.5, [f"{time:g}" for time in table.index], fontsize="small")
    unit = here["unit"].iloc[0] if "unit" in here else ""
    ax.set(xlabel=f"Dose ({unit})" if unit else "Dose", ylabel="Time")
    ax.set_title(feature, fontsize="medium", loc="left")
    ax.figure.colorbar(mesh, ax=ax, label="log2 fold change")
    ax.tick_params(length=0)
    return ax


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
    _need(frame, ("group", "kappa", "null", "lower", "upper", "p"), "order_effect")
    place = np.arange(len(frame))
    (ax,) = _style.make_axes(ax, 1, size=(4.2, 1.0 + 0.3 * len(frame)))
    colour = np.where(frame["p"] <= 0.05, _style.VERMILION, _style.GREY)
    ax.hlines(place, frame["lower"], frame["upper"], color=colour, linewidth=1.5)
    ax.scatter(frame["kappa"], place, c=colour, s=24, zorder=3)
    ax.scatter(frame["null"], place, marker="|", c="black", s=90, label="no order effect (mean)")
    ax.set_yticks(place, [f"{g}  p = {p:.2g}" for g, p in zip(frame["group"], frame["p"], strict=True)])
    ax.set_ylim(len(frame) - 0.5, -0.5)
    ax.set_xlim(left=0)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel("Order effect (kappa)")
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
    trusted.

    Raises
    ------
    ValueError
        If `frame` is no such result.
    """
    _need(frame, ("action", "group", "support", "trusted"), "effects")
    each = frame.groupby(["group", "action"], observed=True).agg({"support": "first", "trusted": "any"})
    mean = each["support"].groupby("action", observed=True).mean().sort_values(ascending=False, kind="stable")
    names = list(mean.index[-n_actions:])
    (ax,) = _style.make_axes(ax, 1, size=(4.2, 0.9 + 0.19 * len(names)))
    groups = list(each.index.unique("group"))
    for number, (group, colour) in enumerate(zip(groups, _style.colours(len(groups)), strict=True)):
        here = each.loc[group].reindex(names).dropna()
        place = np.array([names.index(name) for name in here.index]) + 0.5 * ((number + 0.5) / len(groups) - 0.5)
        inside = np.where(here["trusted"].astype(bool), colour, "white")
        ax.scatter(here["support"].astype(float), place, c=inside, edgecolors=colour, s=24, zorder=3, clip_on=False)
        ax.scatter([], [], c=colour, s=24, label=group)
    ax.set_yticks(range(len(names)), names, fontsize="small")
    ax.set(xlim=(0, 1), ylim=(len(names) - 0.4, -0.6), xlabel="Support (1: seen in training)")
    ax.tick_params(axis="y", length=0)
    if len(names) < len(mean):
        ax.set_title(f"{len(names)} of {len(mean)} actions, the least supported", fontsize="medium", loc="left")
    ax.scatter([], [], c="white", edgecolors=_style.GREY, s=24, label="not trusted")
    _style.side_legend(ax)
    _style.tidy(ax, grid="both")
    return ax


def _need(frame: pd.DataFrame, columns: Sequence[str], verb: str) -> None:
    if not set(columns) <= set(frame.columns) or frame.empty:
        raise ValueError(f"`frame` needs columns {', '.join(columns)}: run `scvcell.tl.{verb}(...)` first.")

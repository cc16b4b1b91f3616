"""pl.dose_response and pl.surface: effects over doses, and over doses and times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scvcell.pl import _style
from scvcell.pl._tables import need, part

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.axes import Axes

DODGE = 0.4
"""Share of the way from dose to dose over which features stand side by side, so that their intervals can be told."""


def dose_response(
    frame: pd.DataFrame,
    *,
    features: str | Sequence[str] | None = None,
    group: Any = None,
    modality: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw effects over doses.

    Parameters
    ----------
    frame
        Result of `scvcell.tl.dose_response`. Of several times the last is drawn; see also `scvcell.pl.surface`.
    features
        Features to draw; by default the five with the largest effect at any dose.
    group, modality
        Group and modality to draw; the first by default, or the first modality that has the first of `features`. The
        title says of how many.
    ax
        Axes to draw on.

    Returns
    -------
    Axes with a line per feature and an interval per dose, features a little to the side of each other; empty dots where
    effects are not trusted.

    Raises
    ------
    ValueError
        If `frame` is no such result or lacks a feature, group or modality.
    """
    need(frame, ("feature", "lfc", "lower", "upper", "dose"), "dose_response")
    chosen = [features] if isinstance(features, str) else None if features is None else list(features)
    here, title, of = part(frame, group, _modality(frame, modality, chosen), _target(frame))
    times: list[float] = here["time"].dropna().unique().tolist() if "time" in here else []
    if len(times) > 1:
        here = here[here["time"] == times[-1]]
    strongest = here["lfc"].abs().groupby(here["feature"]).max().sort_values(ascending=False)
    names = list(strongest.index[:5]) if chosen is None else chosen
    if missing := [name for name in names if name not in strongest.index]:
        raise ValueError(f"`frame` has no feature {missing[0]!r} in {of or 'it'}.")
    (ax,) = _style.make_axes(ax, 1, size=(4.8, 3.3))
    here = here[here["dose"] > 0]
    doses = np.sort(here["dose"].unique())
    step = float((doses[1:] / doses[:-1]).min()) if len(doses) > 1 else 2.0
    known = False
    for number, (name, colour) in enumerate(zip(names, _style.colours(len(names)), strict=True)):
        rows = here[here["feature"] == name].sort_values("dose")
        x, value, low, high = (rows[c].to_numpy(float) for c in ("dose", "lfc", "lower", "upper"))
        x = x * step ** (DODGE * ((number + 0.5) / len(names) - 0.5))
        finite = np.isfinite(low) & np.isfinite(high)
        known |= bool(finite.any())
        ax.vlines(x[finite], low[finite], high[finite], color=colour, linewidth=0.9, alpha=0.7, zorder=2)
        trusted = rows["trusted"].to_numpy(bool) if "trusted" in rows else np.ones(len(rows), bool)
        ax.plot(x, value, color=colour, linewidth=1.2, label=str(name), zorder=3)
        ax.scatter(x, value, c=np.where(trusted, colour, "white"), edgecolors=colour, s=13, linewidths=0.8, zorder=4)
    _finish(ax, here, title, of, times)
    level = f"{here['level'].iloc[0]:.0%} " if "level" in here else ""
    ax.set_ylabel(f"log2 fold change{f' ({level}interval)' if known else ''}")
    return ax


def _finish(ax: Axes, here: pd.DataFrame, title: str, of: str, times: Sequence[float]) -> None:
    """Axes, title and legend of `dose_response`."""
    ax.set(xscale="log", xlabel=_dose_label(here))
    ax.axhline(0, color=_style.GREY, linewidth=0.8)
    words = [of, f"time {times[-1]:g}" if len(times) else ""]
    if "trusted" in here and not here["trusted"].all():
        words.append("empty: not trusted")
    _style.headline(ax, title, ", ".join(filter(None, words)), loc="left")
    lines = [line for line in ax.get_lines() if not str(line.get_label()).startswith("_child")]
    names = [line.get_label() for line in lines]
    _style.side_legend(ax, lines, names)
    _style.tidy(ax, grid="y")


def surface(
    frame: pd.DataFrame,
    feature: str,
    *,
    group: Any = None,
    modality: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the effect on one feature over doses and times.

    Parameters
    ----------
    frame
        Result of `scvcell.tl.dose_response` with `times`.
    feature
        Feature to draw.
    group
        Group to draw; the first by default. The title says of how many.
    modality
        Modality of `feature`; the first that has it by default.
    ax
        Axes to draw on.

    Returns
    -------
    Axes with doses across, times upwards, and the effect as colour; dots where the interval leaves out 0.

    Raises
    ------
    ValueError
        If `frame` is no such result, has one time only, or lacks the feature or group.
    """
    need(frame, ("feature", "lfc", "lower", "upper", "dose", "time"), "dose_response")
    if feature not in set(frame["feature"]):
        raise ValueError(f"`frame` has no feature {feature!r}.")
    if frame["time"].nunique() < 2:
        raise ValueError("A surface needs at least two times: run `scvcell.tl.dose_response(..., times=[2, 8, 24])`.")
    here, title, of = part(frame, group, _modality(frame, modality, [feature]), _target(frame))
    here = here[(here["feature"] == feature) & (here["dose"] > 0)]
    here = here.assign(sure=(here["lower"] > 0) | (here["upper"] < 0))
    table = here.pivot(index="time", columns="dose", values="lfc")
    (ax,) = _style.make_axes(ax, 1, size=(4.6, 3.2))
    most = float(table.abs().max().max()) or 1.0
    mesh = ax.pcolormesh(table.to_numpy(), cmap="RdBu_r", vmin=-most, vmax=most)
    rows, columns = np.nonzero(here.pivot(index="time", columns="dose", values="sure").to_numpy(bool))
    ax.scatter(columns + 0.5, rows + 0.5, c="black", s=6, linewidths=0)
    doses = [f"{float(f'{dose:.2g}'):g}" for dose in table.columns]
    ax.set_xticks(np.arange(table.shape[1]) + 0.5, doses, fontsize="small", rotation=45)
    ax.set_yticks(np.arange(table.shape[0]) + 0.5, [f"{time:g}" for time in table.index], fontsize="small")
    level = f"{here['level'].iloc[0]:.0%} " if "level" in here else ""
    dots = f"\ndots: the {level}interval leaves out 0" if len(rows) else f"\nno {level}interval leaves out 0"
    ax.set_xlabel(_dose_label(here) + dots, fontsize="small")
    ax.set_ylabel("Time")
    _style.headline(ax, f"{_style.short(feature)}: {title}", of, loc="left")
    ax.figure.colorbar(mesh, ax=ax, label="log2 fold change")
    ax.tick_params(length=0)
    return ax


def _dose_label(here: pd.DataFrame) -> str:
    unit = str(here["unit"].iloc[0]) if "unit" in here else ""
    return f"Dose ({_style.short(unit)})" if unit else "Dose"


def _modality(frame: pd.DataFrame, modality: str | None, features: Sequence[str] | None) -> str | None:
    """The modality asked for, or the first that has the first of the features."""
    if modality is not None or not features or "modality" not in frame:
        return modality
    having = frame.loc[frame["feature"] == features[0], "modality"]
    return None if having.empty else str(having.iloc[0])


def _target(frame: pd.DataFrame) -> str | None:
    """What is given, without its dose."""
    if "action" not in frame:
        return None
    words = str(frame["action"].iloc[0]).split(" ")
    dose = f"{frame['dose'].iloc[0]:g}"
    return " ".join(words[: words.index(dose)]) if dose in words[1:] else words[0]

"""pl.synergy: the effect of a combination beside the sum of its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scvcell._checks import whole_number
from scvcell.pl import _style
from scvcell.pl._tables import need, part

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


def synergy(
    frame: pd.DataFrame,
    *,
    group: Any = None,
    modality: str | None = None,
    n_names: int = 8,
    ax: Axes | None = None,
) -> Axes:
    """Draw the effect of a combination against the sum of its parts.

    Parameters
    ----------
    frame
        Result of `scvcell.tl.synergy`.
    group, modality
        Group and modality to draw; the first by default. The title says of how many.
    n_names
        Features to name, those with the largest interactions.
    ax
        Axes to draw on.

    Returns
    -------
    Axes with one dot per feature; in colour where the interval of the interaction leaves out 0. On the line the
    combination does what its parts do together.

    Raises
    ------
    ValueError
        If `frame` is no such result, or has no such group or modality.
    """
    need(frame, ("feature", "lfc", "additive", "interaction", "lower", "upper", "group"), "synergy")
    here, title, of = part(frame, group, modality)
    (ax,) = _style.make_axes(ax, 1, size=(4.0, 4.2))
    sure = ((here["lower"] > 0) | (here["upper"] < 0)).to_numpy()
    values = here[["additive", "lfc"]].to_numpy(float)
    low, high = np.nanmin(values), np.nanmax(values)
    edge = 0.06 * ((high - low) or 1.0)
    ax.axline((low, low), slope=1, color=_style.LIGHT, linewidth=1, zorder=0)
    finite = bool(np.isfinite(here[["lower", "upper"]].to_numpy(float)).all(1).any())
    level = f"{here['level'].iloc[0]:.0%} " if "level" in here else ""
    kinds = [(sure, _style.VERMILION, f"interaction not 0 ({level}interval)"), (~sure, _style.GREY, "others")]
    if not finite:
        kinds = [(~sure, _style.GREY, "no interval could be calibrated")]
    for there, colour, label in kinds:
        number = f": {there.sum():,} features" if finite else ""
        x, y = values[there].T
        ax.scatter(x, y, color=colour, s=9, linewidths=0, label=label + number)
    ax.set(xlim=(low - edge, high + edge), ylim=(low - edge, high + edge), box_aspect=1)
    ax.set(xlabel="Sum of the parts (log2 fold change)", ylabel="Combination (log2 fold change)")
    _style.headline(ax, title, of, loc="left")
    # Below the axes, where neither dots nor names are.
    place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (0, -0.14), "borderaxespad": 0.0}
    ax.legend(frameon=False, fontsize="small", handletextpad=0.2, markerscale=2, **place)
    _style.tidy(ax)
    _name_largest(ax, here, whole_number("n_names", n_names), reach=0.05 * (high - low))
    return ax


def _name_largest(ax: Axes, here: pd.DataFrame, n_names: int, reach: float) -> None:
    """Names of the largest interactions, off the line on the side where their dots are."""
    largest = here.iloc[np.argsort(-here["interaction"].abs().to_numpy(), kind="stable")[:n_names]]
    dots = largest[["additive", "lfc"]].to_numpy(float)
    texts = []
    for name, (x, y) in zip(largest["feature"], dots, strict=True):
        side = 1 if y > x else -1
        label = ax.text(x - side * reach, y + side * reach, _style.short(name), fontsize="x-small", va="center")
        label.set_horizontalalignment("right" if side > 0 else "left")
        texts.append(label)
    _style.spread(ax, texts, dots)

"""What all plots share: colours, axes, and a ranked dot plot."""

from __future__ import annotations

from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    type Floats = NDArray[np.floating]

BLUE, VERMILION, GREEN, PURPLE, SKY, ORANGE = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00"
GREY, LIGHT = "#8C8C8C", "#D0D0D0"
PALETTE = (BLUE, VERMILION, GREEN, PURPLE, SKY, ORANGE, "#000000", "#F0E442")
"""Okabe and Ito's palette, told apart with every common colour blindness."""

MANY = 40
"""Above this number of features a ranked plot names only the extreme ones."""


def colours(n: int) -> list[str]:
    """Take `n` colours of the palette, which repeats where it ends."""
    return list(islice(cycle(PALETTE), n))


def make_axes(ax: Any, n: int, size: tuple[float, float], columns: int = 4) -> list[Axes]:
    """Return `n` Axes: the user's, or those of a new figure, `columns` panels of `size` (inches) in a row at most.

    Raises
    ------
    ValueError
        If the user gave another number of Axes.
    """
    if ax is not None:
        given = list(np.ravel(np.asarray(ax, dtype=object)))
        if len(given) != n:
            raise ValueError(f"This plot has {n} panel{'s' * (n > 1)}; `ax` holds {len(given)} Axes.")
        return given
    tall = -(-n // columns)
    wide = -(-n // tall)
    _, grid = plt.subplots(tall, wide, figsize=(size[0] * wide, size[1] * tall), layout="constrained", squeeze=False)
    panels = list(grid.ravel())
    for spare in panels[n:]:
        spare.remove()
    return panels[:n]


def tidy(ax: Axes, *, grid: str | None = None) -> None:
    """Drop the upper and right spine; with `grid` (``"x"``, ``"y"``, ``"both"``) draw faint lines behind the data."""
    ax.spines[["top", "right"]].set_visible(False)
    if grid is not None:
        ax.grid(axis=grid, color=LIGHT, linewidth=0.5)  # type: ignore[arg-type]
        ax.set_axisbelow(True)


def side_legend(ax: Axes, handles: Sequence[Any] | None = None, *, title: str | None = None) -> None:
    """Put a frameless legend to the right of the axes, where it hides no data."""
    options: dict[str, Any] = {
        "loc": "upper left",
        "bbox_to_anchor": (1.01, 1.0),
        "frameon": False,
        "borderaxespad": 0.0,
        "handletextpad": 0.4,
        "fontsize": "small",
        "title": title,
        "title_fontsize": "small",
        "alignment": "left",
    }
    ax.legend(**options) if handles is None else ax.legend(handles=handles, **options)


def is_long(n: int, compact: bool = False) -> bool:
    """Whether `ranked` draws `n` values as a curve instead of named rows; `compact` stands for a small panel."""
    return n > (MANY // 3 if compact else MANY)


def ranked_height(n: int) -> float:
    """Height in inches of a `ranked` plot of `n` values that stands alone."""
    return 3.2 if is_long(n) else 0.9 + 0.19 * n


def ranked(
    ax: Axes, values: Floats, names: Sequence[str], good: NDArray[np.bool_], *, label: str, compact: bool = False
) -> None:
    """Draw sorted dots, the highest first: named rows where there are few, a ranked curve where there are many.

    Parameters
    ----------
    ax
        Axes to draw on.
    values, names, good
        Per feature: value, name, and whether it is drawn in colour or in grey.
    label
        Label of the value axis, which is x for rows and y for a curve.
    compact
        Whether the panel is small, so that fewer rows fit.
    """
    order = np.argsort(-values, kind="stable")
    colour = np.where(good[order], BLUE, GREY)
    place = np.arange(len(order))
    if not is_long(len(order), compact):
        ax.scatter(values[order], place, c=colour, s=26, zorder=3)
        ax.set_yticks(place, [names[i] for i in order], fontsize="small")
        ax.set_ylim(len(order) - 0.4, -0.6)
        ax.tick_params(axis="y", length=0)
        ax.set_xlabel(label)
        tidy(ax, grid="both")
        return
    ax.scatter(place + 1, values[order], c=colour, s=9, zorder=3, linewidths=0)
    ax.set(xlabel=f"Feature rank (of {len(order)})", ylabel=label)
    tidy(ax, grid="y")
    # A falling curve leaves the lower left free.
    highest, lowest = (", ".join(names[i] for i in part) for part in (order[:3], order[-3:]))
    ax.text(
        0.03, 0.03, f"highest: {highest}\nlowest: {lowest}", transform=ax.transAxes, fontsize="x-small", va="bottom"
    )

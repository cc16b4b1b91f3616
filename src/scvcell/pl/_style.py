"""What all plots share: colours, axes, and a ranked dot plot."""

from __future__ import annotations

from itertools import cycle, islice
from typing import TYPE_CHECKING, Any, Literal

import matplotlib.pyplot as plt
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.text import Text

    from scvcell._types import Array, Mask

    type Floats = Array

BLUE, VERMILION, GREEN, PURPLE, SKY, ORANGE = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00"
GREY, LIGHT = "#8C8C8C", "#D0D0D0"
PALETTE = (BLUE, VERMILION, GREEN, PURPLE, SKY, ORANGE, "#000000", "#F0E442")
"""Okabe and Ito's palette, told apart with every common colour blindness."""

MANY = 40
"""Above this number of features a ranked plot names only the extreme ones."""
ROWS = 16
"""Entries of a legend that stand in one column."""
WIDTH = 24
"""Characters of a name that labels show; of a longer one they show both ends."""


def colours(n: int) -> list[str]:
    """Take `n` colours that can be told apart: Okabe and Ito's up to 8, scanpy's beyond, which repeat after 102."""
    if n <= len(PALETTE):
        return list(PALETTE[:n])
    from scanpy.plotting import palettes

    longer = (palettes.default_20, palettes.default_28, palettes.default_102)
    return list(islice(cycle(next((p for p in longer if n <= len(p)), longer[-1])), n))


def short(name: object, width: int = WIDTH) -> str:
    """Name of a feature, group or action as a label: its middle left out where it is long, and never mathematics."""
    text = " ".join(str(name).split())
    if len(text) > width:
        tail = (width - 1) // 2
        text = f"{text[: width - 1 - tail]}…{text[len(text) - tail :]}"
    return text.replace("$", r"\$")


def check_axes(ax: Any, n: int) -> list[Axes]:
    """Return the user's Axes, which must be `n`; none where there are none.

    Raises
    ------
    ValueError
        If the user gave another number of Axes.
    """
    given = [] if ax is None else list(np.ravel(np.asarray(ax, dtype=object)))
    if ax is not None and len(given) != n:
        raise ValueError(f"This plot has {n} panel{'s' * (n > 1)}; `ax` holds {len(given)} Axes.")
    return given


def make_axes(ax: Any, n: int, size: tuple[float, float], columns: int = 4) -> list[Axes]:
    """Return `n` Axes: the user's, or those of a new figure, `columns` panels of `size` (inches) in a row at most.

    Raises
    ------
    ValueError
        If the user gave another number of Axes.
    """
    if given := check_axes(ax, n):
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


def headline(ax: Axes, *lines: str, loc: Literal["center", "left"] = "center") -> None:
    """Title of one or more lines that keeps to its Axes: the first in medium letters, smaller where there is more."""
    text = "\n".join(line for line in lines if line)
    ax.set_title(text, fontsize="small" if "\n" in text else "medium", loc=loc)


def side_legend(
    ax: Axes, handles: Sequence[Any] | None = None, names: Sequence[Any] | None = None, *, title: str | None = None
) -> None:
    """Put a frameless legend to the right of the axes, where it hides no data, and make room for the whole of it."""
    if handles is None:
        handles, names = ax.get_legend_handles_labels()
    names = [handle.get_label() for handle in handles] if names is None else names
    legend = ax.legend(
        handles,
        [f"entry {i}" for i in range(len(handles))],  # a name that starts with _ would have none
        loc="upper left",
        bbox_to_anchor=(1.01, 1.0),
        frameon=False,
        borderaxespad=0.0,
        handletextpad=0.4,
        fontsize="small",
        title=title,
        title_fontsize="small",
        alignment="left",
        ncols=legend_columns(len(handles)),
    )
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_text(short(name))
    if ax.figure.get_layout_engine() is None:
        _make_room(ax, legend.get_window_extent().x1)


def _make_room(ax: Axes, end: float) -> None:
    """Narrow Axes that no layout engine places, so that what stands to the right, up to pixel `end`, stays inside."""
    box, place = ax.get_window_extent(), ax.get_position()
    share = max((box.width - (end - box.x1)) / box.width, 0.3)
    ax.set_position((place.x0, place.y0, place.width * share, place.height))
    ax.set_in_layout(True)  # unset by set_position; without it, tight_layout() would not see the legend


def legend_columns(n: int) -> int:
    """Columns of a legend of `n` entries beside Axes."""
    return 1 + (n > ROWS) + (n > 3 * ROWS)


def spread(ax: Axes, texts: Sequence[Text], anchors: Any, steps: int = 200) -> None:
    """Move labels up and down until none lies on another; one that is far from its anchor gets a line to it.

    Parameters
    ----------
    ax
        Axes of the labels, whose limits are final.
    texts
        Labels at their places of choice.
    anchors
        What each stands for, in data coordinates.
    """
    if not texts:
        return
    ax.figure.canvas.figure.draw_without_rendering()
    to_pixels, to_data = ax.transData, ax.transData.inverted()
    home = to_pixels.transform([text.get_position() for text in texts])
    boxes = [text.get_window_extent() for text in texts]
    size = np.array([(box.width + 2, box.height + 2) for box in boxes])
    offset = np.array([((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2) for box in boxes]) - home
    frame = ax.get_window_extent()
    low, high = np.array([frame.x0, frame.y0]) + size / 2, np.array([frame.x1, frame.y1]) - size / 2
    place = np.maximum(np.minimum(home + offset, high), low)
    first = np.triu(np.ones((len(texts), len(texts))), 1)
    for _ in range(steps):
        way = place[:, None] - place[None]
        overlap = (size[:, None] + size[None]) / 2 - np.abs(way)
        hit = (overlap > 0).all(-1)
        np.fill_diagonal(hit, False)
        if not hit.any():
            break
        # Labels are wide and low, so they go up and down; of two at one height the first goes up.
        up = np.where(way[..., 1] == 0, first - first.T, np.sign(way[..., 1]))
        place[:, 1] += (hit * up * overlap[..., 1] / 2).sum(1).clip(-6, 6)
        place = np.maximum(np.minimum(place, high), low)
    ends = to_pixels.transform(np.asarray(anchors, dtype=float))
    for text, there, middle, end, half in zip(texts, place, offset, ends, size / 2, strict=True):
        text.set_position(tuple(to_data.transform(there - middle)))
        edge = np.clip(end, there - half, there + half)
        if np.abs(edge - end).max() > 5:
            ax.plot(*to_data.transform([edge, end]).T, color=GREY, linewidth=0.5, zorder=2, scalex=False, scaley=False)


def name_ticks(ax: Axes, names: Sequence[object]) -> None:
    """Name the places 0, 1, ... of the x axis, aslant where the names would not stand side by side."""
    labels = [short(name) for name in names]
    ax.set_xticks(range(len(labels)), labels)
    width = ax.get_window_extent().width / ax.figure.dpi
    if 0.1 * (max(map(len, labels), default=0) + 1) * len(labels) > width:
        for text in ax.get_xticklabels():
            text.set(rotation=45, horizontalalignment="right", rotation_mode="anchor")


def is_long(n: int, compact: bool = False) -> bool:
    """Whether `ranked` draws `n` values as a curve instead of named rows; `compact` stands for a small panel."""
    return n > (MANY // 3 if compact else MANY)


def ranked_height(n: int) -> float:
    """Height in inches of a `ranked` plot of `n` values that stands alone."""
    return 3.2 if is_long(n) else 0.9 + 0.19 * n


def ranked(ax: Axes, values: Floats, names: Sequence[str], good: Mask, *, label: str, compact: bool = False) -> None:
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
        ax.set_yticks(place, [short(names[i]) for i in order], fontsize="small")
        ax.set_ylim(len(order) - 0.4, -0.6)
        ax.tick_params(axis="y", length=0)
        ax.set_xlabel(label)
        tidy(ax, grid="both")
        return
    ax.scatter(place + 1, values[order], c=colour, s=9, zorder=3, linewidths=0)
    ax.set(xlabel=f"Feature rank (of {len(order)})", ylabel=label)
    tidy(ax, grid="y")
    # A falling curve leaves the lower left free.
    ends = (("highest", order), ("lowest", order[::-1]))
    text = "\n".join(f"{end}: {', '.join(_fitting([short(names[i]) for i in part[:3]]))}" for end, part in ends)
    ax.text(0.03, 0.03, text, transform=ax.transAxes, fontsize="x-small", va="bottom")


def _fitting(names: Sequence[str], width: int = 34) -> list[str]:
    """The first names that fit into one line, one at least."""
    ends = np.cumsum([len(name) + 2 for name in names])
    return list(names[: max(int((ends <= width).sum()), 1)])

"""pl.cycle: what lifted spots say of genes that the lift has not seen, against nulls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scvcell import _keys
from scvcell.pl import _style

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

COLUMNS = ("section", "cycle", "score", "null", "gain", "lower", "upper")


def cycle(scores: AnnData | pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the skill of the cycle P o L against each null, by section.

    Parameters
    ----------
    scores
        Result of `scvcell.tl.cycle_scores`, or the lifted spots that it was written to.
    ax
        Axes to draw on.

    Returns
    -------
    Axes with a dot and a 90 % interval for each section and null, the share of the null's deviance that is gone; grey
    where the interval holds 0, so that the null may be as good.

    Raises
    ------
    ValueError
        If there are no such scores.
    """
    held = {"scores": scores} if isinstance(scores, pd.DataFrame) else getattr(scores, "uns", {}).get(_keys.CYCLE, {})
    frame = held.get("scores")
    if frame is None or not set(COLUMNS) <= set(frame.columns):
        raise ValueError("There are no scores of the cycle: run `scvcell.tl.cycle_scores(spots, model, lifted=...)`.")
    here = frame[(frame["cycle"] == "P o L") & (frame["score"] == "deviance")]
    if not len(here):
        raise ValueError("No section could be scored: a section needs spots in two blocks.")
    gain, lower, upper = (here[key].to_numpy(float) for key in ("gain", "lower", "upper"))
    several = here["section"].nunique() > 1
    nulls, sections = here["null"].astype(str).tolist(), here["section"].astype(str).tolist()
    names = [f"{section}: {null}" for section, null in zip(sections, nulls, strict=True)] if several else nulls
    (ax,) = _style.make_axes(ax, 1, size=(4.2, max(_style.ranked_height(len(here)), 2.0)))
    at, good = np.arange(len(here))[::-1], lower > 0
    for there, colour, label in ((good, _style.BLUE, "better than the null"), (~good, _style.GREY, "no better")):
        if there.any():
            bars = np.clip([gain[there] - lower[there], upper[there] - gain[there]], 0, None)
            style: dict[str, Any] = {"fmt": "o", "color": colour, "markersize": 5, "linewidth": 1.2}
            ax.errorbar(gain[there], at[there], xerr=bars, label=label, **style)
    ax.axvline(0, color="black", linewidth=0.8, linestyle=(0, (4, 3)))
    ax.set_yticks(at, [_style.short(name) for name in names])
    ax.set(xlabel="Skill on genes not seen\n(share of the null's deviance that is gone)", ylim=(-0.7, len(here) - 0.3))
    ax.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1.02, 0.5), borderaxespad=0)
    failing = sorted(set(here["section"][~good]))
    if several:
        n = here["section"].nunique()
        _style.headline(ax, f"{n - len(failing)} of {n} sections beat every null", "90% intervals, tiles drawn anew")
    else:
        best = float(gain.min())
        _style.headline(ax, f"Skill {best:.2f} against the best null", "90% intervals, tiles drawn anew")
    _style.tidy(ax)
    return ax

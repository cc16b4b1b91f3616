"""pl.match: how alike treated cells and their matches are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scvcell import _keys
from scvcell.pl import _style

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData
    from matplotlib.axes import Axes
    from mudata import MuData

ALIKE = 0.1
"""Standardised difference up to which two groups are commonly taken for balanced."""


def match(data: AnnData | MuData, *, ax: Sequence[Axes] | None = None) -> list[Axes]:
    """Draw the balance of treated cells and controls before and after matching, and what the matching rests on.

    Parameters
    ----------
    data
        Result of `scvcell.tl.match_counterfactual`.
    ax
        Two Axes to draw on.

    Returns
    -------
    Two Axes: standardised mean differences of every covariate and component of the basal state, with a band where they
    are small; and the number of controls that stand for each treated cell, for cells with and without a control near.

    Raises
    ------
    ValueError
        If `data` is no such result.
    """
    if _keys.MATCH not in data.uns:
        raise ValueError("No .uns['csl_match']: run `scvcell.tl.match_counterfactual(...)` first.")
    balance, params = data.uns[_keys.MATCH]["balance"], data.uns[_keys.MATCH]["params"]
    left, right = _style.make_axes(ax, 2, size=(4.0, 1.6 + 0.22 * max(len(balance), 8)))
    place = np.arange(len(balance))
    before, after = (balance[f"smd_{when}"].to_numpy() for when in ("before", "after"))
    band = f"at most {ALIKE:g}: balanced"
    left.axvspan(-ALIKE, ALIKE, color=_style.LIGHT, alpha=0.4, linewidth=0, label=band)
    left.hlines(place, before, after, colors=_style.LIGHT, linewidth=1.4)
    left.scatter(before, place, c=_style.VERMILION, s=26, zorder=3, label="all controls")
    left.scatter(after, place, c=_style.BLUE, s=26, zorder=3, label="matched controls")
    left.axvline(0, color=_style.GREY, linewidth=0.8)
    left.set_yticks(place, [_style.short(name) for name in balance["variable"]], fontsize="small")
    left.set_ylim(len(balance) - 0.4, -0.6)
    left.tick_params(axis="y", length=0)
    left.set_xlabel("Mean of treated cells minus mean of controls\n(standard deviations)")
    edge = 1.15 * max(ALIKE, *np.abs(before), *np.abs(after))
    left.set_xlim(-edge, edge)
    above: dict[str, Any] = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "ncols": 1}
    above |= {"frameon": False, "fontsize": "small"}
    left.legend(**above)
    _style.tidy(left, grid="x")
    table = data if hasattr(data, "X") else next(iter(data.mod.values()))
    size, near = table.obs[_keys.EFFECTIVE].to_numpy(float), table.obs[_keys.OVERLAP].to_numpy(bool)
    edges = np.geomspace(1, max(size.max(), 2) * 1.01, 25)
    parts = {"control near by": (near, _style.BLUE), "no control near by": (~near, _style.ORANGE)}
    names = [f"{name} ({cells.mean():.0%})" for name, (cells, _) in parts.items()]
    values = [size[cells] for cells, _ in parts.values()]
    right.hist(values, edges, stacked=True, color=[colour for _, colour in parts.values()], label=names)  # type: ignore[arg-type]
    controls = f"effective number; {params['effective_controls']:.0f} in all"
    right.set(xscale="log", xlabel=f"Controls that stand for a treated cell\n({controls})", ylabel="Treated cells")
    if "action" in params:
        right.set_ylabel(f"Cells treated with {_style.short(params['action'])}")
    right.xaxis.set_major_formatter("{x:.0f}")
    right.legend(**above)
    _style.tidy(right, grid="y")
    return [left, right]

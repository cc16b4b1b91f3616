"""pl.history: the terms of the objective over training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from scvcell._containers import is_container
from scvcell.pl import _style

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

SPLITS = {"train": (_style.BLUE, "Training"), "validation": (_style.VERMILION, "Held out")}

TERMS = {
    "loss": ("Total", "Sum of all terms"),
    "kl": ("Divergence from the prior (KL)", "Nats per cell"),
    "contrast": ("Telling pairs apart (InfoNCE)", "Weighted loss"),
    "agreement": ("Disagreement of assays (KL)", "Weighted loss"),
    "match": ("Distance of assays (MMD)", "Weighted loss"),
    "prior": ("Guidance graph", "Weighted loss"),
}
"""Title and unit of each term; any other is the reconstruction of a modality."""


def history(
    model_or_frame: Any | Mapping[str, pd.DataFrame] | pd.DataFrame,
    *,
    terms: Sequence[str] | None = None,
    ax: Axes | Sequence[Axes] | None = None,
) -> NDArray[np.object_]:
    """Draw every term of the objective by epoch, on training and on held-out cells.

    Parameters
    ----------
    model_or_frame
        Trained model, its ``history`` (name -> frame indexed by epoch), or one frame whose columns are named
        ``<term>_train`` and ``<term>_validation``.
    terms
        Terms to draw, in this order: ``loss``, ``kl``, ``contrast``, ``agreement``, ``match``, ``prior`` or a modality
        (its reconstruction). By default all that are not 0 throughout, the total ``loss`` first. As in the total, terms
        are multiplied by their weights.
    ax
        Axes to draw on, one per term.

    Returns
    -------
    Array of Axes, one per term.

    Raises
    ------
    ValueError
        If there is no history, or a term is not in it.
    """
    curves = _curves(model_or_frame)
    known = sorted(dict.fromkeys(map(_term, curves)), key=lambda name: name != "loss")
    if not known:
        raise ValueError("There is no training history: run `scvcell.tl.fit(data)` or `model.train()` first.")
    used = [name for name in known if any((v != 0).any() for key, v in curves.items() if _term(key) == name)]
    chosen = used or known if terms is None else [terms] if isinstance(terms, str) else list(terms)
    if unknown := [name for name in chosen if name not in known]:
        raise ValueError(f"No term {unknown[0]!r} in the history. Terms: {', '.join(known)}.")
    panels = _style.make_axes(ax, len(chosen), size=(2.7, 2.3))
    for panel, term in zip(panels, chosen, strict=True):
        for split, (colour, label) in SPLITS.items():
            if f"{term}_{split}" in curves:
                curve = curves[f"{term}_{split}"]
                alone = "o" if len(curve) == 1 else None
                panel.plot(curve.index, curve, color=colour, label=label, linewidth=1.5, marker=alone)
        title, unit = TERMS.get(term, (f"Reconstruction of {_style.short(term)}", "Nats per cell"))
        panel.set_title(title, fontsize="small")
        panel.set_ylabel(unit, fontsize="small")
        panel.set_xlabel("Epoch")
        panel.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        panel.yaxis.set_major_locator(MaxNLocator(5))
        _style.tidy(panel, grid="y")
    panels[0].legend(frameon=False, fontsize="small")
    return np.asarray(panels, dtype=object)


def _term(name: str) -> str:
    return name.rsplit("_", 1)[0]


def _curves(source: Any) -> dict[str, pd.Series]:
    """Series by name, those of a split only."""
    table = getattr(source, "history", source)
    if table is not None and (is_container(table) or not hasattr(table, "items")):
        raise TypeError(f"pl.history draws a model (or its model.history), not {type(source).__name__}.")
    items = dict(table.items()) if table is not None else {}
    curves = {str(name): v.iloc[:, 0] if isinstance(v, pd.DataFrame) else v for name, v in items.items()}
    return {name: v.astype(float).dropna() for name, v in curves.items() if name.rpartition("_")[2] in SPLITS}

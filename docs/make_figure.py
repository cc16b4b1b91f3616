"""Draw the figure of the README: ``python docs/make_figure.py`` writes ``docs/_static/demo.png``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

import scvcell

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from mudata import MuData


def main() -> None:
    """Fit the embedded mosaic with the pairing of one batch hidden, and draw what comes of it."""
    torn = scvcell.risk.unpair(scvcell.datasets.pbmc_mosaic(), "batch == 'p4_0'", "rna", "adt")
    mdata, pairs = torn.data, (torn.a.tolist(), torn.b.tolist())
    model = scvcell.tl.fit(mdata, batch_key="batch")
    predicted = scvcell.tl.translate(mdata, model, to="adt", source=["rna"])[pairs[0]].copy()
    truth = mdata["adt"][pairs[1]].copy()
    truth.obs_names = predicted.obs_names
    size = {"width_ratios": [1.1, 1.4, 1.4, 1.3]}
    figure, axes = plt.subplots(1, 4, figsize=(17, 4.2), layout="constrained", gridspec_kw=size)
    draw_mosaic(scvcell.datasets.pbmc_mosaic(), axes[0])
    scvcell.pl.embedding(mdata, color="celltype", ax=axes[1])
    scvcell.pl.embedding(mdata, color="modalities", ax=axes[2])
    scvcell.pl.translation(predicted, truth, ax=axes[3])
    names = (
        "What was measured",
        "Which cells are alike?",
        "Do the assays meet?",
        "How well is each protein told?",
    )
    for ax, name in zip(axes, names, strict=True):
        ax.set_title("")
        ax.set_title(name, loc="left", weight="bold")
    figure.savefig(Path(__file__).parent / "_static" / "demo.png", dpi=110)


def draw_mosaic(mdata: MuData, ax: Axes) -> None:
    """One row per batch, one column per assay; filled where it was measured."""
    batches = sorted(set(mdata.obs["batch"].astype(str)))
    for x, assay in enumerate(mdata.mod):
        there = mdata.obs["batch"].astype(str)[mdata.obs_names.isin(mdata[assay].obs_names)].value_counts()
        for y, batch in enumerate(batches):
            n = int(there.get(batch, 0))
            color = ("#0072B2", "#D55E00")[x] if n else "none"
            ax.add_patch(plt.Rectangle((x + 0.04, y + 0.06), 0.92, 0.88, facecolor=color, edgecolor="0.7"))
            ax.text(x + 0.5, y + 0.5, f"{n} cells" if n else "", ha="center", va="center", color="w")
    ax.set(xlim=(0, len(mdata.mod)), ylim=(len(batches), 0))
    ax.set_xticks([x + 0.5 for x in range(len(mdata.mod))], [f"{name}" for name in mdata.mod])
    ax.set_yticks([y + 0.5 for y in range(len(batches))], [f"batch {y + 1}" for y in range(len(batches))])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)


if __name__ == "__main__":
    main()

"""Draw the figure of the README: ``python docs/make_figure.py`` writes ``docs/_static/demo.png``."""

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

import scvcell
from scvcell._demo import hide_pairing


def main() -> None:
    """Fit the embedded mosaic with the pairing of one batch hidden, and draw what comes of it."""
    mdata, pairs = hide_pairing(scvcell.datasets.pbmc_mosaic())
    model = scvcell.tl.fit(mdata, batch_key="batch")
    predicted = scvcell.tl.translate(mdata, model, to="adt", source=["rna"])[pairs[0]].copy()
    truth = mdata["adt"][pairs[1]].copy()
    truth.obs_names = predicted.obs_names
    figure, axes = plt.subplots(1, 3, figsize=(15, 4.2), layout="constrained")
    scvcell.pl.embedding(mdata, color="celltype", ax=axes[0])
    scvcell.pl.embedding(mdata, color="modalities", ax=axes[1])
    scvcell.pl.translation(predicted, truth, ax=axes[2])
    figure.savefig(Path(__file__).parent / "_static" / "demo.png", dpi=110)


if __name__ == "__main__":
    main()

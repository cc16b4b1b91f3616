"""``scvcell demo``: the main job on the embedded real data, scored on hidden pairing beside the baselines."""

from __future__ import annotations

import html
import time
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

import scvcell
from scvcell import risk, score
from scvcell.score import metric_name

if TYPE_CHECKING:
    from pathlib import Path

    from anndata import AnnData
    from mudata import MuData

HIDDEN = "p4_0"


def run(out: Path, *, seed: int = 0) -> str:
    """Fit, score, draw; results go to `out`. Returns the Markdown table."""
    import matplotlib as mpl

    mpl.use("Agg")
    start = time.perf_counter()
    torn = risk.unpair(scvcell.datasets.pbmc_mosaic(), f"batch == '{HIDDEN}'", "rna", "adt")
    mdata, pairs = torn.data, (torn.a.tolist(), torn.b.tolist())
    model = scvcell.tl.fit(mdata, batch_key="batch", seed=seed)
    if model.interrupted:
        raise KeyboardInterrupt
    fitted = time.perf_counter() - start
    report = scvcell.tl.alignment_report(mdata, model, labels_key="celltype", pairs=pairs)
    predicted = scvcell.tl.translate(mdata, model, to="adt", source=["rna"])[pairs[0]].copy()
    truth = mdata["adt"][pairs[1]].copy()
    truth.obs_names = predicted.obs_names
    scvcell.tl.modality_information(mdata, model)
    table = _table(mdata, predicted, truth, report, pairs)
    text = _markdown(table)
    note = (
        f"{mdata.n_obs} cells of 4 batches; the pairing of {len(pairs[0])} cells of batch {HIDDEN} was hidden. "
        f"Fitted in {fitted:.0f} s, {len(next(iter(model.history.values())))} epochs, seed {seed}."
    )
    out.mkdir(parents=True, exist_ok=True)
    (out / "table.md").write_text(f"{note}\n\n{text}\n")
    report.to_csv(out / "alignment.csv", index=False)
    model.save(out / "model", overwrite=True)
    figures = _figures(out, mdata, model, report, predicted, truth)
    (out / "index.html").write_text(_page(note, table, figures))
    return f"\n{note}\n\n{text}\n\nFigures and the fitted model: {out / 'index.html'}"


def _table(
    mdata: MuData, predicted: AnnData, truth: AnnData, report: pd.DataFrame, pairs: tuple[list[str], list[str]]
) -> pd.DataFrame:
    """One row per method: translation on the CLR scale, coverage, and alignment of the hidden pairs."""
    rna, adt = mdata["rna"], mdata["adt"]
    bridge = rna.obs_names.intersection(adt.obs_names)
    x = score.log_cp10k(rna[bridge].X)
    y = score.clr(adt[bridge].X)
    x_new, y_new = score.log_cp10k(rna[pairs[0]].X), score.clr(truth.X)
    rows = {"scvcell": _translation(score.clr(predicted.X), y_new)}
    raw = truth.X.toarray()
    held = score.inside(raw, predicted.layers["lower"], predicted.layers["upper"])
    rows["scvcell"]["coverage of 90 % intervals"] = float(held.mean())
    for name, translate in risk.baselines.TRANSLATORS.items():
        rows[name] = _translation(translate(x, y, x_new), y_new)
    values, linear = report.set_index("metric")["value"], report.set_index("metric")["cca"]
    rows["CCA"] = {}
    for metric in ("foscttm", "recall@1", "label_transfer"):
        rows["scvcell"][metric_name(metric)] = float(values[metric])
        rows["CCA"][metric_name(metric)] = float(linear[metric])
    return pd.DataFrame(rows).T


def _translation(predicted: np.ndarray, true: np.ndarray) -> dict[str, float]:
    return {
        "RNA -> protein Pearson": float(score.correlation(predicted, true).mean()),
        "RMSE (CLR)": score.rmse(predicted, true),
    }


def _markdown(table: pd.DataFrame) -> str:
    lines = ["| method | " + " | ".join(table.columns) + " |", "|---" * (len(table.columns) + 1) + "|"]
    for name, row in table.iterrows():
        cells = ["" if pd.isna(v) else f"{v:.3f}" for v in row]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _figures(
    out: Path, mdata: MuData, model: scvcell.CSL, report: pd.DataFrame, predicted: AnnData, truth: AnnData
) -> dict[str, str]:
    """Draw every figure of the demo; returns file name -> caption."""
    import matplotlib.pyplot as plt

    pl = scvcell.pl
    plans = {
        "embedding_types.png": (
            "Cell-state latent of all cells, by cell type",
            lambda: pl.embedding(mdata, color="celltype"),
        ),
        "embedding_assays.png": ("The same, by the assays a cell has", lambda: pl.embedding(mdata, color="modalities")),
        "translation.png": (
            "Proteins predicted from RNA in cells whose pairing was hidden",
            lambda: pl.translation(predicted, truth),
        ),
        "calibration.png": (
            "Coverage of the 90 % intervals, protein by protein",
            lambda: pl.calibration(predicted, truth),
        ),
        "alignment.png": ("Alignment against shuffled pairs and CCA", lambda: pl.alignment(report)),
        "information.png": (
            "What each assay adds, in bits per cell",
            lambda: pl.modality_information(mdata, groupby="celltype"),
        ),
        "history.png": ("Every term of the loss", lambda: pl.history(model)),
    }
    captions = {}
    for name, (caption, draw) in plans.items():
        axes = draw()
        figure = np.ravel(np.asarray(axes, dtype=object))[0].figure
        figure.savefig(out / name, dpi=150, bbox_inches="tight")
        plt.close(figure)
        captions[name] = caption
    return captions


def _page(note: str, table: pd.DataFrame, figures: dict[str, str]) -> str:
    pictures = "\n".join(
        f'<figure><img src="{name}" alt="{html.escape(text)}"><figcaption>{html.escape(text)}</figcaption></figure>'
        for name, text in figures.items()
    )
    body = table.to_html(float_format=lambda v: f"{v:.3f}", na_rep="", border=0)
    return f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>scvcell demo</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:1000px;margin:2rem auto;padding:0 1rem;color:#222}}
table{{border-collapse:collapse;width:100%}}td,th{{padding:.35rem .6rem;border-bottom:1px solid #ddd;text-align:right}}
th:first-child{{text-align:left;white-space:nowrap}}figure{{margin:2rem 0}}img{{max-width:100%}}
figcaption{{color:#555}}</style>
<h1>scvcell demo</h1><p>{html.escape(note)}</p>{body}{pictures}</html>
"""

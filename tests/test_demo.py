"""The demo: its table, its page, and one run on a small mosaic."""

import numpy as np
import pandas as pd
import pytest

import scvcell
from scvcell import _demo


@pytest.fixture
def paired(mosaic):
    """A mosaic in which a quarter of the cells, all with both assays, are the batch that is hidden."""
    mdata = mosaic(300)
    both = mdata["rna"].obs_names.intersection(mdata["adt"].obs_names)[:75]
    batch = np.where(mdata.obs_names.isin(both), _demo.HIDDEN, "other")
    mdata.obs["batch"] = batch
    for adata in mdata.mod.values():
        adata.obs["batch"] = pd.Series(batch, mdata.obs_names)[adata.obs_names].to_numpy()
    return mdata


def test_a_perfect_prediction_has_a_perfect_row(paired):
    rna, adt = paired["rna"], paired["adt"]
    cells = adt.obs_names[adt.obs["batch"] == _demo.HIDDEN].tolist()
    truth, predicted = adt[cells].copy(), adt[cells].copy()
    predicted.layers["lower"] = predicted.layers["upper"] = truth.X.toarray()
    report = pd.DataFrame({"metric": ["foscttm", "recall@1", "label_transfer"], "value": [0.1, 0.2, 0.3]})
    known = rna.obs_names[~rna.obs_names.isin(cells)]
    left = type(paired)({"rna": rna, "adt": adt[adt.obs_names.isin(known)].copy()})
    table = _demo._table(left, predicted, truth, report.assign(cca=0.5), (cells, cells))
    ours = table.loc["scvcell"]
    assert ours["RNA -> protein Pearson"] == pytest.approx(1)
    assert ours["RMSE (CLR)"] == pytest.approx(0, abs=1e-6)
    assert ours["coverage of 90 % intervals"] == 1
    assert (ours["FOSCTTM"], ours["Recall@1"], table.loc["CCA", "FOSCTTM"]) == (0.1, 0.2, 0.5)
    others = table.loc[list(scvcell.risk.baselines.TRANSLATORS), "RMSE (CLR)"]
    assert (others > 0).all()


def test_the_table_as_text_leaves_empty_what_there_is_not():
    table = pd.DataFrame({"a": [0.5, np.nan], "b": [np.nan, 0.12345]}, index=["x", "y"])
    assert _demo._markdown(table) == "| method | a | b |\n|---|---|---|\n| x | 0.500 |  |\n| y |  | 0.123 |"


def test_the_page_shows_every_figure_and_escapes_text():
    page = _demo._page("1 < 2", pd.DataFrame({"a": [0.5]}, index=["x"]), {"one.png": "A & B"})
    assert "1 &lt; 2" in page
    assert '<img src="one.png" alt="A &amp; B">' in page
    assert "0.500" in page


def test_a_run_writes_table_page_and_model(paired, quick, tmp_path, monkeypatch):
    fit = scvcell.tl.fit
    monkeypatch.setattr(scvcell.tl, "fit", lambda data, **given: fit(data, train=quick, **given))
    monkeypatch.setattr(scvcell.datasets, "pbmc_mosaic", lambda: paired)
    monkeypatch.setattr(_demo, "_figures", lambda *args: {"none.png": "no figure"})
    said = _demo.run(tmp_path / "out", seed=2)
    assert f"the pairing of 75 cells of batch {_demo.HIDDEN} was hidden" in said
    assert "epochs, seed 2" in said
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"table.md", "alignment.csv", "model", "index.html"}
    assert (tmp_path / "out" / "table.md").read_text().strip() in said.replace("\n\nFigures", "\nFigures")
    model = scvcell.CSL.load(tmp_path / "out" / "model")
    assert list(model.schema.modalities) == ["rna", "adt"]

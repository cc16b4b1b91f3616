"""The model card: a header that the hub reads, true figures, and nothing that tells of a single cell."""

from types import SimpleNamespace

import numpy as np
import pytest
import yaml

import scvcell
from scvcell.model import _card


@pytest.fixture(scope="module")
def text(small):
    return _card.card(small.model, "cc-by-4.0")


def section(text, title):
    """Lines of one section."""
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_the_header_is_what_the_hub_reads(text):
    _, header, body = text.split("---\n", 2)
    found = yaml.safe_load(header)
    assert found["library_name"] == "scvcell"
    assert found["license"] == "cc-by-4.0"
    assert {"biology", "genomics", "single-cell", "modality:rna", "modality:adt"} <= set(found["tags"])
    assert {"cell-embedding", "label-transfer", "modality-translation"} <= set(found["tags"])
    assert body.lstrip().startswith("# CSL of rna and adt\n")


def test_it_counts_what_the_model_was_fitted_on(small, text):
    data = section(text, "Data")
    assert "| `rna` | 60 | `counts` |" in data
    parts = small.model.split_
    assert f"Cells: {len(parts['train'])} trained on, {len(parts['validation'])} held out" in data
    assert "Batches: 2, by the obs column `batch`." in data


def test_figures_are_those_of_the_model_beside_the_mean(small, text):
    figures = section(text, "How good it is")
    for name in ("rna", "adt"):
        assert f"| `{name}` | {small.model.gain[name]:.2f} | yes |" in figures
    arrays = small.model.calibration.arrays["rna>adt"]
    cells = int(arrays["size"][0])
    (row,) = [line for line in figures.splitlines() if line.startswith("| `rna>adt`")]
    translated = scvcell.tl.translate(small.mdata, small.model, to="adt")
    assert row.split(" | ")[1] == str(cells) == str(translated.uns["csl_translate"]["calibration_cells"])
    assert float(row.split(" | ")[-1].strip(" |")) == pytest.approx(
        np.nanmedian(translated.var["relative_width"]), abs=0.1
    )


def test_limits_say_what_is_not_trusted(small, monkeypatch):
    def limits(**changed):
        with monkeypatch.context() as patch:
            for name, value in changed.items():
                patch.setattr(small.model, name, value)
            return section(_card.card(small.model), "Limits")

    usual = limits()
    assert "not trusted**" not in usual
    assert "interrupted" not in usual
    assert "`load_query_data` first" in usual
    assert "**Predictions of `adt` are not trusted**" in limits(gain={"state": 9.0, "rna": 3.0, "adt": -1.0})
    assert "**Nothing it says is trusted**" in limits(gain={"state": 0.1, "rna": 3.0, "adt": 1.0})
    assert "interrupted" in limits(interrupted=True)
    assert "share no cell" in limits(alignment="unpaired")
    assert "`adt` was not measured in 1 batches" in limits(absent={"adt": ["b0"]})
    assert "No translation is calibrated" in limits(parts={})


def test_nothing_of_cells_and_batches_but_counts(small, text):
    cells, batches = small.mdata.obs_names, small.model.schema.batches
    assert not [name for name in [*cells, *batches] if f"`{name}`" in text or f"{name}," in text]


def test_its_lines_map_a_query(small, text, monkeypatch, tmp_path):
    (code,) = [part.split("```")[0] for part in text.split("```python\n")[1:]]
    small.model.save(tmp_path / "PATH")
    monkeypatch.chdir(tmp_path)
    query = small.mdata[::3].copy()
    atlas = small.mdata.copy()
    atlas.obs["cell_type"] = atlas.obs["celltype"]
    exec(code, {"query": query, "atlas": atlas})
    assert (query.obs["cell_type_transferred"].astype(str) == query.obs["celltype"].astype(str)).mean() > 0.8


def test_names_of_users_are_no_markup():
    assert _card._code("a|b\n`c`") == "`a\\|b 'c'`"
    assert _card._plain("<script>*x*</script>") == "\\<script\\>\\*x\\*\\</script\\>"


@pytest.mark.parametrize("license", ["", "MIT", "CC BY 4.0", "mit\nx: y", 3])
def test_odd_licences_are_refused(license):
    with pytest.raises(ValueError, match="license takes a short identifier"):
        _card.check_license(license)


def test_a_part_without_calibration_is_told_of(small):
    model = SimpleNamespace(parts={"calibration": scvcell.model.Calibration()})
    assert _card._translations(model) == []

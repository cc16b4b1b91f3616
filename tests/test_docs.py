"""Code in README.md and in docs/extending.md does what the text beside it says."""

import re
from pathlib import Path

import anndata
import matplotlib as mpl
import mudata
import numpy as np
import pandas as pd

import scvcell
from scvcell.measure import MEASUREMENTS

ROOT = Path(__file__).parents[1]


def blocks(path):
    return re.findall(r"```python\n(.*?)```", (ROOT / path).read_text(), flags=re.DOTALL)


def test_example_of_readme(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    mpl.use("agg")
    example, _ = blocks("README.md")
    names = {}
    exec(example, names)
    assert names["protein"].n_obs == names["mdata"].n_obs
    assert "foscttm" in capsys.readouterr().out
    loaded = scvcell.CSL.load("my_model", names["mdata"])
    np.testing.assert_array_equal(loaded.get_latent_representation(), names["mdata"].obsm["X_csl"])


def test_actions_of_readme(quick):
    _, example = blocks("README.md")
    rng = np.random.default_rng(0)
    drug = np.array(["DMSO", "trametinib", "vemurafenib"])[np.arange(150) % 3]
    obs = pd.DataFrame({"drug": drug, "dose": np.where(drug == "DMSO", 0.0, 1.0), "cell_type": "melanoma"})
    adata = anndata.AnnData(rng.poisson(2.0, (150, 20)).astype(np.float32), obs=obs.set_index(obs.index.astype(str)))
    fit = example.replace("perturbation=keys", "perturbation=keys, train=quick")
    names = {"scvcell": scvcell, "adata": adata, "quick": quick}
    exec(fit, names)
    assert len(names["effects"]) == 20
    assert names["cells"].n_obs == 50


def test_example_of_extending(monkeypatch):
    operator, check, fit, register = blocks("docs/extending.md")
    monkeypatch.setattr(MEASUREMENTS, "_items", dict(MEASUREMENTS._items))
    monkeypatch.setattr(MEASUREMENTS, "_aliases", dict(MEASUREMENTS._aliases))
    names = {}
    exec(operator, names)
    exec(check, names)
    exec(register, names)
    assert MEASUREMENTS.infer("fragment_counts") == "fragments"
    mosaic = scvcell.datasets.pbmc_mosaic()
    some = mosaic["rna"][::10].copy()
    names |= {"mdata": mudata.MuData({"my_atac": some}), "scvcell": scvcell}
    exec(fit, names)
    assert np.isfinite(names["model"].get_latent_representation()).all()


def prose(text):
    """Lines that are read: neither code, tables nor formulas."""
    text = re.sub(r"```.*?```|\$\$.*?\$\$", "", text, flags=re.DOTALL)
    return [line for line in text.splitlines() if not line.startswith(("|", "![", "["))]


def test_lines_of_prose_are_short():
    files = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "benchmarks").glob("*.md")]
    files += (ROOT / "benchmarks" / "notes").glob("*.md")
    long = [f"{file.name}: {line[:40]}" for file in files for line in prose(file.read_text()) if len(line) > 120]
    assert long == []


def test_each_section_of_benchmarks_has_a_verdict_and_a_small_table():
    _, *sections = re.split(r"^## ", (ROOT / "docs" / "benchmarks.md").read_text(), flags=re.MULTILINE)
    for section in sections[:-1]:
        title, verdict, *_ = section.split("\n\n")
        rows = [line for line in section.splitlines() if line.startswith("|")]
        assert title.endswith("?") or title.startswith("New"), title
        assert verdict.startswith("**"), title
        assert len(rows) <= 8, title
        assert rows[0].count("|") <= 6, title


def test_decisions_have_the_same_fields():
    fields = ("Question", "Choice", "Evidence", "Cost", "Would change our mind")
    entries = re.split(r"^### ", (ROOT / "docs" / "decisions.md").read_text(), flags=re.MULTILINE)[1:]
    assert [entry[:3] for entry in entries] == [f"D{i:02d}" for i in range(1, len(entries) + 1)]
    for entry in entries:
        assert re.findall(r"^\*\*(.+?)\.\*\*", entry, flags=re.MULTILINE) == list(fields), entry[:60]
        (notes,) = re.findall(r"^Notes: `(.+)`\.$", entry, flags=re.MULTILINE)
        assert (ROOT / "benchmarks" / "notes" / notes).exists()

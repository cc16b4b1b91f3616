"""Code in README.md and in docs/extending.md does what the text beside it says."""

import re
from pathlib import Path

import matplotlib as mpl
import mudata
import numpy as np

import scvcell
from scvcell.measure import MEASUREMENTS

ROOT = Path(__file__).parents[1]


def blocks(path):
    return re.findall(r"```python\n(.*?)```", (ROOT / path).read_text(), flags=re.DOTALL)


def test_example_of_readme(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    mpl.use("agg")
    (example,) = blocks("README.md")
    names = {}
    exec(example, names)
    assert names["protein"].n_obs == names["mdata"].n_obs
    assert "foscttm" in capsys.readouterr().out
    loaded = scvcell.CSL.load("my_model", names["mdata"])
    np.testing.assert_array_equal(loaded.get_latent_representation(), names["mdata"].obsm["X_csl"])


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

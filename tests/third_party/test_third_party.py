"""A package that nobody here knows registers what it has: all of it is found, used, saved, and within the contract."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from scvcell import CSL
from scvcell.model import PARTS

PACKAGE = Path(__file__).parent / "package"

SCRIPT = """
import sys
import numpy as np
import anndata, mudata, scvcell
from scvcell.measure import MEASUREMENTS
from scvcell.testing import check_measurement

assert "gaussian" in MEASUREMENTS and MEASUREMENTS.infer("Texture") == "gaussian"
row = scvcell.measure.show().loc["gaussian"]
assert row["defined in"] == "scvcell_gaussian" and row["recognised as"] == "image_texture, texture", row
check_measurement(MEASUREMENTS["gaussian"])

rng = np.random.default_rng(0)
rna = scvcell.datasets.simulate(300, n_genes=60, n_proteins=5, paired=1.0, seed=1)["rna"]
truth = np.log1p(rna.X.toarray()[:, :8]) @ rng.normal(size=(8, 4))
truth = (truth - truth.mean(0)) / truth.std(0)
profile = anndata.AnnData((truth + 0.1 * rng.normal(size=truth.shape)).astype(np.float32), obs=rna.obs[[]].copy())
mdata = mudata.MuData({"rna": rna, "texture": profile[:200].copy()})
train = scvcell.TrainConfig(max_epochs=30, batch_size=64, validation=0.2, progress=False, accelerator="cpu")
model = scvcell.tl.fit(mdata, train=train)
assert model.schema.modalities["texture"].operator == "gaussian"
predicted = scvcell.tl.translate(mdata, model, to="texture", source=["rna"])
unseen = profile[200:].obs_names
scores = [np.corrcoef(predicted[unseen].X[:, j], profile[unseen].X[:, j])[0, 1] for j in range(4)]
assert np.mean(scores) > 0.3, scores
assert any("A. Third and B. Party" in r for r in scvcell.cite(model))
again = scvcell.CSL.load(model.save(sys.argv[1]), mdata)
assert np.array_equal(again.get_latent_representation(), mdata.obsm["X_csl"])
inside = (profile.X >= predicted.layers["lower"]) & (profile.X <= predicted.layers["upper"])
assert (predicted.X < 0).any()
print("OK", inside[200:].mean())
"""

RISK = """
import scvcell
from scvcell import risk, score

row = score.show().loc["spearman"]
assert row["defined in"] == "scvcell_depth" and row["better"] == "higher", row
assert "depth" in risk.AXES and "halved" in risk.baselines.BASELINES
mdata = scvcell.datasets.simulate(300, n_genes=60, n_proteins=8, paired=1.0, n_batches=2, seed=1)
batch = mdata.obs["batch"].astype(str)
split = risk.hold_out(mdata, "batch", sorted(set(batch))[0])
found = {}
for share in (1.0, 0.01):
    axis = risk.axes.AXES["depth"](share=share)
    table = risk.ask(risk.Translator(), axis, mdata, split).set_index("metric")
    assert list(table.index) == ["answered", "rmse", "spearman"], table
    assert table.loc["spearman", "better"] == "higher" and table.loc["answered", "value"] == 1
    found[share] = table.loc["spearman", "value"]
pairing = risk.hide_pairing(mdata, "rna", "adt")
ours = risk.ask(risk.Translator(), risk.axes.Modality(metrics=("spearman",)), mdata, pairing)
assert set(ours["metric"]) == {"answered", "spearman"}, "an axis of ours reports a metric of theirs"
assert found[1.0] > found[0.01] + 0.05, found
rows = risk.evaluate(risk.Translator(), mdata, split=split, axes=["depth"], config=risk.RiskConfig(n_boot=20)).rows
assert {"rmse", "spearman"} <= set(rows[rows["axis"] == "depth"]["metric"]), rows

assert risk.READOUTS["signs"].__module__ == "scvcell_depth"
cells = scvcell.datasets.simulate_actions(240, n_targets=3, n_genes=20, seed=0)["rna"]
keys = scvcell.PerturbationKeys("action", control="control")
folds = list(risk.hold_out_actions(cells, keys, folds=2))
asked = {"split": folds, "axes": [risk.axes.Perturbation(keys)], "baselines": ["halved"]}
theirs = risk.EffectBaseline("control", keys)
report = risk.evaluate({"mine": theirs}, cells, **asked, readouts=["effect", "signs"]).summary
assert {"signs", "effect"} <= set(report["readout"]) and "halved" in set(report["predictor"])
print("OK")
"""


PART = """
import sys
import numpy as np
import scvcell

mdata = scvcell.datasets.simulate(120, n_genes=30, n_proteins=5, paired=1.0, n_batches=2, seed=1)
train = scvcell.TrainConfig(max_epochs=2, validation=0.2, progress=False, accelerator="cpu")
first = mdata[mdata.obs["batch"] == mdata.obs["batch"].iloc[0]].copy()
model = scvcell.tl.fit(first, batch_key="batch", train=train)
assert {"size_train", "size_validation"} <= set(model.history), "a term of theirs is logged"
(batch,) = model.batches(model.source(model.view()))
terms = model.network.eval().terms(batch)
assert np.isclose(float(terms["size"]), 0.01 * np.square(model.get_latent_representation()).mean(), rtol=1e-4)


def asked(model):
    # the part, or what is said where there is none
    try:
        return model.part("centre")
    except scvcell.errors.NotLearned as error:
        return str(error)

assert "has no centres yet" in asked(model)
model.learn("centre", "cell_type")
label = first.obs["cell_type"].astype(str).to_numpy()
for name, mean in zip(model.centre.names, model.centre.means, strict=True):
    np.testing.assert_allclose(mean, first.obsm["X_csl"][label == name].mean(0), atol=1e-4)
assert "cell_type" in model.columns
assert "C. Entre, 2026" in scvcell.cite(model)

again = scvcell.CSL.load(model.save(sys.argv[1]), first)
assert again.centre.names == model.centre.names
np.testing.assert_array_equal(again.centre.means, model.centre.means)
query = again.load_query_data(mdata, train=train)
assert len(query.schema.batches) == 2
assert query.centre is again.centre
again.train(train)
assert "learned where labels lie" in asked(again) and "model.learn('centre', key)" in asked(again)
print("OK")
"""


@pytest.fixture
def installed(tmp_path):
    """A folder as ``pip install --target`` leaves it: the modules, and a dist-info with the entry points."""
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    for module in PACKAGE.glob("*.py"):
        (tmp_path / module.name).write_text(module.read_text())
    info = tmp_path / f"scvcell_gaussian-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    lines = [
        f"[{group}]\n" + "\n".join(f"{name} = {target}" for name, target in points.items())
        for group, points in project["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))
    return tmp_path


def run(path, *command):
    places = [str(path), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places))}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)


def test_operator_of_a_third_party(installed, tmp_path):
    done = run(installed, sys.executable, "-W", "ignore", "-c", SCRIPT, str(tmp_path / "model"))
    assert done.returncode == 0, done.stderr
    status, share = done.stdout.split()
    assert status == "OK"
    assert float(share) > 0.8, "its 90 % intervals cover, also negative values"


def test_the_operator_is_short():
    body = (PACKAGE / "scvcell_gaussian.py").read_text().split("class Gaussian")[1]
    assert len([line for line in body.splitlines() if line.strip()]) <= 20


def test_metric_baseline_and_axis_of_a_third_party(installed):
    done = run(installed, sys.executable, "-W", "ignore", "-c", RISK)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["OK"]


def test_part_and_loss_term_of_a_third_party(installed, tmp_path, caplog):
    done = run(installed, sys.executable, "-W", "ignore", "-c", PART, str(tmp_path / "model"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["OK"]
    # here the package is not installed
    assert "centre" not in PARTS
    model = CSL.load(tmp_path / "model")
    assert "has a part 'centre' of a package that is not installed here; it is left out" in caplog.text
    assert set(model.parts) == {"calibration"}

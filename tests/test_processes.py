"""What only shows in a process of its own: Ctrl-C, and a model that is loaded elsewhere."""

import subprocess
import sys

import numpy as np
import pytest

import scvcell

SCRIPT = """
import os, signal, sys
import numpy as np
import scvcell
from scvcell.model._train import TrainingPlan

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for what runs in its background
original = TrainingPlan.training_step
def step(self, batch, index):
    if self.global_step == 5:
        os.kill(os.getpid(), signal.SIGINT)
    return original(self, batch, index)
TrainingPlan.training_step = step

mdata = scvcell.datasets.simulate(300, n_genes=60, n_proteins=5, seed=1)
train = scvcell.TrainConfig(max_epochs=500, progress=False, accelerator="cpu", validation=0.3)
model = scvcell.tl.fit(mdata, batch_key="batch", train=train)
assert model.interrupted
protein = scvcell.tl.translate(mdata, model, to="adt", source=["rna"])
model.save(sys.argv[1] + "/model")
np.savez(sys.argv[1] + "/arrays.npz", latent=mdata.obsm["X_csl"], upper=protein.layers["upper"], point=protein.X)
print(signal.getsignal(signal.SIGINT) is signal.default_int_handler, len(model.history["loss_train"]))
"""


@pytest.fixture(scope="module")
def other_process(tmp_path_factory):
    """Folder in which a process trained, was interrupted by a real SIGINT, and saved."""
    folder = tmp_path_factory.mktemp("process")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, str(folder)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder, done


def test_ctrl_c_leaves_a_usable_model_and_the_usual_signal_handler(other_process):
    folder, done = other_process
    restored, epochs = done.stdout.split()
    assert restored == "True"
    assert 0 <= int(epochs) < 10
    assert "Training was interrupted" in done.stderr
    assert np.isfinite(np.load(folder / "arrays.npz")["latent"]).all()


def test_a_model_of_another_process_gives_identical_results(other_process):
    folder, _ = other_process
    arrays = np.load(folder / "arrays.npz")
    mdata = scvcell.datasets.simulate(300, n_genes=60, n_proteins=5, seed=1)
    model = scvcell.CSL.load(folder / "model")
    scvcell.tl.embed(mdata, model)
    np.testing.assert_array_equal(mdata.obsm["X_csl"], arrays["latent"])
    protein = scvcell.tl.translate(mdata, model, to="adt", source=["rna"])
    np.testing.assert_array_equal(protein.X, arrays["point"])
    np.testing.assert_array_equal(protein.layers["upper"], arrays["upper"])
    assert np.isfinite(arrays["upper"][model.view(mdata).present("rna")]).all()


STRICT = """
import sys
import scvcell
from scvcell import pp, tl

def train(**options):
    return scvcell.TrainConfig(max_epochs=1, accelerator="cpu", **options)

mdata = scvcell.datasets.simulate(240, n_genes=40, n_proteins=6, n_peaks=80, seed=0)
model = tl.fit(mdata, batch_key="batch", priors=pp.link_features(mdata, modalities=("rna", "atac")), train=train())
tl.translate(mdata, model, to="adt")
tl.transfer_labels(mdata, model, key="cell_type", reference=mdata.obs_names[:100])
tl.alignment_report(mdata, model, labels_key="cell_type")
model.save(sys.argv[1] + "/strict")
scvcell.CSL.load(sys.argv[1] + "/strict", mdata)
tl.fit(scvcell.datasets.simulate(100, n_genes=30, n_proteins=4, seed=0), train=train(validation=0.0))

treated = scvcell.datasets.simulate_actions(160, n_targets=2, pairs=False, n_types=1, n_genes=30, n_proteins=4, seed=0)
keys = scvcell.PerturbationKeys("action", control="control")
model = tl.fit(treated, perturbation=keys, train=train(progress=False))
tl.perturb(treated, model, "T1")
tl.effects(treated, model, "T1")

cells = scvcell.datasets.simulate_kinetics(150, n_genes=60, seed=0)
kinetics = pp.modality_from_layers(cells)
tl.velocity(kinetics, tl.fit(kinetics, train=train(progress=False)))
"""


def test_warnings_as_errors(tmp_path):
    """Neither imports nor verbs let a warning out, be it their own or of a library they call; progress is few lines."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", STRICT, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Training, epochs: 1 of 1" in done.stderr
    assert "\r" not in done.stderr

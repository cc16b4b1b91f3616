"""The same seed gives what it gave before: states, translations, effects and forecasts are kept, and compared.

``OMP_NUM_THREADS=1 python tests/test_reference.py`` writes them anew, after a change that was meant to change them.
They are made in a process of their own with one thread: how many there are decides in which order numbers are added up.
"""

import hashlib
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import mudata
import numpy as np
import pytest
import torch

import scvcell
from scvcell.response import _crossfit, _flow_fit

KEPT = Path(__file__).parent / "data" / "reference.npz"
TRAIN = scvcell.TrainConfig(max_epochs=2, progress=False, accelerator="cpu")
SOME = 40
"""Cells of the mosaic that are kept."""


def here():
    """What sums are rounded by: processor, system and torch."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    # machines that share a name may be of several generations
    told = ("cpu family", "model", "stepping", "flags")
    about = [line for line in dict.fromkeys(lines) if line.startswith(told)]
    kind = hashlib.sha256("\n".join(about).encode()).hexdigest()[:16]
    return json.dumps([platform.machine(), platform.system(), kind, torch.__version__, np.__version__])


def states():
    """Embedded mosaic: states and translated proteins of some cells."""
    mdata = scvcell.datasets.pbmc_mosaic()
    model = scvcell.tl.fit(mdata, batch_key="batch", train=TRAIN)
    latent = model.get_latent_representation()
    found = scvcell.tl.translate(mdata, model, to="adt", source=["rna"])
    rows = np.linspace(0, len(latent) - 1, SOME).astype(int)
    few = np.linspace(0, found.n_obs - 1, SOME).astype(int)
    return {"latent": latent[rows], "mean": found.layers["mean"][few], "upper": found.layers["upper"][few]}


def actions():
    """Simulated screen: effects of a dose, and moved cells, by flows that are trained for fewer steps than usual."""
    _flow_fit.train_flow.__defaults__ = (80,)
    _crossfit.FLOW_STEPS = 80
    data = scvcell.datasets.simulate_actions(
        300, n_targets=2, pairs=False, n_genes=30, n_proteins=4, seed=1, doses=(1.0, 10.0)
    )
    keys = scvcell.PerturbationKeys("action", control="control", dose="dose", context="cell_type")
    model = scvcell.tl.fit(data, perturbation=keys, train=TRAIN)
    found = scvcell.tl.effects(data, model, {"T1": 10.0})
    cells = scvcell.tl.perturb(data, model, {"T1": 10.0})
    return {"lfc": found["lfc"].to_numpy(), "high": found["upper"].to_numpy(), "moved": cells["rna"].X[:SOME]}


def drift():
    """Simulated splicing: states a little later."""
    kinetics = scvcell.pp.modality_from_layers(scvcell.datasets.simulate_kinetics(200, n_genes=60, seed=0))
    data = mudata.MuData({"kinetics": kinetics})
    model = scvcell.tl.fit(data, train=TRAIN)
    scvcell.tl.velocity(data, model)
    return {"later": scvcell.tl.forecast(data, model, time=0.1).obsm["X_csl"][:SOME]}


def dense(value):
    return np.asarray(value.toarray() if hasattr(value, "toarray") else value, dtype=float)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    path = tmp_path_factory.mktemp("reference") / "made.npz"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, __file__, str(path)], check=True, env=environment, timeout=500)
    with np.load(path) as arrays:
        return dict(arrays)


def kept():
    with np.load(KEPT) as arrays:
        return dict(arrays)


@pytest.mark.parametrize("name", sorted(set(kept()) - {"platform"}))
def test_the_same_seed_gives_the_same(made, name):
    then, now = kept()[name], made[name]
    assert then.shape == now.shape
    if str(kept()["platform"]) == str(made["platform"]):
        np.testing.assert_allclose(now, then, rtol=1e-6, atol=1e-6)
    else:
        both = np.isfinite(then) & np.isfinite(now)
        assert np.corrcoef(then[both], now[both])[0, 1] > 0.99


if __name__ == "__main__":
    arrays = {name: dense(value) for part in (states, actions, drift) for name, value in part().items()}
    np.savez_compressed(sys.argv[1] if len(sys.argv) > 1 else KEPT, platform=here(), **arrays)

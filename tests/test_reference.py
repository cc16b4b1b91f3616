"""The same seed gives what it gave before: states, translations, effects and forecasts are kept, and compared.

``python tests/test_reference.py`` writes them anew, after a change that was meant to change them.
"""

import json
import platform
from pathlib import Path

import mudata
import numpy as np
import pytest
import torch

import scvcell

KEPT = Path(__file__).parent / "data" / "reference.npz"
TRAIN = scvcell.TrainConfig(max_epochs=2, progress=False, accelerator="cpu")
SOME = 40
"""Cells of the mosaic that are kept."""


def here():
    """What sums are rounded by: processor, system and torch."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "")
    return json.dumps([platform.machine(), platform.system(), model, torch.__version__, np.__version__])


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
    """Simulated screen: effects of a dose, and moved cells."""
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


@pytest.mark.parametrize("part", [states, actions, drift])
def test_the_same_seed_gives_the_same(part):
    with np.load(KEPT) as kept:
        same = str(kept["platform"]) == here()
        for name, value in part().items():
            then, now = kept[name], dense(value)
            assert then.shape == now.shape
            if same:
                np.testing.assert_allclose(now, then, rtol=1e-6, atol=1e-6, err_msg=name)
            else:
                both = np.isfinite(then) & np.isfinite(now)
                assert np.corrcoef(then[both], now[both])[0, 1] > 0.99, name


if __name__ == "__main__":
    arrays = {name: dense(value) for part in (states, actions, drift) for name, value in part().items()}
    np.savez_compressed(KEPT, platform=here(), **arrays)

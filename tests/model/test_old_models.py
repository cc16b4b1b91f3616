"""Folders that an earlier version saved load and answer as they did then."""

import json
from pathlib import Path

import mudata
import numpy as np
import pytest

import scvcell

MODELS = Path(__file__).parents[1] / "data" / "models"
CLOSE = {"rtol": 2e-3, "atol": 2e-4}
"""Other machines add up in another order."""


def kept(name):
    with np.load(MODELS / f"{name}.npz") as arrays:
        return dict(arrays)


def test_they_are_of_a_version_without_checksums():
    for folder in ("assays", "actions", "drift"):
        assert "files" not in json.loads((MODELS / folder / "model.json").read_text())


def test_assays():
    mdata = scvcell.datasets.simulate(80, n_genes=20, n_proteins=4, seed=3)
    model, then = scvcell.CSL.load(MODELS / "assays", mdata), kept("assays")
    np.testing.assert_allclose(model.get_latent_representation(), then["latent"], **CLOSE)
    found = scvcell.tl.translate(mdata, model, to="adt")
    np.testing.assert_allclose(found.layers["mean"], then["mean"], **CLOSE)
    np.testing.assert_allclose(found.layers["upper"], then["upper"], **CLOSE)


def test_actions():
    data = scvcell.datasets.simulate_actions(
        120, n_targets=2, pairs=False, n_genes=20, n_proteins=4, seed=1, doses=(1.0, 10.0)
    )
    model, then = scvcell.CSL.load(MODELS / "actions", data), kept("actions")
    np.testing.assert_allclose(model.get_latent_representation(), then["latent"], **CLOSE)
    np.testing.assert_allclose(scvcell.tl.effects(data, model, {"T1": 1.0})["lfc"], then["lfc"], **CLOSE)


def test_drift():
    kinetics = scvcell.pp.modality_from_layers(scvcell.datasets.simulate_kinetics(150, n_genes=60, seed=0))
    data = mudata.MuData({"kinetics": kinetics})
    model, then = scvcell.CSL.load(MODELS / "drift", data), kept("drift")
    np.testing.assert_allclose(model.get_latent_representation(), then["latent"], **CLOSE)
    np.testing.assert_allclose(scvcell.tl.forecast(data, model, time=0.1).obsm["X_csl"], then["later"], **CLOSE)


@pytest.mark.parametrize("name", ["assays", "actions", "drift"])
def test_saved_again_they_have_checksums(name, tmp_path):
    folder = scvcell.CSL.load(MODELS / name).save(tmp_path / name)
    assert json.loads((folder / "model.json").read_text())["files"].keys() >= {"model.pt", "calibration.npz"}
    scvcell.CSL.load(folder)

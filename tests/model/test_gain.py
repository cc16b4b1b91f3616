"""What a fit learned: bits of the state, nats of each assay, and that nothing is trusted where that is nothing."""

import logging

import numpy as np
import pytest
from mudata import MuData

import scvcell
from scvcell.model._gain import MIN_STATE_BITS, STATE, told, warn


@pytest.fixture(scope="module")
def fitted(mosaic, quick):
    mdata = mosaic(900)
    return mdata, scvcell.tl.fit(mdata, batch_key="batch", train=quick)


def test_gain_is_the_likelihood_that_states_add(fitted):
    _, model = fitted
    assert set(model.gain) == {STATE, "rna", "adt"}
    posterior = model.posterior(model.view().subset(model.validation_indices_))
    assert model.gain[STATE] == pytest.approx(float(posterior.kl().mean()) / np.log(2), rel=1e-4)
    assert min(model.gain.values()) > 0


@pytest.mark.parametrize(
    ("gain", "modality", "expected"),
    [
        ({}, None, True),
        ({STATE: 5.0, "rna": 3.0}, "rna", True),
        ({STATE: 5.0, "rna": -0.1}, None, True),
        ({STATE: 5.0, "rna": -0.1}, "rna", False),
        ({STATE: MIN_STATE_BITS / 2, "rna": 3.0}, "rna", False),
        ({STATE: MIN_STATE_BITS / 2, "rna": 3.0}, None, False),
    ],
)
def test_what_is_told(gain, modality, expected):
    assert told(gain, modality) is expected


def test_what_is_said(caplog):
    for gain, words in (
        ({STATE: 0.02, "rna": 1.0}, "0.02 bits"),
        ({STATE: 6.0, "rna": 4.0, "atac": -1.0}, "learned nothing of 'atac'"),
        ({STATE: 6.0, "rna": 4.0}, ""),
    ):
        caplog.clear()
        with caplog.at_level(logging.WARNING, "scvcell"):
            warn(gain)
        assert (words in caplog.text) if words else not caplog.text


def test_of_a_state_that_knows_nothing_nothing_is_trusted(fitted, monkeypatch):
    mdata, model = fitted
    asked = {"key": "celltype", "reference": mdata.obs["batch"] == "b0"}
    for gain, kept in ((model.gain, True), ({**model.gain, STATE: 0.1}, False)):
        monkeypatch.setattr(model, "gain", gain)
        data = mdata.copy()
        scvcell.tl.transfer_labels(data, model, **asked)
        assert bool(data.obs["celltype_transferred_trusted"].any()) is kept
        found = scvcell.tl.translate(data, model, to="rna", source=["rna"])
        assert bool((found.obs["trusted"] & found.var["trusted"].any()).any()) is kept


def test_gain_is_saved_and_goes_to_queries(fitted, tmp_path):
    mdata, model = fitted
    model.save(tmp_path / "model")
    assert scvcell.CSL.load(tmp_path / "model", mdata).gain == pytest.approx(model.gain)
    assert mdata.uns["csl"]["gain"] == pytest.approx(model.gain)


@pytest.mark.parametrize("seed", [0, 1])
def test_pairs_of_a_telling_and_an_empty_assay_do_not_collapse(mosaic, seed):
    """All cells paired, and one assay of noise: the state keeps what the other knows, and says so of the noise."""
    rna = mosaic(400, seed=seed)["rna"].copy()
    noise = rna.copy()
    noise.X = np.random.default_rng(seed).poisson(0.3, rna.shape).astype(np.float32)
    noise.var_names = [f"peak{i}" for i in range(rna.n_vars)]
    mdata = MuData({"rna": rna, "atac": noise})
    model = scvcell.tl.fit(mdata, train=scvcell.TrainConfig(max_epochs=30, progress=False), seed=seed)
    alone = scvcell.tl.fit(rna.copy(), train=scvcell.TrainConfig(max_epochs=30, progress=False), seed=seed)
    assert model.gain[STATE] > 0.5 * alone.gain[STATE] > MIN_STATE_BITS
    scvcell.tl.modality_information(mdata, model)
    assert mdata.obs["csl_bits_rna"].mean() > 3 * mdata.obs["csl_bits_atac"].mean()

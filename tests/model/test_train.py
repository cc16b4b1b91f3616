"""Training: warm-up, stopping, history, and the learning that must show."""

import copy
import logging
from dataclasses import replace

import numpy as np
import pytest
import torch

import scvcell
from scvcell.model import _train
from scvcell.model._train import TrainingPlan


def test_kl_is_warmed_up(mosaic, quick, monkeypatch):
    weights = []
    original = TrainingPlan._step

    def step(self, batch, split, kl_weight):
        weights.append((split, kl_weight))
        return original(self, batch, split, kl_weight)

    monkeypatch.setattr(TrainingPlan, "_step", step)
    train = replace(quick, max_epochs=20, validation=0.2, patience=0, kl_warmup=0.5, rematch=0)
    scvcell.tl.fit(mosaic(90), train=train)
    train = [w for s, w in weights if s == "train"]
    assert len(train) == 20
    np.testing.assert_allclose(train[:10], np.arange(1, 11) / 10)
    assert set(train[10:]) == {1.0}
    assert {w for s, w in weights if s == "validation"} == {1.0}


def test_training_lowers_the_held_out_objective(pbmc):
    curve = pbmc.model.history["loss_validation"]["loss_validation"]
    assert curve.iloc[-3:].mean() < 0.9 * curve.iloc[0]
    for term in ("rna", "adt"):
        held_out = pbmc.model.history[f"{term}_validation"].to_numpy()
        assert held_out[-1] < held_out[0]


def test_history_has_every_term_of_both_splits(small):
    terms = {"rna", "adt", "kl", "contrast", "agreement", "match", "loss"}
    assert {f"{t}_{s}" for t in terms for s in ("train", "validation")} == set(small.model.history)
    assert all(np.isfinite(f.to_numpy()).all() for f in small.model.history.values())
    assert small.model.history["loss_train"].index.name == "epoch"


def test_logged_loss_is_the_mean_per_cell(mosaic, quick, monkeypatch):
    totals = []
    original = TrainingPlan._step

    def step(self, batch, split, kl_weight):
        value = original(self, batch, split, kl_weight)
        if split == "train":
            totals.append((float(value.detach()), len(batch)))
        return value

    monkeypatch.setattr(TrainingPlan, "_step", step)
    model = scvcell.tl.fit(mosaic(90), train=replace(quick, max_epochs=1, batch_size=20, validation=0.0, rematch=0))
    values, sizes = np.array(totals).T
    assert len(values) > 2
    assert model.history["loss_train"].iloc[0, 0] == pytest.approx((values * sizes).sum() / sizes.sum(), rel=1e-5)


def test_training_stops_when_the_held_out_objective_is_flat(mosaic, quick, caplog, monkeypatch):
    """Nothing is learned at a learning rate of zero."""
    monkeypatch.setattr(TrainingPlan, "factor", lambda self, step: 0.0)
    with caplog.at_level(logging.INFO, logger="scvcell"):
        model = scvcell.tl.fit(
            mosaic(150), train=replace(quick, max_epochs=200, validation=0.3, patience=3, kl_warmup=0.01)
        )
    assert 3 < len(model.history["loss_train"]) < 200
    assert "flat after epoch" in caplog.text


def test_zero_patience_never_stops_early(mosaic, quick):
    model = scvcell.tl.fit(mosaic(90), train=replace(quick, max_epochs=30, validation=0.3, patience=0, lr=1e-9))
    assert len(model.history["loss_train"]) == 30


def test_the_signal_handler_is_restored(mosaic, quick):
    import signal

    def mine(*_):
        raise AssertionError

    before = signal.signal(signal.SIGINT, mine)
    try:
        scvcell.tl.fit(mosaic(60), train=quick)
        assert signal.getsignal(signal.SIGINT) is mine
    finally:
        signal.signal(signal.SIGINT, before)


def test_fitting_in_a_thread(mosaic, quick):
    """A server trains outside the main thread, where no signal handler can be set."""
    import threading

    mdata, errors = mosaic(60), []

    def work():
        try:
            scvcell.tl.fit(mdata, train=quick)
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert errors == []
    assert "X_csl" in mdata.obsm


def test_no_files_are_left_and_nothing_is_printed(mosaic, quick, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    scvcell.tl.fit(mosaic(60), train=quick)
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().out == ""


def test_the_network_stays_on_the_device_that_it_was_trained_on(small, monkeypatch):
    """Lightning moves it to the CPU when it is done; what follows a fit would then run there."""
    model, config = small.model, scvcell.TrainConfig(max_epochs=1, progress=False, accelerator="cpu")
    source = model.source(model.view())
    network, cells = copy.deepcopy(model.network), np.arange(64)
    _train.run(network, source, cells, cells, config, 0)
    assert {p.device.type for p in network.parameters()} == {"cpu"}
    usual = _train.Epochs.on_train_end

    def elsewhere(self, trainer, plan):
        usual(self, trainer, plan)
        trainer.strategy._root_device = torch.device("meta")

    monkeypatch.setattr(_train.Epochs, "on_train_end", elsewhere)
    _train.run(network, source, cells, cells, config, 0)
    assert {p.device.type for p in network.parameters()} == {"meta"}

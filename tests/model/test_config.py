"""Settings of a fit: what is refused, and what depends on the number of cells."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import scvcell


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_epochs": 0}, "max_epochs must be a whole number >= 1"),
        ({"batch_size": -1}, "batch_size must be a whole number >= 1"),
        ({"lr": 0.0}, "lr must be > 0"),
        ({"n_latent": 0}, "n_latent must be a whole number >= 1"),
        ({"n_components": 0}, "n_components must be a whole number >= 1"),
        ({"kl_warmup": -3}, r"kl_warmup must be a share in \[0, 1\]"),
        ({"weight_decay": -1}, "weight_decay must be >= 0"),
        ({"validation": 0.5}, r"validation must be in \[0, 0.5\)"),
        ({"validation": -0.1}, r"validation must be in \[0, 0.5\)"),
        ({"rematch": -1}, "rematch must be a whole number >= 0"),
        ({"patience": 1.5}, "patience must be a whole number, not 1.5"),
        ({"max_epochs": "10"}, "max_epochs must be a whole number, not '10'"),
        ({"max_epochs": 2.5}, "max_epochs must be a whole number, not 2.5"),
        ({"n_latent": None}, "n_latent must be a whole number, not None"),
        ({"lr": "fast"}, "lr must be a number, not 'fast'"),
        ({"devices": 0}, "devices must be a whole number >= 1"),
        ({"devices": "auto"}, "devices must be a whole number, not 'auto'"),
        ({"nodes": 1.5}, "nodes must be a whole number, not 1.5"),
        ({"precision": "bf16"}, "precision must be one of 32, bf16-mixed, 16-mixed, not 'bf16'"),
        ({"precision": "16-mixed", "accelerator": "cpu"}, 'precision "16-mixed" needs a GPU'),
        ({"checkpoint": 3}, "checkpoint must be the path of a folder or None, not 3"),
        ({"minutes": -1}, "minutes must be >= 0, not -1"),
        ({"minutes": None}, "minutes must be a number, not None"),
    ],
)
def test_training_settings_are_checked(options, message):
    with pytest.raises((ValueError, TypeError), match=rf"TrainConfig\.{message}"):
        scvcell.TrainConfig(**options)


def test_settings_may_be_numbers_of_numpy():
    config = scvcell.TrainConfig(max_epochs=np.int64(3), n_latent=np.int32(4), lr=np.float32(0.001))
    assert (config.max_epochs, config.n_latent) == (3, 4)
    assert type(config.max_epochs) is int


def test_max_epochs_as_in_scvi_tools(mosaic, quick):
    model = scvcell.tl.fit(mosaic(60), train=replace(quick, max_epochs=None), max_epochs=3)
    assert len(model.history["loss_train"]) == 3
    model.train(replace(quick, max_epochs=None), max_epochs=2)
    assert len(model.history["loss_train"]) in (2, 5)
    with pytest.raises(ValueError, match="max_epochs=3, but train= says 2; give one"):
        scvcell.tl.fit(mosaic(60), train=quick, max_epochs=3)


def test_settings_reach_the_model(mosaic, quick):
    model = scvcell.tl.fit(mosaic(90), train=replace(quick, n_latent=3, n_components=4))
    assert model.n_latent == 3
    assert model.module.front_ends["rna"].width == 5
    assert len(model.history["loss_train"]) == 2


@pytest.mark.parametrize("n_cells", [100, 2800, 35_000, 1_000_000])
def test_default_epochs_shrink_with_the_data(n_cells):
    assert scvcell.TrainConfig().epochs(n_cells) == {100: 50, 2800: 50, 35_000: 4, 1_000_000: 4}[n_cells]
    assert scvcell.TrainConfig(max_epochs=7).epochs(n_cells) == 7


@pytest.mark.parametrize(
    ("n_cells", "held_out", "step", "networks"),
    [(100, 0.05, 256, 2), (3999, 0.05, 256, 2), (4000, 0.1, 128, 1), (100_000, 0.02, 128, 1)],
)
def test_defaults_follow_the_number_of_cells(n_cells, held_out, step, networks):
    config = scvcell.TrainConfig()
    found = config.held_out(n_cells), config.cells_per_step(n_cells), config.networks(n_cells)
    assert found == (held_out, step, networks)
    own = scvcell.TrainConfig(validation=0.2, batch_size=7)
    assert (own.held_out(1000), own.cells_per_step(n_cells)) == (0.2, 7)
    assert own.held_out(100_000) == 0.02, "at most 2,000 cells"


def test_settings_or_their_defaults():
    assert scvcell.TrainConfig.of(None) == scvcell.TrainConfig()
    config = scvcell.TrainConfig(lr=0.1)
    assert scvcell.TrainConfig.of(config) is config
    assert scvcell.TrainConfig.of(config, 4) == replace(config, max_epochs=4)
    with pytest.raises(ValueError, match=r"must be one of auto, cpu, .*, not 'gpuu'\. Did you mean 'gpu'"):
        scvcell.TrainConfig(accelerator="gpuu")


@pytest.mark.parametrize(
    ("asked", "cuda", "mps", "used"),
    [
        ("auto", False, True, "cpu"),
        ("auto", True, True, "auto"),
        ("auto", False, False, "auto"),
        ("mps", False, True, "mps"),
        ("cpu", False, True, "cpu"),
    ],
)
def test_apples_gpu_is_used_where_it_is_asked_for_only(asked, cuda, mps, used, monkeypatch, caplog):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    caplog.set_level("INFO", "scvcell")
    config = scvcell.TrainConfig(accelerator=asked, lr=1e-3)
    assert config.placed() == replace(config, accelerator=used)
    assert ("Apple" in caplog.text) == (used != asked)

"""Two processes on one machine: the gradient of one, the same parameters and decisions, nobody waits for ever."""

import json
import logging
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import scvcell
from scvcell._ranks import rank, world
from scvcell.model import _processes
from scvcell.model._optimise import TrainingPlan
from scvcell.model._processes import gathered, lost, nearest, noise, processes


@pytest.mark.parametrize("which", ["gradients", "confident"])
def test_the_gradient_of_every_term_is_that_of_one_process(ranks, which):
    """Also of terms that compare cells, and where a modality and an endpoint are in the cells of one rank alone."""
    for found in ranks.found:
        terms = found[which]
        assert set(terms) == {
            "rna",
            "adt",
            "atac",
            "viability",
            "kl",
            "contrast",
            "agreement",
            "match",
            "prior",
            "loss",
        }
        for name, (size, difference, _) in terms.items():
            assert size > 1e-3, name
            assert difference < 1e-5, name
        assert terms["loss"][2], "a parameter that no rank uses has no gradient, all others have one"


def test_ranks_end_with_one_model_and_one_history(ranks):
    one, other = ranks.found
    assert one["same"]
    assert other["same"]
    assert one["history"] == other["history"]
    assert len(one["history"]["loss_validation"]) >= 2
    assert (one["latent"], one["matched"]) == (other["latent"], other["matched"])
    assert one["matched"] > 0, "there are two rounds"


def test_a_modality_of_five_cells_and_an_endpoint_of_seven_neither_crash_nor_hang(ranks):
    assert [found["rare"] for found in ranks.found] == [True, True]


def test_cells_are_shared_and_noise_is_not(ranks):
    one, other = (found["cells"] for found in ranks.found)
    epoch = [cell for part in (*one, *other) for cell in part]
    assert len(set(epoch)) == len(epoch)
    assert [found["noise"] for found in ranks.found] == [True, True]
    assert [found["draws"] for found in ranks.found] == [True, True], "what follows the training is the same"


def test_killed_and_gone_on_with_ranks_end_as_if_nothing_had_been(ranks):
    for found in ranks.found:
        assert found["killed"]
        assert found["resumed"]
        whole, both = found["steps"]
        assert both == whole + 1, "the step in which they were killed is the only one that is made twice"


def test_a_rank_whose_other_is_gone_ends_and_says_how_the_fit_goes_on(ranks):
    seconds, said = ranks.found[0]["lost"]
    assert seconds < 60
    assert said == (
        f"Another process of this training ended, or cannot be reached. The same fit again goes on from "
        f"{ranks.folder / 'bereft'}."
    )
    assert (ranks.folder / "bereft" / "round-0.step.pt").is_file()


def test_one_process_goes_on_with_a_fit_of_two_from_the_end_of_the_last_epoch(ranks, monkeypatch, tmp_path, caplog):
    kept = shutil.copytree(ranks.folder / "bereft", tmp_path / "kept")
    ended = _records(kept / "round-0.epoch.pt")
    steps, step = [], TrainingPlan.training_step
    monkeypatch.setattr(TrainingPlan, "training_step", lambda *args: steps.append(1) or step(*args))
    sys.path.insert(0, str(Path(__file__).parent))
    from ranks import TRAIN, cells

    scvcell.tl.fit(cells(), batch_key="batch", train=replace(TRAIN, checkpoint=kept))
    assert "is of 2 processes, now there are 1: the fit goes on from the end of the last epoch" in caplog.text
    rounds = [_records(kept / f"round-{number}.done.pt") for number in range(2)]
    assert rounds[0][:1] == ended
    per_epoch = [5, 4]
    assert len(steps) == sum(n * len(records) for n, records in zip(per_epoch, rounds, strict=True)) - per_epoch[0]


def _records(path):
    return json.loads(torch.load(path, weights_only=True)["plain"])["records"]


def test_the_first_rank_alone_writes(ranks):
    model = scvcell.CSL.load(ranks.folder / "model")
    assert model.history["loss_train"].to_numpy().ravel().tolist() == ranks.found[0]["history"]["loss_train"]
    assert sorted(path.name for path in (ranks.folder / "kept").iterdir()) == [
        "round-0.done.pt",
        "round-1.done.pt",
        "setup.pt",
    ]


def test_a_model_is_there_for_all_when_save_returns_or_for_none(ranks):
    """The first rank writes it, which takes a while here; the other one reads it at once."""
    one, other = (found["saved"] for found in ranks.found)
    refused = f"{ranks.folder / 'model'} exists already. Give another path, or overwrite=True."
    assert one == [True, refused]
    assert other == [True, f"{refused} (So the first process says.)"]


def test_what_two_ranks_learn_is_what_one_learns(ranks):
    """At the same global mini-batch, within what the noise of another seed changes."""
    sys.path.insert(0, str(Path(__file__).parent))
    from ranks import TRAIN, cells

    end = scvcell.tl.fit(cells(), batch_key="batch", train=TRAIN).history["loss_validation"].iloc[-1, 0]
    assert ranks.found[0]["history"]["loss_validation"][-1] == pytest.approx(end, rel=0.02)


class TestHowMany:
    def test_alone(self):
        assert (rank(), world()) == (0, 1)
        assert gathered({"a": 1}, 1) == [{"a": 1}]
        assert processes(scvcell.TrainConfig()) == (1, 1)

    def test_torchrun_says_it(self, monkeypatch):
        told = {"TORCHELASTIC_RUN_ID": "x", "LOCAL_WORLD_SIZE": "4", "WORLD_SIZE": "8"}
        for name, value in told.items():
            monkeypatch.setenv(name, value)
        assert processes(scvcell.TrainConfig()) == (4, 2)
        assert processes(scvcell.TrainConfig(devices=4, nodes=2)) == (4, 2)
        with pytest.raises(ValueError, match=r"asks for devices=2, nodes=1, but torchrun has started 4 processes on"):
            processes(scvcell.TrainConfig(devices=2))

    def test_a_notebook_trains_on_one_and_says_how_a_script_would_on_more(self, monkeypatch, caplog):
        monkeypatch.setitem(sys.modules, "__main__", SimpleNamespace())
        assert processes(scvcell.TrainConfig(devices=2)) == (1, 1)
        assert "torchrun --nproc-per-node 2 script.py" in caplog.text

    def test_devices_that_are_not_there_are_refused_before_any_work(self):
        if torch.cuda.device_count() > 16:
            pytest.skip("they are there")
        data = scvcell.datasets.simulate(60, n_genes=20, n_proteins=4, seed=1)
        before = data.copy()
        with pytest.raises((ValueError, RuntimeError), match="accelerator='gpu', devices=17"):
            scvcell.tl.fit(data, train=scvcell.TrainConfig(accelerator="gpu", devices=17))
        assert list(data.obsm) == list(before.obsm)


def test_one_process_speaks_for_all(monkeypatch):
    said = {level: logging.LogRecord("scvcell", level, "", 0, "", (), None) for level in (20, 30, 40)}
    assert all(map(_processes._of_first, said.values()))
    monkeypatch.setattr(_processes, "rank", lambda: 1)
    assert [level for level, record in said.items() if _processes._of_first(record)] == [40]


def test_noise_differs_by_rank_and_seed():
    assert len({noise(seed, number) for seed in range(5) for number in range(-1, 5)}) == 30
    assert noise(3, 1) == noise(3, 1)


def test_an_error_of_another_process_is_told_from_ones_own(monkeypatch):
    gone = RuntimeError("[../third_party/gloo/gloo/transport/tcp/pair.cc] Connection closed by peer")
    assert not lost(gone), "there is no other"
    monkeypatch.setattr(_processes, "world", lambda: 2)
    assert lost(gone)
    assert not lost(RuntimeError("index_add_(): self (Float) and source (BFloat16)"))
    assert not lost(KeyError("peer"))


@pytest.mark.parametrize(
    ("config", "gpus", "found"),
    [
        ({}, True, "cuda:0"),
        ({"accelerator": "gpu"}, True, "cuda:0"),
        ({"accelerator": "cpu"}, True, "cpu"),
        ({"accelerator": "mps"}, True, "cpu"),
        ({"devices": 2}, True, "cpu"),
        ({}, False, "cpu"),
    ],
)
def test_products_before_training_are_those_of_a_gpu_that_trains_alone(monkeypatch, config, gpus, found):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus)
    monkeypatch.setattr(sys.modules["__main__"], "__file__", "script.py", raising=False)
    assert nearest(scvcell.TrainConfig(**config)) == torch.device(found)

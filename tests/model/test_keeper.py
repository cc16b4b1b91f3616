"""A fit that is killed goes on where it was, bit by bit; another fit is refused; what is kept is small and plain."""

import json
import os
import signal
from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
import torch

import scvcell
from scvcell.model import _checkpoint, _config
from scvcell.model._checkpoint import SET_UP
from scvcell.model._train import TrainingPlan

QUICK = scvcell.TrainConfig(
    max_epochs=4, progress=False, accelerator="cpu", validation=0.1, batch_size=48, minutes=0, patience=1, kl_warmup=0.1
)


class Killed(Exception):
    """As if the process were gone: nothing is saved on the way out."""


def cells(seed=1):
    return scvcell.datasets.simulate(260, n_genes=30, n_proteins=5, paired=0.2, seed=seed)


def parameters(model):
    return {name: value.clone() for name, value in model.network.state_dict().items()}


def fit(train, data=None, **options):
    return scvcell.tl.fit(cells() if data is None else data, batch_key="batch", train=train, **options)


def counted(monkeypatch, at=(), error=Killed):
    """Count steps of training, and be killed in those whose number is in `at`."""
    steps, original = [], TrainingPlan.training_step

    def step(self, batch, index):
        steps.append(self.global_step)
        if len(steps) in at:
            raise error
        return original(self, batch, index)

    monkeypatch.setattr(TrainingPlan, "training_step", step)
    return steps


@pytest.fixture(scope="module")
def whole():
    """The fit that was never killed: parameters, histories and number of steps."""
    with pytest.MonkeyPatch.context() as patch:
        steps = counted(patch)
        model = fit(QUICK)
    return parameters(model), model.history, len(steps), model.matched


def test_killed_at_random_steps_it_ends_as_if_it_had_not_been(whole, monkeypatch, tmp_path):
    """Of both rounds, in the first and last step of an epoch, and in the first of all."""
    expected, history, n_steps, matched = whole
    assert matched > 0, "there are two rounds"
    rng = np.random.default_rng(0)
    at = [1, *sorted(rng.choice(np.arange(2, n_steps), 4, replace=False).tolist())]
    train = replace(QUICK, checkpoint=tmp_path / "kept")
    done = []
    for killed in [*np.diff([0, *at]).tolist(), None]:
        with monkeypatch.context() as patch:
            steps = counted(patch, () if killed is None else (killed,))
            if killed is None:
                model = fit(train)
            else:
                with pytest.raises(Killed):
                    fit(train)
            done.append(len(steps) - (killed is not None))
    assert sum(done) == n_steps, "no step is made twice"
    for name, value in parameters(model).items():
        assert torch.equal(value, expected[name]), name
    for name, frame in model.history.items():
        np.testing.assert_array_equal(frame.to_numpy(), history[name].to_numpy())
    assert model.matched == matched
    with monkeypatch.context() as patch:
        steps = counted(patch)
        again = fit(train)
    assert not steps, "what is finished is not done again"
    assert all(torch.equal(value, expected[name]) for name, value in parameters(again).items())


def test_of_very_many_cells_there_are_looks_and_checkpoints_within_a_pass(whole, monkeypatch, tmp_path):
    """A pass of 234 cells is five steps, and an epoch is three of them here; killed in the third epoch."""
    monkeypatch.setattr(_checkpoint, "MAX_TIME_SHARE", 1e9)
    monkeypatch.setattr(_config, "CELLS_PER_LOOK", 100)
    train = replace(QUICK, max_epochs=2, rematch=0, patience=0)
    seen, original = [], TrainingPlan.training_step

    def step(self, batch, index):
        seen.append(batch.index.tolist())
        return original(self, batch, index)

    monkeypatch.setattr(TrainingPlan, "training_step", step)
    model = fit(train)
    assert len(model.history["loss_validation"]) == 4
    assert len(seen) == 12, "two passes, and two steps of another one"
    for first in (0, 5):
        assert len(set(chain(*seen[first : first + 5]))) == len(model.train_indices_)
    kept = replace(train, checkpoint=tmp_path / "kept", minutes=1e6)
    with monkeypatch.context() as patch:
        counted(patch, (8,))
        with pytest.raises(Killed):
            fit(kept)
    steps = counted(monkeypatch)
    again = fit(kept)
    assert steps == list(range(6, 12)), "it goes on from the end of the second epoch, in the second pass"
    expected = parameters(model)
    assert all(torch.equal(value, expected[name]) for name, value in parameters(again).items())
    assert again.history["loss_validation"].equals(model.history["loss_validation"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What a fit keeps that was killed in the middle of its second epoch."""
    folder = tmp_path_factory.mktemp("fit") / "kept"
    with pytest.MonkeyPatch.context() as patch:
        counted(patch, (8,))
        with pytest.raises(Killed):
            fit(replace(QUICK, checkpoint=folder))
    return folder


def test_what_is_kept_is_plain_and_small(folder, whole):
    assert {path.name for path in folder.iterdir()} == {SET_UP, "round-0.step.pt", "round-0.epoch.pt"}
    size = sum(value.numel() * value.element_size() for value in whole[0].values())
    for path in folder.iterdir():
        found = torch.load(path, weights_only=True)
        assert isinstance(json.loads(found["plain"]), dict)
        assert path.stat().st_size <= 3 * size + 2**20


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: (data, {"train": {"lr": 1e-3}}), r"lr: 0.003 then, 0.001 now"),
        (lambda data: (data, {"seed": 3}), "seed: 0 then, 3 now"),
        (lambda data: (data, {"weights": scvcell.Weights(kl=0.5)}), "weight kl: 1.0 then, 0.5 now"),
        (lambda data: (data[::-1].copy(), {}), "names of the cells: others than then"),
        (lambda data: (data, {"split": data.obs_names[:9].tolist()}), "training cells: others than then"),
        (lambda data: (added(data), {}), "values of 'adt': others than then"),
        (lambda data: (data, {"measure": {"adt": "counts"}}), r"operator of 'adt': \['protein', .*'counts'"),
    ],
)
def test_another_fit_is_refused_with_the_difference(folder, change, said):
    data, options = change(cells())
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    with pytest.raises(ValueError, match=f"keeps another fit: .*{said}.* Give checkpoint= another folder"):
        fit(replace(QUICK, checkpoint=folder, **options.pop("train", {})), data, **options)
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def added(data):
    """One count of one cell is another one."""
    data["adt"].X[0, 0] += 1
    return data


def test_another_version_is_refused(folder, monkeypatch):
    monkeypatch.setattr(_checkpoint, "version", lambda name: "9.9")
    with pytest.raises(ValueError, match=r"version of scvcell: '.*' then, '9.9' now"):
        fit(replace(QUICK, checkpoint=folder))


def test_a_folder_that_cannot_be_is_refused_before_any_work(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(NotADirectoryError, match="is a file, not a folder"):
        fit(replace(QUICK, checkpoint=tmp_path / "file"))


@pytest.fixture
def listens():
    """Ctrl-C is heard, also where a shell started these tests in the background and so had them ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("listens")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_saves_at_the_end_of_the_step(number, whole, monkeypatch, tmp_path, caplog):
    """And so the fit goes on: after SIGUSR1 in the same process, else when it is called again."""
    train, original = replace(QUICK, checkpoint=tmp_path / "kept", minutes=1e6), TrainingPlan.training_step
    steps = []

    def step(self, batch, index):
        if len(steps) == 6:
            os.kill(os.getpid(), number)
        steps.append(self.global_step)
        return original(self, batch, index)

    monkeypatch.setattr(TrainingPlan, "training_step", step)
    monkeypatch.setattr(_checkpoint, "MAX_TIME_SHARE", 1e-9)
    before = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)]
    if number == signal.SIGTERM:
        with pytest.raises(scvcell.errors.Terminated):
            fit(train)
    else:
        model = fit(train)
        assert model.interrupted == (number == signal.SIGINT)
    assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)] == before
    if number != signal.SIGUSR1:
        assert len(steps) == 7
        assert f"The same fit again goes on from {tmp_path / 'kept'}" in caplog.text
        model = fit(train)
    assert len(steps) == whole[2]
    assert all(torch.equal(value, whole[0][name]) for name, value in parameters(model).items())


def test_a_killed_process_is_gone_on_with_by_another_one(whole, ranks, monkeypatch):
    """By SIGKILL, in the middle of its second epoch; how the fit is run may differ."""
    steps = counted(monkeypatch)
    model = fit(replace(QUICK, checkpoint=str(ranks.folder / "alone"), minutes=3))
    assert len(steps) == whole[2] - 8
    assert all(torch.equal(value, whole[0][name]) for name, value in parameters(model).items())


def test_files_are_known_again(monkeypatch, tmp_path):
    data = cells()["rna"]
    data.obs["batch"] = np.array(["x", "y"])[np.arange(data.n_obs) % 2]
    paths = [tmp_path / "a.h5ad", tmp_path / "b.h5ad"]
    half = data.n_obs // 2
    for path, part in zip(paths, (data[:half], data[half:]), strict=True):
        part.copy().write_h5ad(path)
    train = replace(QUICK, max_epochs=1, checkpoint=tmp_path / "kept")
    fit(train, paths)
    steps = counted(monkeypatch)
    fit(train, paths)
    assert not steps
    with pytest.raises(ValueError, match="keeps another fit: names of the cells"):
        fit(train, paths[::-1])

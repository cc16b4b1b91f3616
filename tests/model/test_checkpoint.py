"""A fit that is killed goes on where it was, bit by bit; another fit is refused; what is kept is small and plain."""

import errno
import json
import logging
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import scvcell
from scvcell.errors import Damaged
from scvcell.model import _checkpoint
from scvcell.model._checkpoint import DONE, EPOCH, SET_UP, STEP, Checkpoint, Progress, differences
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

"""The schedule of a training, and when its terms are read."""

import math

import numpy as np
import pytest
import torch

from scvcell.model import Diverged, _optimise
from scvcell.model._optimise import TrainingPlan


@pytest.fixture
def plan(small):
    """A plan of 100 steps that has not trained."""
    from scvcell import TrainConfig

    return TrainingPlan(small.model.module, TrainConfig(patience=3), 100)


def test_learning_rate_rises_over_15_percent_and_falls_as_a_cosine(plan):
    factors = np.array([plan.factor(s) for s in range(101)])
    assert factors[0] < 0.01
    assert factors.argmax() == 15
    assert factors[15] == pytest.approx(1)
    np.testing.assert_allclose(
        factors[15:100], [0.5 * (1 + math.cos(math.pi * (s - 15) / 85)) for s in range(15, 100)], atol=1e-3
    )
    assert (factors > 0).all()


def test_winding_down_is_linear_and_ends_the_schedule(plan):
    usual = plan.factor(45)
    plan.wind_down = (40, 50)
    assert plan.factor(45) == pytest.approx(0.5 * usual)
    assert plan.factor(50) <= 1e-4


class Cells:
    """A mini-batch of `n` cells, of which a plan knows the number alone."""

    def __init__(self, n):
        self.n_global = n

    def __len__(self):
        return self.n_global


def terms_of(steps):
    """Terms of each step; every third one lacks an assay."""
    rng = np.random.default_rng(0)
    for step in range(steps):
        names = ("rna", "adt", "kl") if step % 3 else ("rna", "kl")
        yield {name: torch.tensor(rng.normal(), dtype=torch.float32) for name in names}


def after(plan, monkeypatch, unread, terms):
    """Sums of a plan after steps of some terms, and how often it has asked for values."""
    terms, asked, tolist = iter(terms), [], torch.Tensor.tolist
    monkeypatch.setattr(_optimise, "STEPS_UNREAD", {"cpu": unread})
    monkeypatch.setattr(plan.module, "terms", lambda batch: next(terms))
    with monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, "tolist", lambda self: asked.append(1) or tolist(self))
        for step in range(10):
            plan._step(Cells(20 + step), "train" if step < 8 else "validation", 0.5)
        plan._read()
    return plan._sums, len(asked)


def test_terms_of_many_steps_are_read_together_and_their_sums_are_the_same(plan, small, monkeypatch):
    one, asked = after(plan, monkeypatch, 1, terms_of(10))
    other, rarely = after(TrainingPlan(small.model.module, plan.config, 100), monkeypatch, 4, terms_of(10))
    assert one == other
    assert one["train"]["n"] == sum(range(20, 28))
    assert (asked, rarely) == (10, 3)


def test_a_loss_that_is_not_finite_is_found_and_named_later(plan, monkeypatch):
    bad = [{**terms, "adt": torch.tensor(torch.nan if step == 1 else 1.0)} for step, terms in enumerate(terms_of(10))]
    with pytest.raises(Diverged, match="the loss of 'adt' is not finite"):
        after(plan, monkeypatch, 4, bad)
    assert plan._sums["train"]["n"] == 20, "what came before it is known, and nothing of what came later"


def test_a_step_asks_another_device_for_nothing(plan, monkeypatch):
    monkeypatch.setattr(plan.module, "terms", lambda batch: {"rna": torch.ones((), device="meta")})
    for _ in range(_optimise.MAX_UNREAD - 1):
        plan._step(Cells(5), "train", 1.0)
    with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        plan._step(Cells(5), "train", 1.0)

"""The schedule of a training."""

import math

import numpy as np
import pytest

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

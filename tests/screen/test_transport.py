"""Transport between cells, against assignment, a kernel, and a general minimiser."""

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment, minimize

from scvcell.screen._transport import potential


def test_transport_is_optimal_where_it_is_sharp():
    rng = np.random.default_rng(0)
    cost = torch.from_numpy(rng.random((8, 8)))
    worth = potential(cost, torch.full((8,), 1 / 8, dtype=torch.float64), 0.005, 1e6)
    odds = torch.softmax(worth - cost / 0.005, 1)
    _, best = linear_sum_assignment(cost.numpy())
    np.testing.assert_array_equal(odds.argmax(1).numpy(), best)
    np.testing.assert_allclose(odds.sum(0).numpy(), 1, atol=1e-2)


def test_transport_that_is_relaxed_matches_each_row_by_itself():
    cost = torch.rand(5, 7, generator=torch.Generator().manual_seed(0))
    weight = torch.arange(1.0, 8) / 28
    odds = torch.softmax(potential(cost, weight, 0.1, 0.0) - cost / 0.1, 1)
    alone = weight * torch.exp(-cost / 0.1)
    torch.testing.assert_close(odds, alone / alone.sum(1, keepdim=True))


@pytest.mark.parametrize("relax", [0.2, 2.0])
def test_the_plan_is_the_least_of_what_is_minimised(relax):
    rng = np.random.default_rng(1)
    cost, weight, epsilon = rng.random((4, 3)), np.array([0.2, 0.3, 0.5]), 0.3

    def loss(free):
        """Cost of a plan whose rows are softmax of what is free, each with mass 1 / 4."""
        plan = np.exp(free.reshape(4, 3))
        plan /= 4 * plan.sum(1, keepdims=True)
        mass = plan.sum(0)
        spread = (plan * np.log(plan * 4 / weight)).sum()
        return (plan * cost).sum() + epsilon * spread + relax * (mass * np.log(mass / weight)).sum()

    best = np.exp(minimize(loss, np.zeros(12), method="BFGS", options={"gtol": 1e-9}).x.reshape(4, 3))
    worth = potential(torch.from_numpy(cost), torch.from_numpy(weight), epsilon, relax)
    plan = torch.softmax(worth - torch.from_numpy(cost) / epsilon, 1)
    np.testing.assert_allclose(plan, best / best.sum(1, keepdims=True), atol=1e-4)


def test_the_order_of_cells_does_not_matter():
    rng = np.random.default_rng(2)
    cost, weight = torch.from_numpy(rng.random((6, 5))), torch.full((5,), 0.2, dtype=torch.float64)
    weight[0], weight[1] = 0.1, 0.3
    rows, columns = rng.permutation(6), rng.permutation(5)
    one, other = potential(cost, weight, 0.2, 1.0), potential(cost[rows][:, columns], weight[columns], 0.2, 1.0)
    torch.testing.assert_close(other - other[0], one[columns] - one[columns][0])

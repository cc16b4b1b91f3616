"""Smoothing of compositions: neighbours by hand, and the strength against the one that is best with the truth."""

import numpy as np
import pandas as pd
import pytest

from scvcell._containers import Space
from scvcell.tissue._smooth import around, best_strength, smoothed

SIDE = 30


@pytest.fixture(scope="module")
def grid():
    xy = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), -1).reshape(-1, 2).astype(float)
    xy += np.random.default_rng(0).normal(0, 0.01, xy.shape)
    return Space(pd.Index([f"s{i}" for i in range(len(xy))]), xy, np.zeros(len(xy), int), ["all"])


def test_neighbours_are_the_nearest_and_a_lone_unit_is_its_own(grid):
    near = around(grid).toarray()
    np.testing.assert_allclose(near.sum(1), 1)
    assert (near.diagonal() == 0).all()
    assert ((near > 0).sum(1) == 6).all()
    lone = Space(pd.Index(["a"]), np.zeros((1, 2)), np.zeros(1, int), ["all"])
    np.testing.assert_array_equal(around(lone).toarray(), [[1]])
    near = around(grid)
    value = np.random.default_rng(0).random((SIDE**2, 2))
    np.testing.assert_array_equal(smoothed(value, near, 0), value)
    np.testing.assert_allclose(smoothed(value, near, 1), near @ value)


def scene(grid, noise, rough, rng):
    """Smooth and rough truth, and compositions without each of three parts of the genes, by independent errors."""
    truth = np.stack([np.sin(grid.xy[:, 0] / 4), np.cos(grid.xy[:, 1] / 5)], 1) + rng.normal(0, rough, (SIDE**2, 2))
    parts = rng.normal(0, noise, (3, *truth.shape)) * np.sqrt(3)
    without = [truth + (parts.sum(0) - part) / 2 for part in parts]
    return truth, truth + parts.mean(0), without


@pytest.mark.parametrize(("noise", "rough"), [(0.5, 0.0), (0.3, 0.3), (0.05, 0.5), (1.0, 0.1)])
def test_the_strength_is_the_best_one(grid, noise, rough):
    truth, share, without = scene(grid, noise, rough, np.random.default_rng(1))
    near = around(grid)
    tried = np.linspace(0, 1, 101)
    best = tried[np.argmin([((smoothed(share, near, k) - truth) ** 2).mean() for k in tried])]
    assert best_strength(share, without, near) == pytest.approx(best, abs=0.06)


def test_a_lift_that_draws_to_the_mean_by_itself_is_smoothed_less(grid):
    truth, share, without = scene(grid, 0.3, 0.3, np.random.default_rng(1))
    near = around(grid)
    free = best_strength(share, without, near)
    fair = (truth, truth + np.random.default_rng(2).normal(0, 0.1, truth.shape))
    assert best_strength(share, without, near, fair) == pytest.approx(free, abs=0.02)
    drawn = (0.5 * truth, truth)
    assert best_strength(share, without, near, drawn) < 0.5 * free
    assert best_strength(share, without, near, (0.1 * truth, truth)) == 0


def test_no_chance_no_smoothing(grid):
    truth, _, _ = scene(grid, 0.1, 0.1, np.random.default_rng(0))
    near = around(grid)
    assert best_strength(truth, [truth] * 3, near) == pytest.approx(0, abs=1e-9)
    assert best_strength(np.ones_like(truth), [np.ones_like(truth)] * 3, near) == 0

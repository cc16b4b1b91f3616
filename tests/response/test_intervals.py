"""Intervals of sampling alone: coverage by simulation; noise and excess in closed form."""

import numpy as np
import pytest

from scvcell.response._bulk import FEWEST_CELLS
from scvcell.response._intervals import (
    MAX_STRETCH,
    calibrated,
    excess_share,
    noise_of,
    sampling_halfwidth,
    stretch_for,
)


def one_draw(rng, effect, n, m):
    """Effects measured in training and anew from counts, and their sampling variances."""
    base = np.full(len(effect), 1.0)
    before, after, again, control = (
        np.log1p(rng.poisson(np.exp(base + shift), (cells, len(effect))))
        for shift, cells in ((0, n), (effect, n), (effect, m), (0, m))
    )
    trained = before.var(0, ddof=1) / n + after.var(0, ddof=1) / n
    return after.mean(0) - before.mean(0), again.mean(0) - control.mean(0), trained, trained * n / m


@pytest.mark.parametrize("shrink", [1.0, 0.6, 0.0])
def test_coverage_holds_for_all_and_for_the_strongest_however_much_was_shrunk(shrink):
    rng = np.random.default_rng(0)
    held, top = [], []
    for _ in range(40):
        effect = np.where(rng.random(200) < 0.1, rng.normal(0, 0.6, 200), 0)
        measured, new, trained, fresh = one_draw(rng, effect, 40, 40)
        value = shrink * measured
        half = sampling_halfwidth(measured - value, trained, fresh, 0.9, 39)
        inside = np.abs(new - value) <= half
        held.append(inside.mean())
        top.append(inside[np.argsort(-np.abs(value if shrink else measured))[:10]].mean())
    assert np.mean(held) >= 0.88
    assert np.mean(top) >= 0.85


def test_widths_fall_with_the_root_of_cells_and_follow_their_features():
    rng = np.random.default_rng(1)
    miss, trained, new = rng.normal(size=30) * 0.1, rng.random(30), rng.random(30)
    half = sampling_halfwidth(miss, trained, new, 0.9, 1e6)
    np.testing.assert_allclose(sampling_halfwidth(miss / 2, trained / 4, new / 4, 0.9, 1e6), half / 2)
    order = rng.permutation(30)
    np.testing.assert_array_equal(sampling_halfwidth(miss[order], trained[order], new[order], 0.9, 1e6), half[order])
    assert (sampling_halfwidth(miss, trained, new, 0.9, 5) > half).all()


def test_excess_is_the_share_by_which_effects_are_off():
    rng = np.random.default_rng(2)
    size, variance = np.abs(rng.normal(size=40)), rng.random(40)
    for share in (0.0, 0.3, 1.0):
        rows = np.stack([size, variance + (share * size) ** 2, variance, np.arange(40), np.zeros(40)], 1)
        assert excess_share(rows) == pytest.approx(share)
        assert excess_share(rows[rng.permutation(40)]) == pytest.approx(share)
    rows[:, 1] = variance + (2 * size) ** 2
    assert excess_share(rows) == 1
    rows[:, 0] = 0
    assert excess_share(rows) == 0
    assert excess_share(rows[:0]) == 0


def test_few_cells_have_the_variance_of_all_and_many_half_of_their_own():
    own, spread = np.array([1.0, 0.0]), np.array([3.0, 2.0])
    np.testing.assert_allclose(noise_of(own, spread, 20), [2 / 20, 1 / 20], rtol=1e-4)
    np.testing.assert_allclose(noise_of(own, spread, FEWEST_CELLS - 1), spread / (FEWEST_CELLS - 1), rtol=1e-4)
    np.testing.assert_allclose(noise_of(own, spread, 0), spread, rtol=1e-4)
    assert np.isnan(noise_of(own, np.full(2, np.nan), 3)).all()


def world(rng, n, explained, features=200):
    """Predicted and measured effects of conditions, of which a share of the variance is predicted; unit errors."""
    error = rng.normal(size=(n, features))
    value = np.sqrt(explained / (1 - explained)) * rng.normal(size=(n, features))
    return value, value + error


def rows_of(value, y, strongest=True):
    n = len(value)
    rank = np.argsort(np.argsort(-np.abs(y), 1), 1)
    columns = [np.abs(value), (y - value) ** 2, np.ones_like(y), np.arange(n)[:, None] + 0 * y, 0 * y, rank < 10]
    return np.stack(columns, -1).reshape(-1, 6)[:, : 5 + strongest]


@pytest.mark.parametrize(("explained", "reached"), [(0.8, True), (0.3, False)])
def test_intervals_hold_the_strongest_effects_as_far_as_a_third_more_can(explained, reached):
    rng = np.random.default_rng(4)
    rows = rows_of(*world(rng, 60, explained))
    value, y = world(rng, 60, explained)
    plain, wide = ([calibrated(r, v, np.ones(len(v)), 0.9) for v in value] for r in (rows[:, :5], rows))
    top = np.argsort(-np.abs(y), 1)[:, :10]
    held = [np.abs(y - value) <= np.stack([e.halfwidth for e in found]) for found in (plain, wide)]
    of_top = [np.take_along_axis(h, top, 1).mean() for h in held]
    stretch = wide[0].halfwidth / plain[0].halfwidth
    np.testing.assert_allclose(stretch, stretch[0])
    assert 1 < stretch[0] <= MAX_STRETCH + 1e-12
    assert of_top[0] < 0.87
    assert held[0].mean() == pytest.approx(0.92, abs=0.03)
    assert wide[0].held == pytest.approx(held[1].mean(), abs=0.02)
    assert wide[0].held_strongest == pytest.approx(of_top[1], abs=0.04), "what is told is what is found"
    if reached:
        assert of_top[1] == pytest.approx(0.91, abs=0.03)
    else:
        assert stretch[0] == pytest.approx(MAX_STRETCH)
        assert of_top[1] < 0.85
    assert np.isnan(plain[0].held_strongest)


def test_what_nothing_predicts_has_its_strongest_effects_outside():
    rng = np.random.default_rng(5)
    y = rng.normal(size=(400, 200))
    half = 1.959964  # Gaussian, 95 %: ten of 200 are the largest errors
    top = np.take_along_axis(np.abs(y), np.argsort(-np.abs(y), 1)[:, :10], 1)
    assert (np.abs(y) <= half).mean() == pytest.approx(0.95, abs=0.01)
    assert (top <= half).mean() < 0.2


def test_a_stretch_is_a_quantile_within_bounds():
    over = np.linspace(0.01, 1.3, 100)
    assert stretch_for(over, 0.9) == pytest.approx(np.quantile(over, 0.9))
    assert stretch_for(over[::-1], 0.9) == stretch_for(over, 0.9)
    assert stretch_for(over / 2, 0.9) == 1
    assert stretch_for(9 * over, 0.9) == MAX_STRETCH
    assert stretch_for(9 * over[:20], 0.9) == 1, "too few to tell"

"""Split conformal intervals cover what they promise on exchangeable data, and are narrow where that is possible."""

import itertools

import numpy as np
import pytest

from scvcell._stats import Conformal
from scvcell.score import coverage


def world(n, rng, features=3):
    """Latents, truth with noise that grows along the first latent, and the best prediction."""
    z = rng.normal(size=(n, 2))
    predicted = z @ np.array([[1.0, 0.5, -1.0], [0.2, 1.0, 0.0]])[:, :features]
    noise = (0.2 + np.abs(z[:, :1])) * rng.normal(size=(n, features))
    return z, predicted + noise, predicted


def fit(rng, n_calibration=200):
    pool_z, pool_y, pool_p = world(400, rng)
    z, y, p = world(n_calibration, rng)
    return Conformal.fit(pool_z, (pool_y - pool_p) ** 2, z, y, p)


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("n_calibration", [50, 300])
def test_coverage_is_what_was_promised(level, n_calibration):
    shares = []
    for seed in range(25):
        rng = np.random.default_rng(seed)
        conformal = fit(rng, n_calibration)
        z, y, p = world(400, rng)
        half, _ = conformal.halfwidth(z, level)
        shares.append(coverage(y, p - half, p + half))
    # in expectation over calibration sets coverage lies in [level, level + 1/(n+1)]
    mean, error = np.mean(shares), np.std(np.mean(shares, 1)) / 5
    assert level - 3 * error < mean < level + 1 / (n_calibration + 1) + 3 * error


def test_levels_are_nested():
    rng = np.random.default_rng(0)
    conformal, (z, _, _) = fit(rng), world(50, rng)
    widths = [conformal.halfwidth(z, level)[0] for level in (0.5, 0.8, 0.9, 0.95)]
    assert all((a < b).all() for a, b in itertools.pairwise(widths))


def test_quantile_is_the_finite_sample_rank():
    scores = np.arange(1.0, 20.0)[:, None] * np.array([1.0, 2.0])
    conformal = Conformal(np.zeros((1, 1)), np.ones((1, 2)), scores, np.ones((99, 2)), 1.0)
    np.testing.assert_array_equal(conformal.quantile(0.9), [18, 36])
    np.testing.assert_array_equal(conformal.quantile(0.5), [10, 20])
    assert np.isinf(conformal.quantile(0.96)).all(), "19 cells cannot promise 96 %"


def test_intervals_are_wider_where_errors_are_larger():
    conformal = fit(np.random.default_rng(0))
    half, _ = conformal.halfwidth(np.array([[0.0, 0.0], [2.0, 0.0]]), 0.9)
    assert (half[1] > 2 * half[0]).all()


def test_far_cells_are_out_of_reach():
    conformal = fit(np.random.default_rng(0))
    _, near = conformal.halfwidth(np.array([[0.0, 0.0], [50.0, 50.0]]), 0.9)
    assert near.tolist() == [True, False]


def test_reach_holds_for_about_all_cells_of_the_same_kind():
    rng = np.random.default_rng(0)
    conformal = fit(rng, 500)
    assert conformal.halfwidth(world(500, rng)[0], 0.9)[1].mean() > 0.96


def test_relative_width_is_one_where_nothing_was_learned():
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(3000, 2)), rng.normal(size=(3000, 1))
    flat = np.zeros_like(y)
    conformal = Conformal.fit(z[:1000], y[:1000] ** 2, z[1000:2000], y[1000:2000], flat[1000:2000])
    half, _ = conformal.halfwidth(z[2000:], 0.9)
    assert conformal.relative_width(half, 0.9)[0] == pytest.approx(1, abs=0.08)
    perfect = Conformal.fit(z[:1000], 1e-4 * y[:1000] ** 2, z[1000:2000], y[1000:2000], 0.99 * y[1000:2000])
    assert perfect.relative_width(perfect.halfwidth(z[2000:], 0.9)[0], 0.9)[0] < 0.05


def test_relative_width_without_cells_or_spread_is_nan():
    conformal = fit(np.random.default_rng(0))
    assert np.isnan(conformal.relative_width(np.zeros((0, 3)), 0.9)).all()
    constant = Conformal(conformal.pool, conformal.error, conformal.scores, np.zeros((99, 3)), 1.0)
    assert np.isnan(constant.relative_width(np.ones((5, 3)), 0.9)).all()


def test_arrays_bring_it_back():
    rng = np.random.default_rng(0)
    conformal, (z, _, _) = fit(rng), world(20, rng)
    again = Conformal.from_arrays(conformal.as_arrays())
    for one, other in zip(conformal.halfwidth(z, 0.9), again.halfwidth(z, 0.9), strict=True):
        np.testing.assert_array_equal(one, other)


def few(seed, n=60, optimism=0.7, n_features=6):
    """A pool whose errors are too small, as those of cells that training saw, calibration cells, and new cells."""
    rng = np.random.default_rng(seed)
    z = [rng.normal(size=(m, 2)) for m in (900, n, 4000)]
    size = np.linspace(0.5, 2, n_features) * 1.0
    noise = [rng.standard_t(5, (len(part), n_features)) * size * (1 + np.abs(part[:, :1])) for part in z]
    conformal = Conformal.fit(z[0], (optimism * noise[0]) ** 2, z[1], noise[1], 0 * noise[1])
    half, _ = conformal.halfwidth(z[2], 0.9)
    return conformal, (np.abs(noise[2]) <= half).mean(0)


def test_few_calibration_cells_borrow_the_shape_of_the_pool():
    found = np.array([few(seed)[1] for seed in range(12)])
    assert np.abs(found.mean() - 0.9) < 0.015
    split = np.array([few(seed, n=60)[1] for seed in range(12)]).mean(1)
    assert split.std() < 0.025
    assert np.abs(found.mean(0) - 0.9).max() < 0.03, "each feature"


def test_many_calibration_cells_speak_for_themselves():
    conformal, cover = few(0, n=1500)
    assert conformal.cells == len(conformal.scores) == 1500
    assert conformal.unsure == 0
    assert np.abs(cover.mean() - 0.9) < 0.02


def test_the_expected_range_holds_nine_times_in_ten():
    inside = []
    for seed in range(30):
        conformal, cover = few(seed)
        low, high = conformal.expected(0.9)
        assert low < 0.9 < high
        inside.append(low - 0.005 <= cover.mean() <= high + 0.005)
    assert np.mean(inside) > 0.8
    many, _ = few(0, n=1500)
    assert np.ptp(many.expected(0.9)) < np.ptp(few(0)[0].expected(0.9))


def test_limits_of_further_numbers():
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(300, 2)), rng.normal(size=(300, 3))
    depth = np.r_[rng.uniform(5, 6, 299), np.nan][:, None]
    conformal = Conformal.fit(z[:200], y[:200] ** 2, z[200:], y[200:], 0 * y[200:], depth)
    np.testing.assert_array_equal(
        conformal.within(np.array([[5.5], [4.0], [7.0], [np.nan]])), [True, False, False, True]
    )
    again = Conformal.from_arrays(conformal.as_arrays())
    np.testing.assert_array_equal(again.limits, conformal.limits)
    assert (again.cells, again.unsure) == (conformal.cells, pytest.approx(conformal.unsure))
    old = {name: conformal.as_arrays()[name] for name in ("pool", "error", "scores", "spread", "reach")}
    assert Conformal.from_arrays(old).within(np.array([[99.0]])).all()


def test_features_that_are_nearly_always_zero_keep_to_calibration_cells():
    rng = np.random.default_rng(0)
    z = [rng.normal(size=(m, 2)) for m in (600, 80, 4000)]
    y = [np.log1p(rng.poisson(rate, (len(part), 5))) for part in z for rate in [[0.05, 0.1, 0.2, 3.0, 8.0]]]
    point = np.log1p([0.05, 0.1, 0.2, 3.0, 8.0])
    conformal = Conformal.fit(z[0], (0.7 * (y[0] - point)) ** 2, z[1], y[1], np.tile(point, (80, 1)))
    half, _ = conformal.halfwidth(z[2], 0.9)
    cover = (np.abs(y[2] - point) <= half).mean(0)
    assert (cover > 0.84).all()
    assert np.isinf(conformal.quantile(0.999)[:3]).all()

"""Dose curves whose EC50, slope and Emax are known, and the regression behind them."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from scvcell._stats import _hill, fit_curves

DOSES = np.array([0.05, 0.2, 0.8, 3.2, 12.8])


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(_hill, "N_CANDIDATE_DOSES", 61)


def replicates(effect, ec50, slope, doses=DOSES, noise=1e-3, seed=0):
    """Values at no dose and at each dose, by all cells and without each fold, ``(1 + doses, 11, features)``."""
    rng = np.random.default_rng(seed)
    share = np.array([0.0, *(d**slope / (d**slope + ec50**slope) for d in doses)])
    exact = rng.normal(size=len(effect)) + share[:, None] * effect
    return exact[:, None] + noise * rng.normal(size=(len(share), 1 + _hill.N_JACKKNIFE, len(effect)))


def test_information_is_weighted_least_squares():
    rng = np.random.default_rng(0)
    share, y, precision = rng.random((6, 1)), rng.normal(size=(6, 4)), rng.gamma(2.0, 1.0, (6, 4))
    information, right = _hill._information(share, y, precision)
    for feature in range(4):
        root = np.sqrt(precision[:, feature])
        design = np.column_stack([np.ones(6), share[:, 0]]) * root[:, None]
        estimate = np.linalg.lstsq(design, y[:, feature] * root, rcond=None)[0][1]
        assert right[feature] / information[feature] == pytest.approx(estimate)
        assert 1 / information[feature] == pytest.approx(np.linalg.inv(design.T @ design)[1, 1])


@pytest.mark.parametrize(("ec50", "slope"), [(0.5, 1.0), (5.0, 2.0)])
def test_a_curve_is_found_again_also_where_a_context_lacks_doses(ec50, slope):
    effect = np.random.default_rng(1).normal(size=30)
    every, some = np.arange(5), np.array([0, 2, 3])
    parts = [(at, replicates(effect, ec50, slope, DOSES[at], seed=i)) for i, at in enumerate((every, some))]
    found = fit_curves(DOSES, parts, 0.9)
    assert found["ec50"] == pytest.approx(ec50, rel=0.03)
    assert found["slope"] == slope
    assert found["emax"] == pytest.approx(np.sqrt((effect**2).mean()), rel=0.04)
    for name in ("ec50", "emax"):
        assert found[f"{name}_lower"] < found[name] < found[f"{name}_upper"]


def test_units_of_doses_and_the_order_of_features_do_not_matter():
    effect, order = np.random.default_rng(2).normal(size=12), np.random.default_rng(3).permutation(12)
    values = replicates(effect, 0.6, 1.0, noise=0.05)
    one = fit_curves(DOSES, [(np.arange(5), values)], 0.9)
    other = fit_curves(1000 * DOSES, [(np.arange(5), values[..., order])], 0.9)
    scale = {name: 1000 if name.startswith("ec50") else 1 for name in one}
    assert other == pytest.approx({name: value * scale[name] for name, value in one.items()})
    wide = fit_curves(DOSES, [(np.arange(5), values)], 0.99)
    assert wide["emax_upper"] - wide["emax_lower"] > 1.2 * (one["emax_upper"] - one["emax_lower"])


@pytest.mark.parametrize(("ec50", "name", "end"), [(1e-5, "ec50_lower", 0.0), (200.0, "ec50_upper", np.inf)])
def test_doses_on_one_side_leave_the_interval_open(ec50, name, end):
    values = replicates(np.random.default_rng(4).normal(size=12), ec50, 1.0, noise=0.05)
    assert fit_curves(DOSES, [(np.arange(5), values)], 0.9)[name] == end


def test_among_variances_of_effects_the_likeliest_counts():
    """The score of one dose and slope is the log-likelihood of a Gaussian, of values of which a level is not known."""
    rng = np.random.default_rng(5)
    y, noise = rng.normal(size=(6, 8)), rng.gamma(2.0, 0.2, (6, 8))
    grid = np.log([0.8])
    best = _hill._maximum(np.log(DOSES), grid, [(np.arange(5), y, noise)], 0.9)
    size = ((y[1:] - y[0]) ** 2 - noise[1:] - noise[0]).mean()
    found = {}
    for slope in _hill.CANDIDATE_SLOPES:
        share = np.array([0.0, *(DOSES**slope / (DOSES**slope + 0.8**slope))])
        for variance in size * np.array(_hill.CANDIDATE_VARIANCES):
            total, effects = -0.5 * (np.log(slope) / _hill.LOG_SLOPE_SD) ** 2, []
            for values, own in zip(y.T, noise.T, strict=True):
                cov = np.diag(own) + variance * np.outer(share, share) + 1e6  # a level that may be anything
                total += multivariate_normal(np.zeros(6), cov).logpdf(values)
                effects.append(variance * share @ np.linalg.solve(cov, values))
            found[slope, variance] = total, np.sqrt(np.mean(np.square(effects)))
    slope, variance = max(found, key=lambda key: found[key][0])
    assert best[1] == np.log(slope)
    assert np.exp(best[2]) == pytest.approx(found[slope, variance][1], rel=1e-3)
    assert best[0] == grid[0]

"""Scores of predicted distributions where their value is known."""

import numpy as np
import pytest
from scipy.stats import kstest, norm

from scvcell.score import crps, crps_quantiles, energy_score, pit, pit_quantiles, pit_values, relative_width

LEVELS = np.array([0.05, 0.5, 0.95])


@pytest.fixture(scope="module")
def world():
    """What is known of 400 units x 3 features, noise around it, and the truth."""
    rng = np.random.default_rng(0)
    known = rng.normal(size=(400, 3))
    return known, known + rng.normal(size=known.shape)


def draws(world, spread, middle=1.0, n=60):
    known, _ = world
    return middle * known + spread * np.random.default_rng(1).normal(size=(n, *known.shape))


def test_crps_of_a_normal(world):
    known, truth = world
    z = truth - known
    expected = z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi)
    np.testing.assert_allclose(crps(truth, draws(world, 1.0, n=400)), expected.mean(0), atol=0.01)
    levels = (np.arange(400) + 0.5) / 400
    quantiles = known + norm.ppf(levels)[:, None, None]
    np.testing.assert_allclose(crps_quantiles(truth, quantiles, levels), expected.mean(0), atol=0.005)


def test_the_fair_form_does_not_depend_on_how_many_draws_there_are(world):
    truth = world[1]
    few, many = (draws(world, 1.0, n=n) for n in (4, 400))
    assert crps(truth, few).mean() == pytest.approx(crps(truth, many).mean(), abs=0.05)
    assert crps(truth, few, unbiased=False).mean() > crps(truth, many, unbiased=False).mean() + 0.1
    assert energy_score(truth, few).mean() == pytest.approx(energy_score(truth, many).mean(), abs=0.07)


def test_one_certain_value_is_scored_by_its_error(world):
    known, truth = world
    same = np.stack([known, known])
    np.testing.assert_allclose(crps(truth, same), np.abs(known - truth).mean(0))
    np.testing.assert_allclose(energy_score(truth, same), np.linalg.norm(known - truth, axis=1))


@pytest.mark.parametrize("score", [crps, energy_score])
def test_the_best_is_ranked_before_the_honest_and_both_before_the_overconfident(world, score):
    truth = world[1]
    oracle, honest, sure = draws(world, 1.0), draws(world, 2**0.5, middle=0.0), draws(world, 0.2, middle=0.0)
    assert score(truth, oracle).mean() < score(truth, honest).mean() < score(truth, sure).mean()


def test_three_quantiles_rank_them_alike(world):
    truth = world[1]
    found = [
        crps_quantiles(truth, np.quantile(d, LEVELS, axis=0), LEVELS).mean()
        for d in (draws(world, 1.0), draws(world, 2**0.5, middle=0.0), draws(world, 0.2, middle=0.0))
    ]
    assert found == sorted(found)


def test_pit_of_honest_and_narrow_predictions(world):
    truth = world[1]
    honest, narrow = draws(world, 1.0), draws(world, 0.3)
    assert pit(truth, honest) < 0.06 < 0.2 < pit(truth, narrow)
    values = pit_values(truth, narrow)
    assert pit(truth, narrow) == pytest.approx(kstest(values.ravel(), "uniform").statistic)
    quantiles = [np.quantile(d, LEVELS, axis=0) for d in (honest, narrow)]
    assert pit_quantiles(truth, quantiles[0], LEVELS) < 0.06 < 0.2 < pit_quantiles(truth, quantiles[1], LEVELS)


def test_draws_that_tie_with_the_truth_count_half():
    assert pit_values(np.array([[1.0]]), np.array([[[0.0]], [[1.0]], [[1.0]], [[2.0]]])).tolist() == [[0.5]]


def test_knowing_nothing_is_calibrated_but_not_sharp(world):
    truth = world[1]
    nothing = np.broadcast_to(truth.mean(0) + truth.std(0) * norm.ppf(LEVELS)[:, None, None], (3, *truth.shape))
    assert pit_quantiles(truth, nothing, LEVELS) < 0.05
    assert relative_width(truth, nothing[0], nothing[2], 0.9).mean() == pytest.approx(1, abs=0.1)


def test_many_zeros_at_a_quantile_of_zero_are_no_fault():
    rng = np.random.default_rng(0)
    truth = rng.poisson(0.3, (4000, 1)).astype(float)
    right = np.broadcast_to(np.quantile(truth, LEVELS)[:, None, None], (3, 4000, 1))
    assert right[0, 0, 0] == 0 < (truth == 0).mean() - LEVELS[0] - 0.6
    assert pit_quantiles(truth, right, LEVELS) == 0
    assert pit_quantiles(truth, right + 1, LEVELS) == pytest.approx((truth < 1).mean() - LEVELS[0])
    assert pit_quantiles(truth, right - 1, LEVELS) == LEVELS[1], "none is as low as -1"

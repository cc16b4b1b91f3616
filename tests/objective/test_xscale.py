"""Eq. 3: the deviance is twice the likelihood that is lost, and the cycle is that of the projected weights."""

import numpy as np
import pytest
import torch
from scipy.stats import nbinom

from scvcell.objective import cycle, nb_deviance, response_agreement


@pytest.fixture
def scene():
    rng = np.random.default_rng(0)
    mu, theta = rng.gamma(1.0, 5.0, (30, 8)), rng.gamma(2.0, 3.0, 8)
    x = rng.poisson(mu).astype(float)
    x[:, 0] = 0
    return x, mu, theta


def deviance(*values):
    return nb_deviance(*map(torch.as_tensor, values)).numpy()


def test_it_is_twice_the_log_likelihood_that_is_lost(scene):
    x, mu, theta = scene

    def log_likelihood(mean):
        return nbinom.logpmf(x, theta, theta / (theta + mean))

    np.testing.assert_allclose(deviance(x, mu, theta), 2 * (log_likelihood(x) - log_likelihood(mu)), atol=1e-9)


def test_it_is_zero_at_the_counts_and_above_elsewhere(scene):
    x, mu, theta = scene
    np.testing.assert_allclose(deviance(x, x, theta), 0, atol=1e-7)
    assert (deviance(x, mu, theta) >= 0).all()
    assert (deviance(x, x + 1, theta) > 0).all()
    assert (deviance(x, x + 2, theta) > deviance(x, x + 1, theta)).all()
    assert np.isfinite(deviance(x, 0 * mu, theta)).all()


def test_of_little_dispersion_it_is_that_of_poisson(scene):
    x, mu, _ = scene
    poisson = 2 * (np.where(x > 0, x * np.log(np.maximum(x, 1) / mu), 0) - (x - mu))
    np.testing.assert_allclose(deviance(x, mu, np.full(8, 1e7)), poisson, atol=1e-3)


def test_the_cycle_of_exact_weights_is_that_of_the_mean(scene):
    rng = np.random.default_rng(1)
    _, _, theta = scene
    weights, rates = rng.gamma(1.0, 2.0, (30, 3)), rng.gamma(1.0, 2.0, (3, 8))
    mean = np.array([[sum(w * r for w, r in zip(row, rates[:, g], strict=True)) for g in range(8)] for row in weights])
    x = rng.poisson(mean).astype(float)
    own = cycle(*map(torch.as_tensor, (x, weights, rates, theta))).numpy()
    np.testing.assert_allclose(own, deviance(x, mean, theta), atol=1e-9)
    others = cycle(*map(torch.as_tensor, (x, weights[::-1].copy(), rates, theta))).numpy()
    assert own.mean() < others.mean()


def test_its_slope_is_that_of_the_likelihood(scene):
    """Where nothing was counted too."""
    x, mu, theta = scene
    mean = torch.tensor(mu, requires_grad=True)
    nb_deviance(torch.as_tensor(x), mean, torch.as_tensor(theta)).sum().backward()
    wanted = 2 * ((x + theta) / (mu + theta) - x / mu)
    np.testing.assert_allclose(mean.grad.numpy(), wanted, atol=1e-9)


def test_responses_agree_up_to_their_noise():
    rng = np.random.default_rng(0)
    true, noise = rng.normal(size=(400, 50)), rng.gamma(2.0, 1.0, (400, 50))
    observed = true + np.sqrt(noise) * rng.normal(size=true.shape)
    found = response_agreement(*map(torch.as_tensor, (true, observed, noise))).numpy()
    np.testing.assert_allclose(found, (true - observed) ** 2 / noise)
    assert found.mean() == pytest.approx(1, abs=0.05)
    off = response_agreement(*map(torch.as_tensor, (true + 2 * np.sqrt(noise), observed, noise))).numpy()
    assert off.mean() == pytest.approx(5, abs=0.1), "twice the noise beside it"
    predicted = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    response_agreement(predicted, torch.ones(2, 3), torch.full((2, 3), 0.5)).sum().backward()
    np.testing.assert_allclose(predicted.grad, -4)

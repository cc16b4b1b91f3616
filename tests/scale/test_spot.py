"""Cells of a spot: the likelihood rises to its maximum, planted mixtures are found, and spots do not see each other."""

import numpy as np
import pytest
import torch
from scipy.stats import nbinom

from scvcell.scale import _spot, dispersion, platform, shares, spot_weights

KINDS, FEATURES = 4, 60


@pytest.fixture
def scene():
    """Counts of 50 spots, rates, inverse dispersion, true weights."""
    rng = np.random.default_rng(0)
    rates, theta = rng.gamma(0.5, 2.0, (KINDS, FEATURES)), rng.uniform(1, 20, FEATURES)
    weights = rng.dirichlet(np.full(KINDS, 0.5), 50) * rng.uniform(2, 12, (50, 1))
    mu = weights @ rates
    return rng.poisson(mu * rng.gamma(theta, 1 / theta, mu.shape)).astype(float), rates, theta, weights


def likelihood(x, weights, rates, theta):
    """Log-likelihood of each spot, by scipy."""
    mu = np.maximum(weights @ rates, 1e-9)
    return nbinom.logpmf(x, theta, theta / (theta + mu)).sum(1)


def test_the_likelihood_rises_from_step_to_step(scene, monkeypatch):
    x, rates, theta, _ = scene
    found = []
    for steps in (*range(1, 9), 30, 300):
        monkeypatch.setattr(_spot, "MAX_UPDATES", steps)
        found.append(likelihood(x, spot_weights(x, rates, theta), rates, theta))
    steps = np.diff(found, axis=0)
    assert (steps[:7] > -1e-8).all()
    assert (steps.sum(0) > 1).all()


def test_weights_end_at_the_maximum(scene, monkeypatch):
    """Where a weight is above 0 the slope of torch's likelihood is 0, elsewhere it is not above 0."""
    x, rates, theta, _ = scene
    monkeypatch.setattr(_spot, "MAX_UPDATES", 3000)
    monkeypatch.setattr(_spot, "MIN_CHANGE", 1e-12)
    weights = torch.tensor(spot_weights(x, rates, theta), requires_grad=True)
    mu, inverse = weights @ torch.tensor(rates), torch.tensor(theta)
    torch.distributions.NegativeBinomial(inverse, logits=mu.log() - inverse.log()).log_prob(
        torch.tensor(x)
    ).sum().backward()
    slope, found = weights.grad.numpy() / rates.sum(1), weights.detach().numpy()
    assert np.abs(slope[found > 0.05]).max() < 1e-3
    assert slope.max() < 1e-2
    assert (found < 0.05).any(), "there are weights at the edge"


@pytest.mark.parametrize("prior", [None, "even"])
def test_at_the_maximum_nothing_moves(scene, prior):
    """A spot of all kinds alike is where updates begin."""
    _, rates, theta, _ = scene
    rates = rates / rates.sum(1, keepdims=True) * 50
    even = None if prior is None else np.full((1, KINDS), 1 / KINDS)
    found = spot_weights(3 * rates.sum(0, keepdims=True), rates, theta, even)
    np.testing.assert_allclose(found, np.full((1, KINDS), 3), rtol=1e-9)


def test_mixtures_without_noise_are_found(scene):
    _, rates, theta, weights = scene
    weights[0] = [0, 5, 0, 0]
    found = spot_weights(weights @ rates, rates, theta)
    np.testing.assert_allclose(found, weights, atol=0.05)
    assert found[0].argmax() == 1
    assert np.abs(spot_weights(weights @ rates, rates[::-1], theta) - weights).max() > 1, "which kind is which matters"


def test_planted_weights_are_found_through_noise(scene):
    x, rates, theta, weights = scene
    own = np.sqrt(np.mean((shares(spot_weights(x, rates, theta)) - shares(weights)) ** 2))
    mean = np.sqrt(np.mean((shares(weights).mean(0) - shares(weights)) ** 2))
    assert own < 0.4 * mean


@pytest.mark.parametrize("with_prior", [False, True])
def test_spots_do_not_see_each_other(scene, monkeypatch, with_prior):
    x, rates, theta, _ = scene
    rng = np.random.default_rng(1)
    prior = rng.dirichlet(np.ones(KINDS), len(x)) if with_prior else None

    def of(spots, kinds=slice(None)):
        return spot_weights(x[spots], rates[kinds], theta, None if prior is None else prior[spots][:, kinds])

    every = of(np.arange(len(x)))
    np.testing.assert_allclose(np.concatenate([of([r]) for r in range(len(x))]), every, rtol=1e-6, atol=1e-12)
    order, kinds = rng.permutation(len(x)), rng.permutation(KINDS)
    np.testing.assert_allclose(of(order), every[order], rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(of(order, kinds), every[order][:, kinds], rtol=1e-6, atol=1e-12)
    monkeypatch.setattr(_spot, "SPOTS_PER_BLOCK", 7)
    np.testing.assert_allclose(of(np.arange(len(x))), every, rtol=1e-6, atol=1e-12)


def test_a_prior_decides_where_counts_do_not(scene):
    x, rates, theta, _ = scene
    prior = np.tile([0.1, 0.2, 0.3, 0.4], (len(x), 1))
    rates[2] = 0
    plain, with_prior = spot_weights(x, rates, theta), spot_weights(x, rates, theta, prior)
    assert (plain[:, 2] == 0).all()
    assert (shares(with_prior)[:, 2] <= 0.3 + 1e-3).all()
    assert np.isfinite(spot_weights(x, rates, theta, prior, strength=0)).all()
    same = rates.copy()
    same[:] = rates[0]
    np.testing.assert_allclose(shares(spot_weights(x, same, theta, prior, strength=1)), prior, atol=1e-3)
    near, far = (np.abs(shares(spot_weights(x, rates, theta, prior, s)) - prior).mean() for s in (10, 0.01))
    assert near < far / 2


def test_empty_spots(scene):
    _, rates, theta, _ = scene
    for prior in (None, np.full((2, KINDS), 1 / KINDS)):
        found = spot_weights(np.zeros((2, FEATURES)), rates, theta, prior)
        assert (found == 0).all()
        assert (shares(found) == 1 / KINDS).all()
    assert spot_weights(np.zeros((0, FEATURES)), rates, theta).shape == (0, KINDS)


def test_platform_and_dispersion():
    rng = np.random.default_rng(0)
    rates, weights = rng.gamma(2.0, 5.0, (KINDS, FEATURES)), rng.gamma(2.0, 2.0, (400, KINDS))
    m = np.exp(rng.normal(0, 0.7, FEATURES))
    m /= np.exp(np.log(m).mean())
    np.testing.assert_allclose(platform(rng.poisson(m * (weights @ rates)), weights, rates), m, rtol=0.02)
    theta, mu = np.geomspace(0.5, 20, FEATURES), weights[:, :1] * rng.gamma(5.0, 2.0, FEATURES)
    x = rng.poisson(mu * rng.gamma(theta, 1 / theta, mu.shape))
    assert np.abs(np.log(dispersion(x, mu) / theta)).mean() < 0.25
    assert np.median(dispersion(rng.poisson(mu), mu)) > 50

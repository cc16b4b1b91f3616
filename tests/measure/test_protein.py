"""Protein against scipy and Bayes' rule; small and large panels; background priors."""

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.stats as st
import torch
from torch.nn import functional as F

from scvcell.measure import Context, Protein
from scvcell.testing import example_summary

CELLS, LATENT = 10, 3


def setting(features=7):
    """State, context with the operator's own depths, counts with a cell of zeros."""
    torch.manual_seed(3)
    x = torch.poisson(5 * torch.rand(CELLS, features, dtype=torch.float64).exp())
    x[0] = 0
    batch = torch.arange(CELLS) % 2
    ctx = Context(torch.eye(2, dtype=torch.float64)[batch], batch, Protein.size(x))
    return torch.randn(CELLS, LATENT, dtype=torch.float64), ctx, x


def build(features=7, **options):
    torch.manual_seed(0)
    operator = Protein(LATENT, example_summary(features), **options)
    with torch.no_grad():
        for parameter in operator.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return operator.double()


def shift(operator, x):
    """Log geometric mean of each cell relative to the typical one of its batch, for panels above 50 proteins."""
    if x.shape[1] <= 50:
        return np.zeros((len(x), 1))
    typical = operator.typical_depth.numpy()[np.arange(len(x)) % 2]
    return (np.log1p(np.asarray(x)).mean(1) - np.log1p(typical))[:, None]


def heads(operator, z, ctx, x):
    """Parameters of the mixture, computed from the layers."""
    with torch.no_grad():
        fold, logit = operator.mixture(z, ctx.design).chunk(2, -1)
        low = (operator.log_background[ctx.batch] + torch.as_tensor(shift(operator, x))).exp()
        high = low * (1 + F.softplus(fold))
    return low.numpy(), high.numpy(), operator.log_phi.exp().detach().numpy(), logit.numpy()


def mixture_by_scipy(operator, x, z, ctx):
    """Log-densities of background and foreground with their prior weights: pi background, 1 - pi foreground."""
    low, high, phi, logit = heads(operator, z, ctx, x)
    pi = 1 / (1 + np.exp(-logit))
    background = np.log(pi) + st.nbinom.logpmf(x, phi, phi / (phi + low))
    foreground = np.log1p(-pi) + st.nbinom.logpmf(x, phi, phi / (phi + high))
    return background, foreground


@pytest.mark.parametrize("features", [3, 7, 300])
def test_count_head_is_scipys_mixture(features):
    z, ctx, x = setting(features)
    operator = build(features)
    value = operator.predictive(z, ctx).log_prob(x).detach().numpy()
    np.testing.assert_allclose(
        value, np.logaddexp(*mixture_by_scipy(operator, x.numpy(), z, ctx)), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("features", [7, 60])
@pytest.mark.parametrize("masked", [False, True])
def test_log_prob_is_both_heads_over_observed_features(masked, features):
    z, ctx, x = setting(features)
    operator = build(features)
    with torch.no_grad():
        mean = (operator.centre + operator.decoder(z, ctx.design)).numpy() + shift(operator, x)
        sd = F.softplus(operator.log_sd).numpy() + 1e-2
    logs = st.norm.logpdf(np.log1p(x.numpy()), mean, sd)
    expected = logs + np.logaddexp(*mixture_by_scipy(operator, x.numpy(), z, ctx))
    mask = torch.rand(x.shape) > 0.3
    if masked:
        expected = np.where(mask, expected, 0)
    expected = expected.sum(1)
    value = operator.log_prob(x, z, ctx, mask if masked else None).detach()
    np.testing.assert_allclose(value, expected, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("features", [7, 60])
def test_only_the_log_normal_moves_the_state(features):
    z, ctx, x = setting(features)
    operator = build(features)
    state = z.clone().requires_grad_()
    (ours,) = torch.autograd.grad(operator.log_prob(x, state, ctx).sum(), state)
    (gaussian,) = torch.autograd.grad(operator(state, ctx).log_prob(torch.log1p(x)).sum(), state)
    torch.testing.assert_close(ours, gaussian)


def test_foreground_probability_is_bayes_rule():
    z, ctx, x = setting()
    operator = build()
    background, foreground = mixture_by_scipy(operator, x.numpy(), z, ctx)
    posterior = np.exp(foreground - np.logaddexp(background, foreground))
    np.testing.assert_allclose(operator.foreground_probability(z, ctx, x).detach(), posterior, rtol=1e-6, atol=1e-8)
    logit = heads(operator, z, ctx, x)[3]
    np.testing.assert_allclose(operator.foreground_probability(z, ctx).detach(), 1 / (1 + np.exp(logit)), rtol=1e-6)


def test_denoised_removes_the_background():
    z, ctx, x = setting()
    operator = build()
    _, high, _, _ = heads(operator, z, ctx, x)
    expected = operator.foreground_probability(z, ctx, x).detach().numpy() * high
    np.testing.assert_allclose(operator.denoised(z, ctx, x).detach(), expected)


def test_more_counts_mean_more_foreground():
    z, ctx, x = setting()
    operator = build()
    less, more = (operator.foreground_probability(z, ctx, x + step) for step in (0, 5))
    assert (more >= less).all()
    assert (more > less).any()


@pytest.mark.parametrize("features", [7, 60])
def test_unknown_depth_is_that_expected_of_the_state(features):
    z, ctx, _ = setting(features)
    operator = build(features)
    with torch.no_grad():
        offset = operator.size_head(z, ctx.design) if features > 50 else 0
        expected = torch.expm1(operator.centre + operator.decoder(z, ctx.design) + offset).clamp_min(0)
        torch.testing.assert_close(operator.predict(z, ctx.measured(None)), expected)


def test_the_depth_head_learns_depth_from_the_state():
    torch.manual_seed(0)
    operator = Protein(LATENT, example_summary(60, 1))
    n = 500
    z = torch.randn(n, LATENT)
    ctx = Context(torch.ones(n, 1), torch.zeros(n, dtype=torch.long), 3 * torch.exp(0.8 * z[:, 0]))
    optimiser = torch.optim.Adam(operator.parameters(), lr=0.01)
    for _ in range(150):
        optimiser.zero_grad()
        operator.depth_error(z, ctx).mean().backward()
        optimiser.step()
    truth = torch.log1p(ctx.depth) - torch.log1p(operator.typical_depth[0])
    predicted = operator.offset(z, ctx.measured(None)).detach()
    assert torch.corrcoef(torch.stack([truth, predicted]))[0, 1] > 0.95


@pytest.mark.parametrize("fmt", [np.asarray, sp.csr_matrix, sp.csr_array, torch.as_tensor])
def test_size_is_the_total_of_small_and_the_geometric_mean_of_large_panels(fmt):
    rng = np.random.default_rng(0)
    for features in (5, 80):
        x = rng.poisson(3.0, (6, features)).astype(np.float32)
        x[1] = 0
        expected = st.gmean(x + 1, axis=1) - 1 if features > 50 else x.sum(1)
        np.testing.assert_allclose(np.asarray(Protein.size(fmt(x))).ravel(), expected, rtol=1e-5, atol=1e-6)


def test_prediction_is_the_back_transformed_log_mean_and_never_negative():
    z, ctx, _ = setting()
    operator = build()
    with torch.no_grad():
        value, mean = operator.predict(z, ctx), operator.centre + operator.decoder(z, ctx.design)
        np.testing.assert_allclose(value, np.maximum(np.expm1(mean.numpy()), 0))
        operator.centre.fill_(-50)
        assert (operator.predict(z, ctx) == 0).all()


def test_regulariser_is_the_background_prior():
    location, spread = np.linspace(0.5, 3, 7), np.linspace(0.4, 1, 7)
    operator = build(background=location.tolist(), background_sd=spread.tolist())
    beta = operator.log_background.detach().numpy()
    prior = st.norm(location, spread)
    expected = -(prior.logpdf(beta) - prior.logpdf(location)).sum()
    assert operator.regulariser().item() == pytest.approx(expected, rel=1e-6)


def test_background_starts_at_the_prior_in_every_batch():
    location = [0.5, 1.0, 1.5]
    operator = Protein(LATENT, example_summary(3), background=location, background_sd=[0.3] * 3)
    ctx = Context(torch.eye(2), torch.tensor([0, 1]))
    np.testing.assert_allclose(operator.background(ctx).detach(), np.exp([location] * 2), rtol=1e-6)


def test_background_of_the_wrong_length_is_refused():
    with pytest.raises(ValueError, match="background has 2 values; the panel has 8 proteins"):
        Protein(LATENT, example_summary(), background=[1.0, 2.0])


@pytest.mark.parametrize("fmt", [np.asarray, sp.csr_matrix, sp.csr_array])
def test_encoder_input_is_log1p_and_centred_only_for_large_panels(fmt):
    rng = np.random.default_rng(0)
    for features in (3, 50, 51, 300):
        x = rng.poisson(4.0, (5, features)).astype(np.float32)
        logged = np.log1p(x)
        expected = logged - logged.mean(1, keepdims=True) if features > 50 else logged
        np.testing.assert_allclose(Protein.encoder_input(fmt(x), x.mean(0)), expected, rtol=1e-5, atol=1e-6)


def fitted_background(panel, **options):
    """An operator trained on given states; half the cells of a protein are background (mean 4), half carry it (60)."""
    rng = np.random.default_rng(panel)
    n = 200
    carries = rng.random((n, panel)) < 0.5
    y = torch.as_tensor(rng.negative_binomial(5, 5 / (5 + np.where(carries, 60, 4)))).float()
    logs = torch.log1p(y).numpy()
    summary = example_summary(panel, 1)
    summary.mean_log[:] = logs.mean(0)
    summary.sd_log[:] = logs.std(0)
    torch.manual_seed(0)
    operator = Protein(LATENT, summary, **options)
    ctx = Context(torch.ones(n, 1), torch.zeros(n, dtype=torch.long), Protein.size(y))
    summary.depth[:] = float(ctx.depth.median())
    z = torch.randn(n, LATENT)
    optimiser = torch.optim.Adam(operator.parameters(), lr=0.02)
    for _ in range(200):
        optimiser.zero_grad()
        loss = -operator.log_prob(y, z, ctx).mean() + operator.regulariser() / n
        loss.backward()
        optimiser.step()
    probability = operator.foreground_probability(z, ctx, y).detach().numpy()
    return operator, probability, carries


@pytest.mark.parametrize("panel", [3, 300])
def test_learned_background_separates_the_modes_whatever_the_panel(panel):
    operator, probability, carries = fitted_background(panel)
    assert ((probability > 0.5) == carries).mean() > 0.95
    assert abs(np.median(operator.log_background.detach().numpy()) - np.log(4)) < 0.4


def test_tight_prior_holds_the_background():
    operator, _, _ = fitted_background(3, background=[np.log(2.0)] * 3, background_sd=[1e-3] * 3)
    np.testing.assert_allclose(operator.log_background.detach(), np.log(2.0), atol=0.1)

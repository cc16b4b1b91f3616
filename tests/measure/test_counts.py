"""Counts against scipy: the three likelihoods, masks, and what its encoder sees."""

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.stats as st
import torch

from scvcell.measure import Context, Counts, Measurement
from scvcell.testing import example_summary

CELLS, LATENT = 8, 3


@pytest.fixture
def setting():
    """State, context with depths, counts with a cell of zeros."""
    torch.manual_seed(1)
    x = torch.poisson(torch.full((CELLS, 8), 4.0))
    x[2] = 0
    batch = torch.arange(CELLS) % 2
    return torch.randn(CELLS, LATENT), Context(torch.eye(2)[batch], batch, x.sum(1)), x


def build(likelihood="nb"):
    torch.manual_seed(0)
    operator = Counts(LATENT, example_summary(), likelihood=likelihood)
    with torch.no_grad():
        for parameter in operator.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return operator.double()


def by_scipy(operator, x, z, ctx, mask):
    """Log-probability of every entry from scipy's distributions and shares of the measured genes."""
    share = np.exp(operator.decoder(z.double(), ctx.design.double()).detach().numpy())
    rho = share / (share * mask.numpy()).sum(1, keepdims=True)
    mu = ctx.depth.double().numpy()[:, None] * rho + 1e-8
    if operator.likelihood == "poisson":
        return st.poisson.logpmf(x, mu)
    theta = operator.log_theta.exp().detach().numpy()
    value = st.nbinom.logpmf(x, theta, theta / (theta + mu))
    if operator.likelihood == "nb":
        return value
    drop = 1 / (1 + np.exp(-operator.dropout_logit.detach().numpy()))
    return np.where(x == 0, np.log(drop + (1 - drop) * np.exp(value)), np.log1p(-drop) + value)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("likelihood", ["nb", "zinb", "poisson"])
def test_log_prob_is_scipys(setting, likelihood, masked):
    z, ctx, x = setting
    operator = build(likelihood)
    mask = torch.rand(x.shape) > 0.4 if masked else torch.ones(x.shape, dtype=torch.bool)
    expected = np.where(mask, by_scipy(operator, x.numpy(), z, ctx, mask), 0).sum(1)
    wide = Context(ctx.design.double(), ctx.batch, ctx.depth.double())
    value = operator.log_prob(x.double(), z.double(), wide, mask if masked else None)
    np.testing.assert_allclose(value.detach(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("likelihood", ["nb", "zinb", "poisson"])
def test_sparse_counts_and_states_of_some_cells(setting, likelihood, masked):
    z, ctx, x = setting
    operator = build(likelihood).float()
    mask = torch.rand(x.shape) > 0.4 if masked else None
    rows = torch.tensor([5, 0, 5, 2])
    found = operator.log_prob(x.to_sparse(), z[:4], ctx.at(rows), mask, rows=rows)
    expected = operator.log_prob(x[rows], z[:4], ctx.at(rows), None if mask is None else mask[rows])
    torch.testing.assert_close(found, expected)


def test_a_subclass_whose_log_prob_knows_no_rows_is_given_dense_counts():
    class Own(Counts):
        def log_prob(self, x, z, ctx, observed=None):
            return super().log_prob(x, z, ctx, observed)

    class Same(Counts):
        pass

    assert Counts.sparse
    assert Same.sparse
    assert not Own.sparse


def test_kernel_and_distribution_agree_in_value_and_gradient(setting):
    z, ctx, x = setting
    operator = build().float()
    gradients = []
    for log_prob in (Counts.log_prob, Measurement.log_prob):
        state = z.clone().requires_grad_()
        operator.zero_grad()
        value = log_prob(operator, x, state, ctx)
        value.sum().backward()
        gradients.append(
            (value.detach(), state.grad, operator.log_theta.grad.clone(), operator.decoder.out.weight.grad.clone())
        )
    for fast, slow in zip(*gradients, strict=True):
        torch.testing.assert_close(fast, slow, rtol=1e-3, atol=1e-3)


def test_masked_counts_get_no_gradient(setting):
    z, ctx, x = setting
    operator = build().float()
    mask = torch.ones_like(x, dtype=torch.bool)
    mask[:, 3] = False
    operator.log_prob(x, z, ctx, mask).sum().backward()
    assert operator.log_theta.grad[3] == 0
    assert (operator.log_theta.grad[:3] != 0).all()


def test_frequencies_sum_to_one_and_expected_counts_to_depth(setting):
    z, ctx, _ = setting
    operator = build().float()
    torch.testing.assert_close(operator.frequency(z, ctx).sum(1), torch.ones(CELLS))
    torch.testing.assert_close(operator(z, ctx).mean.sum(1), ctx.depth, rtol=1e-4, atol=1e-4)
    unknown = ctx.measured(None)
    torch.testing.assert_close(operator(z, unknown).mean.sum(1), operator.depth(unknown, z), rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        for parameter in (operator.size_head.out.weight, operator.size_head.out.bias, operator.size_head.context_bias):
            parameter.zero_()
    typical = operator.typical_depth[ctx.batch]
    torch.testing.assert_close(operator(z, unknown).mean.sum(1), typical, rtol=1e-4, atol=1e-4)


def test_log1p_of_the_prediction_is_its_expectation(setting):
    z, ctx, _ = setting
    operator = build().float()
    torch.manual_seed(0)
    drawn = torch.log1p(operator(z, ctx).sample((20_000,))).mean(0)
    torch.testing.assert_close(torch.log1p(operator.predict(z, ctx)), drawn, atol=0.03, rtol=0.03)


def test_depth_is_learned_from_the_state_without_moving_it(setting):
    z, ctx, _ = setting
    z, operator = z.float().requires_grad_(), build().float()
    operator.depth_error(z, ctx).sum().backward()
    assert z.grad is None
    assert operator.size_head.out.weight.grad.abs().sum() > 0
    assert operator.depth_error(z, ctx.measured(None)).sum() == 0


def test_untrained_frequencies_start_at_the_mean_profile():
    torch.manual_seed(0)
    summary = example_summary(200)
    operator = Counts(LATENT, summary)
    rho = operator.frequency(torch.zeros(1, LATENT), Context(torch.eye(2)[:1], torch.tensor([0]))).detach().numpy()[0]
    assert np.corrcoef(np.log(rho), np.log(summary.mean))[0, 1] > 0.9


def test_encoder_input_is_the_root_of_shares_over_the_eighth_root_of_their_mean():
    rng = np.random.default_rng(0)
    x = rng.poisson(rng.gamma(0.3, 2.0, 40), (60, 40)).astype(np.float32)
    x[1] = 0
    before, mean = x.copy(), x.mean(0)
    typical = np.maximum(mean / mean.sum(), 1e-8)
    expected = np.sqrt(x / np.maximum(x.sum(1, keepdims=True), 1)) / typical**0.125
    for fmt in (np.asarray, sp.csr_matrix, sp.csr_array):
        given = fmt(x)
        value = Counts.encoder_input(given, mean)
        np.testing.assert_allclose(value.toarray() if sp.issparse(value) else value, expected, rtol=1e-4)
        np.testing.assert_array_equal(given.toarray() if sp.issparse(given) else given, before)


def test_unknown_likelihood_is_refused():
    with pytest.raises(ValueError, match="'nb', 'zinb' or 'poisson', not 'gauss'"):
        Counts(LATENT, example_summary(), likelihood="gauss")

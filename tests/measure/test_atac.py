"""Chromatin: the likelihoods against scipy, sparse like dense, and what its encoder sees."""

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.stats as st
import torch

from scvcell.measure import Atac, Context, _atac
from scvcell.testing import example_summary

CELLS, PEAKS, RANK, LATENT = 9, 23, 4, 3


@pytest.fixture
def problem():
    torch.manual_seed(0)
    h = torch.randn(CELLS, RANK, dtype=torch.float64, requires_grad=True)
    v = torch.randn(PEAKS, RANK, dtype=torch.float64, requires_grad=True)
    return h, v, torch.randn(CELLS, dtype=torch.float64)


@pytest.mark.parametrize("likelihood", ["poisson", "bernoulli"])
def test_training_on_many_peaks_samples_them(monkeypatch, likelihood):
    """Sampled in training, on average what prediction has exactly; one cell may have several states, or none."""
    torch.manual_seed(2)
    operator = Atac(LATENT, example_summary(), likelihood=likelihood)
    with torch.no_grad():
        for parameter in operator.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    x = torch.poisson(torch.full((CELLS, 8), 0.8)).clamp_max(1)
    rows = torch.tensor([4, 0, 0, 7])
    ctx = Context(torch.eye(2)[[0, 1, 1, 0]], torch.tensor([0, 1, 1, 0]), x.sum(1)[rows] + 1)
    z = torch.randn(len(rows), LATENT)
    exact = operator.log_prob(x.to_sparse(), z, ctx, rows=rows).detach()
    torch.testing.assert_close(exact, operator.log_prob(x[rows], z, ctx).detach())
    monkeypatch.setattr(_atac, "MAX_EXACT_PEAKS", 7)
    monkeypatch.setattr(_atac, "DRAWN_PEAKS", 500)
    with torch.no_grad():
        found = torch.stack([operator.log_prob(x.to_sparse(), z, ctx, rows=rows) for _ in range(20)])
        assert (found.std(0) > 0).all()
        torch.testing.assert_close(found.mean(0), exact, atol=0.05, rtol=0)
        torch.testing.assert_close(operator.eval().log_prob(x.to_sparse(), z, ctx, rows=rows), exact)


@pytest.mark.parametrize("likelihood", ["poisson", "bernoulli"])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_log_prob_is_scipys(likelihood, sparse, masked):
    torch.manual_seed(1)
    operator = Atac(LATENT, example_summary(), likelihood=likelihood).double()
    with torch.no_grad():
        for parameter in operator.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    x = torch.poisson(torch.full((CELLS, 8), 0.8, dtype=torch.float64))
    x[2] = 0
    x = x.clamp_max(1) if likelihood == "bernoulli" else x
    mask = torch.rand(CELLS, 8) > 0.3 if masked else torch.ones(CELLS, 8, dtype=torch.bool)
    batch = torch.arange(CELLS) % 2
    ctx = Context(torch.eye(2, dtype=torch.float64)[batch], batch, x.sum(1) + 1)
    z = torch.randn(CELLS, LATENT, dtype=torch.float64)
    share = np.exp(operator.decoder(z, ctx.design).detach().numpy()) * mask.numpy()
    rate = ctx.depth.numpy()[:, None] * share / share.sum(1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        each = st.poisson.logpmf(x, rate) if likelihood == "poisson" else st.bernoulli.logpmf(x, -np.expm1(-rate))
    expected = np.where(mask, each, 0).sum(1)
    value = operator.log_prob(x.to_sparse() if sparse else x, z, ctx, mask if masked else None)
    np.testing.assert_allclose(value.detach(), expected, rtol=1e-6, atol=1e-6)


def test_open_peaks_are_told_among_all_as_at_their_entries(problem):
    h, v, log_scale = problem
    x, rows = torch.poisson(torch.full((6, PEAKS), 0.5, dtype=torch.float64)), torch.randint(6, (CELLS,))
    x[3] = 0
    found = []
    for way in (_atac._opened_at_entries, _atac._opened_among_all):
        value = way(x.to_sparse(), rows, h, v, log_scale)
        found.append((value, *torch.autograd.grad(value.square().sum(), (h, v))))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_encoder_input_is_regularised_correspondence_analysis():
    rng = np.random.default_rng(0)
    x = rng.poisson(0.5, (30, 12)).astype(np.float32)
    x[4] = 0
    mean = x.mean(0)
    opened = x > 0
    share = mean / mean.sum()
    expected = opened / np.sqrt(share + 1 / 12) / np.sqrt(np.maximum(opened.sum(1, keepdims=True), 1))
    with_zeros = sp.csr_matrix(x)
    with_zeros[0, np.flatnonzero(x[0])[0]] = 0  # stays as an explicit zero
    np.testing.assert_allclose(Atac.encoder_input(x, mean), expected, rtol=1e-5)
    dense = with_zeros.toarray()
    np.testing.assert_allclose(
        Atac.encoder_input(with_zeros, mean).toarray(), Atac.encoder_input(dense, mean), rtol=1e-5
    )


def test_depth_alone_does_not_move_the_trivial_axis():
    """Cells that differ in depth only differ along one direction, which the front-end leaves out."""
    rng = np.random.default_rng(0)
    share = rng.dirichlet(np.ones(400))
    u = Atac.trivial(share.astype(np.float32))
    x = rng.random((300, 400)) < -np.expm1(-rng.uniform(20, 200, (300, 1)) * share)
    value = Atac.encoder_input(x.astype(np.float32), x.mean(0).astype(np.float32))
    along = value @ u / np.linalg.norm(u)
    rest = value - np.outer(along, u / np.linalg.norm(u))
    depth = np.log(x.sum(1))
    assert np.corrcoef(along, depth)[0, 1] > 0.9
    left, _, _ = np.linalg.svd(rest - rest.mean(0), full_matrices=False)
    assert np.abs(np.corrcoef(np.column_stack([left[:, :3], depth]).T)[-1, :3]).max() < 0.4


def test_unknown_likelihood_is_refused():
    with pytest.raises(ValueError, match="'poisson' or 'bernoulli'"):
        Atac(LATENT, example_summary(), likelihood="gaussian")

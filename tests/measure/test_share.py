"""Shares of a depth, and the normaliser over many features, against float64 autograd and the softmax."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from scvcell.measure import Context, Counts, _share
from scvcell.measure._share import LogTotal, only, sampled_total, shares
from scvcell.testing import example_summary

CELLS, PEAKS, RANK, LATENT = 9, 23, 4, 3


@pytest.fixture
def problem():
    torch.manual_seed(0)
    h = torch.randn(CELLS, RANK, dtype=torch.float64, requires_grad=True)
    v = torch.randn(PEAKS, RANK, dtype=torch.float64, requires_grad=True)
    return h, v, torch.randn(CELLS, dtype=torch.float64)


@pytest.mark.parametrize("block", [1, 3 * PEAKS, 1 << 20])
@pytest.mark.parametrize("masked", [False, True])
def test_total_is_autograd(problem, monkeypatch, block, masked):
    monkeypatch.setattr(_share, "ENTRIES_PER_BLOCK", block)
    h, v, weight = problem
    mask = torch.rand(CELLS, PEAKS) > 0.3 if masked else None
    value = LogTotal.apply(h, v, mask)
    ours = torch.autograd.grad((weight * value).sum(), (h, v))
    logits = h @ v.T
    plain = torch.logsumexp(logits if mask is None else logits.masked_fill(~mask, -1e4), 1)
    theirs = torch.autograd.grad((weight * plain).sum(), (h, v))
    torch.testing.assert_close(value, plain)
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("masked", [False, True])
def test_sampled_total_is_unbiased_in_value_and_gradient(problem, masked):
    h, v, weight = problem
    mask = torch.rand(CELLS, PEAKS) > 0.3 if masked else None
    frequency = torch.rand(PEAKS) + 0.2
    total = LogTotal.apply(h, v, mask)
    expected = torch.autograd.grad((weight * total).sum(), (h, v))
    found = torch.stack([sampled_total(h, v, frequency, 2_000, mask) for _ in range(20)]).mean(0)
    torch.testing.assert_close(found, total, atol=5e-3, rtol=0)
    for ours, theirs in zip(torch.autograd.grad((weight * found).sum(), (h, v)), expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-2, rtol=2e-2)


def test_a_sample_in_proportion_to_the_shares_is_exact():
    """Whatever is drawn, each draw then stands for the same share."""
    h, v = torch.zeros(2, RANK + 1, dtype=torch.float64), torch.randn(PEAKS, RANK + 1, dtype=torch.float64)
    h[:, 0] = 1
    total = torch.logsumexp(v[:, 0], 0)
    for n in (1, 5):
        torch.testing.assert_close(sampled_total(h, v, v[:, 0].exp(), n), total.expand(2))


@pytest.mark.parametrize("masked", [False, True])
def test_shares_are_the_softmax_of_what_was_observed(masked):
    logits = torch.randn(CELLS, PEAKS, dtype=torch.float64)
    observed = torch.rand(CELLS, PEAKS) > 0.3 if masked else None
    found = shares(logits, observed)
    plain = logits.exp() if observed is None else logits.exp() * observed
    keep = torch.ones_like(plain, dtype=torch.bool) if observed is None else observed
    torch.testing.assert_close(found[keep], (plain / plain.sum(1, keepdim=True))[keep])


def test_no_shift_is_none_and_a_shift_leaves_the_depth():
    torch.manual_seed(0)
    operator = Counts(LATENT, example_summary())
    z, batch = torch.randn(CELLS, LATENT), torch.arange(CELLS) % 2
    ctx = Context(torch.eye(2)[batch], batch, torch.full((CELLS,), 50.0))
    with torch.no_grad():
        plain, same = operator(z, ctx).mean, operator.shifted(z, ctx, torch.zeros(8)).mean
        moved = operator.shifted(z, ctx, torch.eye(8)[2]).mean
    torch.testing.assert_close(same, plain)
    torch.testing.assert_close(moved.sum(1), ctx.depth)
    odds, before = (mean[:, 2] / (50 - mean[:, 2]) for mean in (moved, plain))
    torch.testing.assert_close(odds / before, torch.full((CELLS,), np.e, dtype=torch.float32), rtol=1e-4, atol=1e-4)


def test_roots_of_shares_of_a_given_depth():
    """Of a fourth of the counts the roots are half; a depth below the sum of the counts is that sum."""
    x = np.random.default_rng(0).poisson(3.0, (5, 8)).astype(np.float32)
    total, mean = x.sum(1), x.mean(0)
    whole = Counts.encoder_input(x, mean)
    for fmt in (np.asarray, sp.csr_matrix):
        found = Counts.encoder_sized(fmt(x), mean, 4 * total)
        np.testing.assert_allclose(found.toarray() if sp.issparse(found) else found, whole / 2, rtol=1e-5)
    np.testing.assert_allclose(Counts.encoder_sized(x, mean, total / 2), whole, rtol=1e-6)


def test_without_a_rest_nothing_is_beside_the_features():
    operator = Counts(LATENT, example_summary())
    with pytest.raises(RuntimeError, match="depth is that of the features"):
        operator.beside(torch.zeros(1, 8), torch.zeros(1, LATENT), Context(torch.eye(2)[:1], torch.tensor([0])), None)


def test_what_was_not_observed_counts_as_zero_dense_or_sparse():
    x, observed = torch.poisson(torch.full((5, 7), 1.0)), torch.rand(5, 7) > 0.5
    found = only(x.to_sparse(), observed)
    assert found.is_coalesced()
    assert torch.equal(found.to_dense(), x * observed)
    assert torch.equal(only(x, observed), x * observed)

"""The NB kernel against scipy and against float64 autograd of scvi-tools' negative binomial."""

import numpy as np
import pytest
import scipy.stats as st
import torch
from scvi.distributions import NegativeBinomial

from scvcell.measure import _nb
from scvcell.measure._nb import NBSoftmax, dense


def problem(cells=9, genes=11, *, mean=3.0, seed=0, dtype=torch.float64):
    """Random logits, dispersions, counts (a fifth of the genes silent) and depths."""
    rng = torch.Generator().manual_seed(seed)
    eta = torch.randn(cells, genes, generator=rng, dtype=dtype).requires_grad_()
    log_theta = torch.randn(genes, generator=rng, dtype=dtype).requires_grad_()
    x = torch.poisson(torch.full((cells, genes), mean, dtype=dtype), generator=rng)
    x[:, ::5] = 0
    x[0] = 0
    return eta, log_theta, x, x.sum(1).clamp_min(1) + 3


def scipy_value(eta, log_theta, x, depth):
    rate = np.exp(eta - eta.max(1, keepdims=True))
    mu = depth[:, None] * rate / rate.sum(1, keepdims=True)
    theta = np.exp(log_theta)
    return st.nbinom.logpmf(x, theta, theta / (theta + mu)).sum(1)


@pytest.mark.parametrize(("cells", "genes", "mean"), [(9, 11, 3.0), (5, 1, 2.0), (3, 200, 0.05), (4, 7, 2000.0)])
def test_value_is_scipys(cells, genes, mean):
    args = problem(cells, genes, mean=mean)
    expected = scipy_value(*(a.detach().numpy() for a in args))
    np.testing.assert_allclose(NBSoftmax.apply(*args).detach(), expected, rtol=1e-9)


def test_cell_of_zeros_has_the_probability_of_no_count():
    eta, log_theta, x, depth = problem()
    value = NBSoftmax.apply(eta, log_theta, x, depth)[0]
    mu, theta = depth[0] * torch.softmax(eta[0], -1), log_theta.exp()
    torch.testing.assert_close(value, (theta * (theta / (theta + mu)).log()).sum())


@pytest.mark.parametrize("mean", [0.1, 3.0, 500.0])
def test_gradient_is_autograds(mean):
    eta, log_theta, x, depth = problem(mean=mean)
    upstream = torch.linspace(-1, 2, len(x), dtype=torch.float64)
    ours = torch.autograd.grad((NBSoftmax.apply(eta, log_theta, x, depth) * upstream).sum(), (eta, log_theta))
    mu = depth[:, None] * torch.softmax(eta, -1)
    reference = NegativeBinomial(mu=mu, theta=log_theta.exp().expand_as(mu), validate_args=False).log_prob(x).sum(-1)
    theirs = torch.autograd.grad((reference * upstream).sum(), (eta, log_theta))
    for mine, truth in zip(ours, theirs, strict=True):
        # scvi adds 1e-8 inside its logarithms
        torch.testing.assert_close(mine, truth, rtol=1e-6, atol=1e-5)


def test_gradcheck():
    eta, log_theta, x, depth = problem(4, 5)
    assert torch.autograd.gradcheck(lambda e, t: NBSoftmax.apply(e, t, x, depth), (eta, log_theta), eps=1e-6, atol=1e-6)


def test_single_gene_has_no_gradient_in_its_logit():
    eta, log_theta, x, depth = problem(6, 1)
    grad_eta, grad_theta = torch.autograd.grad(NBSoftmax.apply(eta, log_theta, x, depth).sum(), (eta, log_theta))
    assert grad_eta.abs().max() < 1e-12
    assert torch.isfinite(grad_theta).all()


def test_depth_of_zero_stays_finite():
    eta, log_theta, x, _ = problem()
    value = NBSoftmax.apply(eta, log_theta, torch.zeros_like(x), torch.zeros(len(x), dtype=x.dtype))
    grads = torch.autograd.grad(value.sum(), (eta, log_theta))
    torch.testing.assert_close(value, torch.zeros_like(value), atol=1e-6, rtol=0)
    assert all(torch.isfinite(g).all() for g in grads)


def test_float32_keeps_four_digits_of_float64():
    eta, log_theta, x, depth = problem(20, 50, mean=20.0)
    exact = NBSoftmax.apply(eta, log_theta, x, depth)
    single = NBSoftmax.apply(eta.float(), log_theta.float(), x.float(), depth.float())
    torch.testing.assert_close(single.double(), exact, rtol=1e-4, atol=1e-2)
    (g64,) = torch.autograd.grad(exact.sum(), eta)
    e32 = eta.detach().float().requires_grad_()
    (g32,) = torch.autograd.grad(NBSoftmax.apply(e32, log_theta.detach().float(), x.float(), depth.float()).sum(), e32)
    torch.testing.assert_close(g32.double(), g64, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("mean", [0.3, 6.0, 400.0])
@pytest.mark.parametrize("as_sparse", [False, True], ids=["dense", "sparse"])
def test_states_of_some_cells_in_any_order(mean, as_sparse):
    """Several states of one cell, and none of another: as if the counts had been repeated."""
    _, log_theta, x, depth = problem(mean=mean)
    rows = torch.tensor([3, 3, 8, 1, 0, 3, 5])
    eta = torch.randn(len(rows), x.shape[1], dtype=torch.float64).requires_grad_()
    upstream = torch.linspace(-1, 2, len(rows), dtype=torch.float64)
    found = NBSoftmax.apply(eta, log_theta, x.to_sparse() if as_sparse else x, depth[rows], rows)
    np.testing.assert_allclose(
        found.detach(), scipy_value(*(a.detach().numpy() for a in (eta, log_theta, x[rows], depth[rows]))), rtol=1e-9
    )
    ours = torch.autograd.grad((found * upstream).sum(), (eta, log_theta))
    repeated = NBSoftmax.apply(eta, log_theta, x[rows], depth[rows])
    for mine, truth in zip(ours, torch.autograd.grad((repeated * upstream).sum(), (eta, log_theta)), strict=True):
        torch.testing.assert_close(mine, truth, rtol=1e-9, atol=1e-9)


def test_table_and_gamma_functions_agree_up_to_the_border_and_beyond(monkeypatch):
    eta, log_theta, x, depth = problem(mean=float(_nb.TABLED))
    x[1, :3] = torch.tensor([_nb.TABLED, _nb.TABLED + 1, 0])
    x[2, 1] = 2.5  # no count, but neither is it 2

    def found():
        value = NBSoftmax.apply(eta, log_theta, x, depth)
        return value, *torch.autograd.grad(value.sum(), (eta, log_theta))

    tabled = found()
    monkeypatch.setattr(_nb, "TABLED", 0)
    for one, other in zip(tabled, found(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("log_theta", "value_off", "theta_off"), [(-3, 3e-6, 1e-6), (1, 3e-6, 5e-6), (8, 5e-5, None)])
def test_how_good_single_precision_is(log_theta, value_off, theta_off):
    """Largest relative errors. Of genes that hardly vary beyond Poisson, nothing is left of the slope in theta."""
    rng = torch.Generator().manual_seed(1)
    eta = torch.randn(64, 300, generator=rng, dtype=torch.float64)
    log_theta = torch.full((300,), float(log_theta), dtype=torch.float64)
    x = torch.poisson(2 * torch.softmax(eta, 1) * 300, generator=rng)
    results = []
    for dtype in (torch.float64, torch.float32):
        e, t = eta.to(dtype).requires_grad_(), log_theta.to(dtype).requires_grad_()
        value = NBSoftmax.apply(e, t, x.to(dtype), x.sum(1).to(dtype))
        results.append((value.detach(), *torch.autograd.grad(value.sum(), (e, t))))
    (value, grad_eta, grad_theta), single = results
    assert float(((single[0] - value) / value).abs().max()) < value_off
    assert float((single[1] - grad_eta).abs().max() / grad_eta.abs().max()) < 1e-6
    off = (single[2] - grad_theta).abs().max()
    assert float(off / grad_theta.abs().max()) < theta_off if theta_off else float(off) < 0.02


def test_sparse_values_as_dense_ones():
    x = torch.poisson(torch.full((4, 6), 0.5))
    assert torch.equal(dense(x.to_sparse()), x)
    assert dense(x) is x

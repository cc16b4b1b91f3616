"""Product of experts: closed form, and uncertainty that never grows."""

import numpy as np
import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from scvcell.state._posterior import Posterior, fuse

CELLS, LATENT = 40, 5
LIKE = torch.zeros(0, dtype=torch.float64)


def expert(rows, seed):
    rng = torch.Generator().manual_seed(seed)
    shape = (len(rows), LATENT)
    mean = torch.randn(shape, generator=rng, dtype=torch.float64)
    # variances from 1e-4 to 1e4
    return rows, Posterior(mean, 10 ** (8 * torch.rand(shape, generator=rng, dtype=torch.float64) - 4))


def some_rows(share, seed):
    return torch.from_numpy(np.flatnonzero(np.random.default_rng(seed).random(CELLS) < share))


def normal(posterior):
    return Independent(Normal(posterior.mean, posterior.var.sqrt()), 1)


def test_closed_form():
    experts = [expert(some_rows(0.6, s), s) for s in range(3)]
    fused = fuse(CELLS, experts, LIKE, LATENT)
    for cell in range(CELLS):
        precision, weighted = np.ones(LATENT), np.zeros(LATENT)
        for rows, q in experts:
            for at in np.flatnonzero(rows.numpy() == cell):
                precision += 1 / q.var[at].numpy()
                weighted += q.mean[at].numpy() / q.var[at].numpy()
        np.testing.assert_allclose(fused.var[cell], 1 / precision)
        np.testing.assert_allclose(fused.mean[cell], weighted / precision)


def test_two_experts_multiply_as_densities():
    """The fused log-density and the sum of prior and experts differ by a constant."""
    rows = torch.arange(CELLS)
    a, b = expert(rows, 1), expert(rows, 2)
    fused = fuse(CELLS, [a, b], LIKE, LATENT)
    points = torch.randn(7, CELLS, LATENT, dtype=torch.float64)
    prior = Posterior(torch.zeros(CELLS, LATENT, dtype=torch.float64), torch.ones(CELLS, LATENT, dtype=torch.float64))
    product = sum(normal(q).log_prob(points) for q in (prior, a[1], b[1]))
    difference = normal(fused).log_prob(points) - product
    torch.testing.assert_close(difference, difference[:1].expand_as(difference), rtol=1e-8, atol=1e-6)


def test_cells_without_experts_have_the_prior():
    fused = fuse(4, [expert(torch.tensor([1, 2]), 0)], LIKE, LATENT)
    assert (fused.mean[[0, 3]] == 0).all()
    assert (fused.var[[0, 3]] == 1).all()


def test_order_of_experts_does_not_matter():
    experts = [expert(some_rows(0.7, s), s) for s in range(3)]
    for one, other in zip(fuse(CELLS, experts, LIKE, LATENT), fuse(CELLS, experts[::-1], LIKE, LATENT), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("seed", range(5))
def test_an_expert_never_increases_a_variance(seed, dtype):
    experts = []
    before = torch.ones(CELLS, LATENT, dtype=dtype)
    for s in range(5):
        rows, q = expert(some_rows(0.7, 10 * seed + s), 10 * seed + s)
        experts.append((rows, Posterior(q.mean.to(dtype), q.var.to(dtype))))
        after = fuse(CELLS, experts, LIKE.to(dtype), LATENT).var
        assert (after <= before).all()
        before = after


def test_on_real_data_no_modality_increases_the_uncertainty_of_any_cell(pbmc):
    mdata, model = pbmc.mdata, pbmc.model
    joint = model.posterior(mdata).var
    assert (joint <= 1).all()
    for name in model.schema.modalities:
        alone = model.posterior(mdata, modalities=[name]).var
        assert (alone <= 1).all()
        assert (joint <= alone).all()
        other = next(m for m in model.schema.modalities if m != name)
        has_other = model.view(mdata).present(other)
        assert (joint[has_other] < alone[has_other]).all(), "an assay that is there must add something"


def test_kl_is_torchs():
    p, q = (expert(torch.arange(CELLS), s)[1] for s in (1, 2))
    prior = Independent(Normal(torch.zeros_like(p.mean), 1.0), 1)
    torch.testing.assert_close(p.kl(), kl_divergence(normal(p), prior))
    torch.testing.assert_close(p.kl_to(q), kl_divergence(normal(p), normal(q)))
    assert (p.kl_to(p) == 0).all()


def test_samples_have_the_moments_of_the_posterior():
    torch.manual_seed(0)
    q = Posterior(torch.tensor([[1.0, -2.0]]).expand(20000, 2), torch.tensor([[4.0, 0.25]]).expand(20000, 2))
    draws = q.sample()
    torch.testing.assert_close(draws.mean(0), q.mean[0], atol=0.06, rtol=0)
    torch.testing.assert_close(draws.var(0), q.var[0], atol=0, rtol=0.05)


def test_at_picks_cells():
    q = expert(torch.arange(CELLS), 1)[1]
    some = q.at(torch.tensor([3, 1]))
    assert torch.equal(some.mean, q.mean[[3, 1]])
    assert torch.equal(some.var, q.var[[3, 1]])

"""Mixtures are sums of the cells that they say, and the network that reads them knows their compositions."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from scvcell.scale import CompositionPrior, _amortise, mix
from scvcell.scale._amortise import scaled

KIND = np.repeat([0, 1, 3], [30, 5, 15])
"""Kinds of 50 cells; there is none of the third and of the last kind."""


def test_mixtures_are_sums_of_cells_of_the_kinds_that_they_say():
    cells = sp.csr_matrix(np.eye(len(KIND)))
    found = mix(cells, KIND, 5, 6.0, 300, np.random.default_rng(0))
    taken = found.counts.toarray()
    assert np.array_equal(taken, taken.round())
    size = taken.sum(1)
    assert size.min() >= 1
    assert abs(size.mean() - 6) < 0.6
    by_kind = np.stack([taken[:, k == KIND].sum(1) for k in range(5)], 1)
    np.testing.assert_allclose(by_kind / size[:, None], found.shares)
    np.testing.assert_allclose(found.shares.sum(1), 1)
    assert (taken.sum(0) > 0).all(), "every cell is drawn"
    assert (found.shares[:, [2, 4]] == 0).all(), "kinds without cells are not"
    assert (found.shares == 1).any(1).mean() > 0.05, "some are of one kind"
    assert ((found.shares > 0).sum(1) == 3).mean() > 0.05, "some are of all"
    np.testing.assert_allclose(found.shares.mean(0), [0.6, 0.1, 0, 0.3, 0], atol=0.07)


def test_mixtures_of_few_cells_and_few_kinds():
    rng = np.random.default_rng(0)
    one = mix(sp.csr_matrix(np.eye(50)), KIND, 5, 1e-6, 100, rng)
    assert (one.counts.sum(1) == 1).all()
    only = mix(sp.csr_matrix(np.ones((4, 2))), np.full(4, 1), 3, 5.0, 50, rng)
    assert (only.shares == [0, 1, 0]).all()
    again = [mix(sp.csr_matrix(np.eye(50)), KIND, 5, 4.0, 20, np.random.default_rng(s)).shares for s in (3, 3, 4)]
    np.testing.assert_array_equal(again[0], again[1])
    assert (again[0] != again[2]).any()


def test_scaled_counts_do_not_know_depth():
    x = np.array([[1.0, 3.0], [0.0, 0.0]])
    np.testing.assert_allclose(scaled(x).numpy(), np.log1p([[250, 750], [0, 0]]), rtol=1e-6)
    np.testing.assert_allclose(scaled(sp.csr_matrix(7 * x)), scaled(x), rtol=1e-6)


@pytest.fixture(scope="module")
def cells():
    """Counts of 120 cells of 3 kinds, which differ threefold in a third of 45 features each."""
    rng = np.random.default_rng(0)
    kind = rng.integers(3, size=120)
    rates = rng.gamma(2.0, 0.5, 45) * np.where(np.equal.outer(kind, np.arange(45) % 3), 3, 1)
    return sp.csr_matrix(rng.poisson(rates).astype(float)), kind


@pytest.fixture(scope="module")
def prior(cells):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_amortise, "N_STEPS", 150)
        return CompositionPrior.fit(*cells, 4, 6.0, seed=0)


def test_the_prior_finds_planted_compositions(cells, prior):
    mixtures = mix(*cells, 4, 6.0, 400, np.random.default_rng(9))
    found = prior.mean(mixtures.counts)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-6)

    def off(shares):
        return np.sqrt(((shares - mixtures.shares) ** 2).mean())

    assert off(found) < 0.6 * off(mixtures.shares.mean(0))
    assert off(found[np.random.default_rng(0).permutation(400)]) > off(mixtures.shares.mean(0))
    assert (found[:, 3] < 0.05).all(), "the last kind has no cells"
    np.testing.assert_allclose(prior.mean(mixtures.counts[:1].toarray()), found[:1], rtol=1e-5)


def test_a_seed_is_one_prior_and_draws_of_others_are_left_alone(cells, prior, monkeypatch):
    monkeypatch.setattr(_amortise, "N_STEPS", 150)
    before = torch.random.get_rng_state()
    again = CompositionPrior.fit(*cells, 4, 6.0, seed=0)
    assert torch.equal(torch.random.get_rng_state(), before)
    np.testing.assert_array_equal(again.mean(cells[0]), prior.mean(cells[0]))
    monkeypatch.setattr(_amortise, "N_STEPS", 5)
    one, other = (CompositionPrior.fit(*cells, 4, 6.0, seed=seed).mean(cells[0]) for seed in (0, 1))
    assert (one != other).any()
    assert not again.training
    assert again.state_dict()["spread"].shape == (45,)

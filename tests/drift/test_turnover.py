"""Velocities from what is made and what decays, on rates of which the field is known."""

from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from scvcell._containers import Matrix
from scvcell.drift import _turnover


@pytest.fixture
def rates():
    """Slopes of 12 genes along 3 ways, at right angles in each of 50 cells, and steps in them."""
    rng = np.random.default_rng(0)
    ones = np.ones((50, 12, 1))
    slopes = 2 * np.linalg.qr(np.concatenate([ones, rng.normal(size=(50, 12, 3))], 2))[0][..., 1:]
    return slopes, 0.05 * rng.normal(size=(50, 3)), rng.gamma(5.0, 0.2, 12)


def test_balance_solves_the_equation_of_labelling(rates):
    slopes, steps, decay = rates
    made = decay + (slopes @ steps[..., None])[..., 0]
    found, steady = _turnover._balance(slopes, made, False, np.ones(12), decay)
    np.testing.assert_allclose(found, steps, atol=1e-10)
    np.testing.assert_allclose(steady, decay, atol=1e-10)
    blind, steady = _turnover._balance(slopes, made, False, np.ones(12), np.median(made, 0))
    assert np.abs(blind - steps).mean() < 0.3 * np.abs(steps).mean()
    np.testing.assert_allclose(steady, decay, rtol=0.03)


def test_balance_of_splicing_does_not_see_what_scales_a_gene(rates):
    slopes, steps, ratio = rates
    made = ratio * (1 + (slopes @ steps[..., None])[..., 0])
    found, steady = _turnover._balance(slopes, made, True, np.ones(12), ratio)
    np.testing.assert_allclose(found, steps, atol=1e-10)
    np.testing.assert_allclose(steady, ratio, atol=1e-10)
    scale = np.geomspace(0.1, 10, 12)
    one = _turnover._balance(slopes, made, True, np.ones(12), np.median(made, 0))
    other = _turnover._balance(slopes, made * scale, True, np.ones(12), np.median(made * scale, 0))
    np.testing.assert_allclose(other[0], one[0], atol=1e-10)
    np.testing.assert_allclose(other[1], one[1] * scale)


def test_a_gene_counts_as_often_as_it_was_drawn_and_a_change_of_all_alike_does_not(rates):
    slopes, steps, decay = rates
    made = decay + (slopes @ steps[..., None])[..., 0] + np.random.default_rng(1).normal(0, 0.1, (50, 12))
    twice = [*range(12), 0, 0, 5]
    weight = np.ones(12)
    weight[[0, 5]] = 3, 2
    one, _ = _turnover._balance(slopes, made, False, weight, decay)
    other, _ = _turnover._balance(slopes[:, twice], made[:, twice], False, np.ones(15), decay[twice])
    np.testing.assert_allclose(other, one, atol=1e-10)
    common = np.random.default_rng(2).normal(size=(50, 1, 3))
    np.testing.assert_allclose(_turnover._balance(slopes + common, made, False, weight, decay)[0], one, atol=1e-10)


def test_genes_need_counts_of_both_kinds():
    rng = np.random.default_rng(3)
    mature, nascent = rng.poisson(2, (20, 30)), rng.poisson(2, (20, 30))
    mature[:, ::3], nascent[:, 1::3] = 0, 0
    for held in (np.asarray, sp.csr_matrix):
        readout = SimpleNamespace(matrix=Matrix(held(np.concatenate([mature, nascent], 1))), rows=np.arange(20))
        fewer = np.minimum(mature.sum(0), nascent.sum(0))
        np.testing.assert_array_equal(_turnover._genes(readout), np.flatnonzero(fewer >= 20))
    readout.rows = np.arange(5)
    with pytest.raises(ValueError, match=r"Only \d genes have 20 mature and as many nascent counts.* at least 10"):
        _turnover._genes(readout)


def test_ways_hold_the_spread_of_the_cells_around():
    z = np.random.default_rng(4).normal(size=(200, 3)) * [1.0, 2.0, 3.0]
    ways = _turnover._ways(z)
    for cell in (0, 57, 199):
        near = np.argsort(np.linalg.norm(z - z[cell], axis=1))[:20]
        np.testing.assert_allclose(ways[cell] @ ways[cell].T, np.cov(z[near].T, bias=True), atol=1e-10)


@pytest.mark.parametrize("held", [np.asarray, sp.csr_matrix])
def test_genes_tell_whose_nascent_counts_run_ahead_of_mature_ones(held):
    rng = np.random.default_rng(7)
    angle, phase = rng.uniform(0, 2 * np.pi, 400), rng.uniform(0, 2 * np.pi, 30)
    size = np.r_[np.ones(20), np.zeros(10)]
    level = size * np.sin(angle[:, None] - phase)
    mature = rng.poisson(20 * np.exp(level))
    nascent = rng.poisson(10 * np.exp(level) * (1 + 0.6 * size * np.cos(angle[:, None] - phase)))
    genes, z = np.arange(0, 30, 2), np.stack([np.cos(angle), np.sin(angle)], 1)
    order = rng.permutation(400)
    readout = SimpleNamespace(
        operator=SimpleNamespace(n_genes=30, log_theta=torch.full((60,), 3.0)),
        matrix=Matrix(held(np.concatenate([mature, nascent], 1)[order].astype(np.float32))),
        rows=np.argsort(order),
    )
    tells, coupled = _turnover._telling(readout, genes, z, level[:, genes])
    assert tells.tolist() == (genes < 20).tolist()
    assert coupled
    readout.rows = readout.rows[rng.permutation(400)]
    tells, coupled = _turnover._telling(readout, genes, z, 0 * level[:, genes])
    assert tells.all(), "where too few tell, all are asked"


class Known:
    """Shares whose logs are linear in the state; all is made so that the state turns."""

    time = 1.0

    def __init__(self, n):
        rng = torch.Generator().manual_seed(0)
        self.slope = torch.randn(2, n, generator=rng, dtype=torch.float64)
        self.slope -= self.slope.mean(1, keepdim=True)
        self.decay = 1 + torch.rand(n, generator=rng, dtype=torch.float64)

    def turnover(self, z, ctx):
        ahead = torch.stack([-z[:, 1], z[:, 0]], 1)
        return z @ self.slope, self.decay + 0.1 * ahead @ self.slope


def test_the_field_behind_what_is_made_is_found_in_any_order_of_cells(monkeypatch):
    monkeypatch.setattr(_turnover, "CELLS_PER_BLOCK", 64)
    z = np.random.default_rng(5).normal(size=(300, 2))
    counts = Matrix(np.full((300, 120), 3.0, np.float32))
    readout = SimpleNamespace(
        operator=Known(60), matrix=counts, rows=np.arange(300), device="cpu", known=lambda cells: None
    )
    places, velocities, told = _turnover.by_turnover(readout, z, np.random.default_rng(0))
    np.testing.assert_array_equal(places, z)
    true = np.stack([-z[:, 1], z[:, 0]], 1)
    mean = np.mean(velocities, 0)
    cosine = (mean * true).sum(1) / np.linalg.norm(mean, axis=1) / np.linalg.norm(true, axis=1)
    assert np.quantile(cosine, 0.05) > 0.9
    assert np.median(np.linalg.norm(mean, axis=1) / np.linalg.norm(true, axis=1)) == pytest.approx(0.1, rel=0.2)
    assert np.median(told) > 0.5
    order = np.random.default_rng(6).permutation(300)
    other = _turnover.by_turnover(readout, z[order], np.random.default_rng(0))[1]
    np.testing.assert_allclose(np.array(other), np.array(velocities)[:, order], atol=1e-5)

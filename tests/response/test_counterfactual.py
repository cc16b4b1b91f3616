"""Cells after an action: nothing changes nothing, thinning in expectation, and groups that meet their effect."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import binom

from scvcell._containers import Matrix
from scvcell.measure import MEASUREMENTS
from scvcell.response import Bulk, _counterfactual, counterfactual, move, moved_values
from scvcell.response._counterfactual import MAX_MOVE, _answer
from scvcell.testing import example_summary


@pytest.fixture(params=["numpy", "the device"])
def draws_by(request, monkeypatch):
    """Who draws molecules; as the CPU can do what a GPU does, both are tried."""
    monkeypatch.setattr(_counterfactual, "DRAWING", ("cpu",) if request.param == "the device" else ())


@pytest.fixture
def assay(readout):
    """One assay of some cells and two states of each, in blocks."""

    def make(kind, n=40, level=4.0, rows=None):
        rng = np.random.default_rng(0)
        values = rng.poisson(level * rng.gamma(2.0, 0.5, 8), (n, 8)).astype(np.float32)
        z, other = torch.from_numpy(rng.normal(size=(2, n if rows is None else len(rows), 4)).astype(np.float32))
        return Bulk(readout(kind, values, rows=rows)), values, z, other

    return make


@pytest.mark.parametrize("kind", ["counts", "protein", "profile", "atac"])
def test_no_change_of_state_and_no_effect_leave_every_value(assay, kind, draws_by):
    bulk, values, z, _ = assay(kind)
    cells, residual = np.arange(40)[::-1].copy(), np.zeros(8 + bulk.shares)
    found, _ = counterfactual(bulk, cells, z, z, residual, np.random.default_rng(0))
    np.testing.assert_allclose(found, values[cells], atol=1e-5)
    np.testing.assert_allclose(moved_values(bulk, cells, z, z, np.random.default_rng(0)), values[cells], atol=1e-5)


def test_continuous_values_move_by_what_is_expected_and_the_effect(assay):
    bulk, values, z, other = assay("profile")
    residual = np.linspace(-1, 1, 8)
    found, expected = counterfactual(bulk, np.arange(40), z, other, residual, np.random.default_rng(0))
    with torch.no_grad():
        before, after = (bulk.operator.predict(state, bulk.at(np.arange(40))).numpy() for state in (z, other))
    np.testing.assert_allclose(found, values + after - before + residual, atol=1e-5)
    np.testing.assert_allclose(expected, after + residual, atol=1e-5)


def test_molecules_are_thinned_or_added_as_expected(assay, draws_by):
    """The mean over draws is x min(1, r) + m max(0, 1 - 1 / r), with m expected after and r = m / before."""
    bulk, values, z, other = assay("counts", n=6)
    cells, rng = np.arange(6), np.random.default_rng(1)
    step = torch.zeros(8)
    draws = np.array([counterfactual(bulk, cells, z, other, np.zeros(9), rng, step)[0] for _ in range(600)])
    with torch.no_grad():
        before, after = (bulk.operator.predictive(state, bulk.at(cells)).mean.numpy() for state in (z, other))
    ratio = after / before
    expected = values * np.minimum(1, ratio) + after * np.maximum(0, 1 - 1 / ratio)
    assert (ratio > 1.02).any()
    assert (ratio < 0.98).any()
    error = (draws.mean(0) - expected) / np.maximum(draws.std(0), 1e-3) * np.sqrt(600)
    assert (np.abs(error) < 4.5).all()
    assert (draws[:, ratio < 1] <= values[ratio < 1]).all()
    assert (draws[:, ratio > 1] >= values[ratio > 1]).all()


def test_cells_without_the_assay_are_drawn(assay, draws_by):
    for kind in ("profile", "counts"):
        bulk, _, z, other = assay(kind, rows=[0, -1, 1])
        draws, rng = [], np.random.default_rng(2)
        for _ in range(400):
            found, expected = counterfactual(
                bulk, np.arange(3), z, other, np.zeros(8 + bulk.shares), rng, torch.zeros(8)
            )
            draws.append(found[1])
        error = (np.mean(draws, 0) - expected[1]) / np.std(draws, 0) * 20
        assert (np.abs(error) < 4.5).all(), kind


def test_counts_without_a_depth_are_moved_by_the_ratio_of_what_is_wanted(assay):
    bulk, _, z, other = assay("protein")
    residual = np.array([0.3, -0.3, 0, 0, 8.0, -0.1, 0.1, 0])
    found = move(bulk, np.arange(40), z, other, residual).numpy()
    with torch.no_grad():
        level = bulk.operator.predictive(other, bulk.at(np.arange(40))).mean.numpy().mean(0)
    expected = np.log(np.maximum(np.expm1(np.log1p(level) + residual), 1e-3 * level) / level)
    np.testing.assert_allclose(found, np.clip(np.where(residual == 0, 0, expected), -MAX_MOVE, MAX_MOVE), atol=1e-4)
    assert found[4] == MAX_MOVE


def test_a_group_meets_an_effect_on_shares(assay):
    bulk, _, z, _ = assay("counts", n=400, level=20.0)
    cells, residual = np.arange(400), np.zeros(9)
    residual[[1, 5]] = 0.25, -0.25
    start = bulk.measured(cells)[0][:8]
    found, _ = counterfactual(bulk, cells, z, z, residual, np.random.default_rng(3))
    after = np.log1p(1e4 * found / found.sum(1, keepdims=True)).mean(0)
    # Shares sum to one: what one gains others lose, so that all effects are met up to a common move in counts.
    contrast = (after - start)[1] - (after - start)[5]
    assert contrast == pytest.approx(0.5, abs=0.05)
    others = (after - start)[[0, 2, 3, 4, 6, 7]]
    assert np.abs(others).max() < 0.08
    assert not move(bulk, cells, z, z, np.zeros(9)).any()


def test_where_the_depth_is_given_the_rest_gives_what_the_features_take(readout):
    rng = np.random.default_rng(5)
    values = rng.poisson(20.0 * rng.gamma(2.0, 0.5, 8), (400, 8)).astype(np.float32)
    depth = values.sum(1) + rng.poisson(300, 400).astype(np.float32)
    summary = replace(example_summary(), mean=values.mean(0), rest=300.0)
    operator = MEASUREMENTS["counts"](4, summary).eval()
    seen = replace(readout("counts", values), operator=operator, matrix=Matrix(values, depth=depth))
    bulk, cells = Bulk(seen), np.arange(400)
    z = torch.from_numpy(rng.normal(size=(400, 4)).astype(np.float32))
    np.testing.assert_array_equal(counterfactual(bulk, cells, z, z, np.zeros(9), rng)[0], values)
    residual = np.append(np.linspace(-0.3, 0.3, 8), 0)
    found, _ = counterfactual(bulk, cells, z, z, residual, rng)
    scale = 1e4 / depth[:, None]
    met = np.log1p(found * scale).mean(0) - np.log1p(values * scale).mean(0)
    np.testing.assert_allclose(met, residual[:8], atol=0.05)


def test_what_more_molecules_do_is_what_a_few_less_undo():
    """One molecule in ten thousand is lost, the depth held: exact expectations of binomial counts."""
    x = np.random.default_rng(4).poisson(5.0, (200, 6)).astype(float)
    x[:, 5] = 0
    worth, damp = (found.numpy() for found in _answer(torch.from_numpy(x)))
    kept, one = np.arange(25), 1e4 / x.sum(1)
    for feature in range(5):
        chance = binom.pmf(kept, x[:, feature, None], 1 - 1e-4)
        level = np.log1p(one[:, None] * kept)
        lost_log = (np.log1p(one * x[:, feature]) - (chance * level).sum(1)).mean()
        lost_counts = 1e-4 * (one * x[:, feature]).mean()
        assert worth[feature] == pytest.approx(lost_counts / lost_log, rel=1e-2)
        mean = np.log1p(one * x[:, feature]).mean()
        assert damp[feature] == pytest.approx(min(1e-4 * (1 - np.exp(-mean)) / lost_log, 1), rel=1e-2)
    assert np.isfinite(worth).all()
    assert damp[5] == 1

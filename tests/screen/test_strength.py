"""Responders of cells whose states, flow and strengths are known."""

import numpy as np
import pytest
import torch

from scvcell.perturb import Action, AffineFlow
from scvcell.screen._strength import SHARE_GRID, strengths

D = 6


@pytest.fixture
def flow():
    flow = AffineFlow(D, ("A",))
    with torch.no_grad():
        flow.offset[0] = torch.tensor([3.0, 2.0, 0.0, 0.0, 0.0, 1.0])
    return flow


def cells(rng, flow, n, share=0.5, size=1.5, dispersion=0.2):
    """Controls, treated cells and their strengths, with correlated states of unequal scale."""
    mix = np.linspace(0.5, 1.5, D) * (np.eye(D) + 0.2)
    controls, treated = (rng.standard_normal((n, D)) @ mix + 1 for _ in range(2))
    strength = (rng.random(n) < share) * rng.normal(size, size * dispersion, n).clip(0.05)
    return controls, treated + strength[:, None] * flow.offset[0].detach().numpy(), strength


def test_the_share_is_in_its_interval(flow):
    found = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        share = rng.uniform(0.1, 0.9)
        controls, treated, strength = cells(rng, flow, 150, share)
        summary = strengths(flow, Action("A"), controls, treated).summary(0.9)
        true = (strength > 0).mean()
        found.append(summary["share_lower"] <= true <= summary["share_upper"])
        assert abs(summary["share"] - true) < 0.15
    assert np.mean(found) > 0.8


def test_dispersion_stands_apart_from_size(flow):
    rng = np.random.default_rng(0)
    found = {}
    for size in (1.0, 2.0):
        for dispersion in (0.15, 0.6):
            controls, treated, _ = cells(rng, flow, 800, 0.7, size, dispersion)
            found[size, dispersion] = strengths(flow, Action("A"), controls, treated).summary(0.9)
    for dispersion in (0.15, 0.6):
        one, two = found[1.0, dispersion], found[2.0, dispersion]
        assert two["size"] / one["size"] == pytest.approx(2, rel=0.15)
        assert two["dispersion"] == pytest.approx(one["dispersion"], abs=0.12)
    for size in (1.0, 2.0):
        assert found[size, 0.15]["dispersion"] < 0.3 < found[size, 0.6]["dispersion"]


def test_cells_are_told_apart_and_probabilities_are_calibrated(flow):
    controls, treated, strength = cells(np.random.default_rng(1), flow, 2000)
    found = strengths(flow, Action("A"), controls, treated)
    responded = strength > 0
    assert ((found.responded > 0.5) == responded).mean() > 0.9
    assert found.responded.mean() == pytest.approx(responded.mean(), abs=0.05)
    for some in (found.responded > 0.5, found.responded <= 0.5):
        assert responded[some].mean() == pytest.approx(found.responded[some].mean(), abs=0.03)
    error = np.abs(found.mean - strength) / np.maximum(found.sd, 0.05)
    assert (error < 2).mean() > 0.9


def test_controls_have_not_responded(flow):
    controls, treated, _ = cells(np.random.default_rng(2), flow, 300, share=0.0)
    found = strengths(flow, Action("A"), controls, treated)
    assert found.summary(0.9)["share"] < 0.1
    assert (found.responded > 0.5).mean() < 0.05


def test_the_posterior_is_one(flow):
    controls, treated, _ = cells(np.random.default_rng(3), flow, 50)
    found = strengths(flow, Action("A"), controls, treated)
    assert found.weight.sum() == pytest.approx(1)
    assert len(found.weight) == len(SHARE_GRID)
    assert ((found.responded >= 0) & (found.responded <= 1 + 1e-9)).all()
    wide, narrow = found.summary(0.95), found.summary(0.5)
    assert wide["share_lower"] <= narrow["share_lower"] <= narrow["share_upper"] <= wide["share_upper"]


def test_far_away_cells_are_finite(flow):
    controls, treated, _ = cells(np.random.default_rng(4), flow, 40)
    treated[0] += 1e3
    found = strengths(flow, Action("A"), controls, treated)
    assert np.isfinite([found.mean, found.sd, found.responded]).all()
    assert np.isfinite(list(found.summary(0.9).values())).all()

"""Changes and expected values along the drift, against differences and plain loops."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData
from scipy.stats import norm

from scvcell.drift import _expected, change_of_counts, expected_values


@pytest.fixture(autouse=True)
def blocks(monkeypatch):
    monkeypatch.setattr(_expected, "CELLS_PER_BLOCK", 3)


@pytest.fixture
def states():
    rng = np.random.default_rng(0)
    return rng.normal(size=(7, 4)), rng.normal(size=(7, 4))


def test_change_is_the_difference_in_the_order_of_the_table(readout, states):
    values = np.random.default_rng(1).poisson(3.0, (5, 8)).astype(np.float32)
    seen = readout("counts", values, rows=[3, -1, 0, 4, 1, -1, 2])
    table = AnnData(values[:, ::-1].copy(), var=pd.DataFrame(index=seen.features[::-1]))
    z, ahead = states
    found = change_of_counts(seen, z, ahead, table)
    double, step = copy.deepcopy(seen.operator).double(), 1e-5
    for cell in (0, 2, 3, 4, 6):
        ctx = seen.at(np.array([cell]))
        ctx = type(ctx)(ctx.design.double(), ctx.batch, ctx.depth.double())
        with torch.no_grad():
            before, after = (
                double.predictive(torch.from_numpy(z[[cell]] + s * ahead[[cell]]), ctx).mean for s in (-step, step)
            )
        change = ((after - before) / (2 * step))[0].numpy()
        np.testing.assert_allclose(found[seen.rows[cell]][::-1], change, rtol=1e-3, atol=1e-4)


def test_rows_of_no_cell_have_no_change(readout, states):
    values = np.ones((6, 8), np.float32)
    seen = readout("counts", values, rows=[3, -1, 0, 4, 1, -1, 2])
    table = AnnData(values, var=pd.DataFrame(index=seen.features))
    found = change_of_counts(seen, *states, table)
    assert np.isnan(found[5]).all()
    assert np.isfinite(found[:5]).all()
    assert not change_of_counts(seen, states[0], 0 * states[0], table)[:5].any()


@pytest.mark.parametrize("kind", ["counts", "profile"])
def test_intervals_are_the_spread_of_the_members(readout, states, kind):
    seen = readout(kind, np.random.default_rng(2).poisson(4.0, (7, 8)).astype(np.float32))
    z, members = states[0], states[0] + 0.2 * np.random.default_rng(3).normal(size=(6, 7, 4))
    obs = pd.DataFrame({"kind": list("abcdefg")}, index=[f"c{i}" for i in range(7)])
    found = expected_values(seen, z, members, obs, 0.8)

    def mean(state):
        with torch.no_grad():
            whole = seen.operator.predictive(torch.tensor(state, dtype=torch.float32), seen.at(np.arange(7)))
        return whole.mean.double().numpy()

    scale, back = (np.log1p, np.expm1) if kind == "counts" else (np.asarray, np.asarray)
    half = norm.ppf(0.9) * np.std([scale(mean(member)) for member in members], axis=0)
    np.testing.assert_allclose(found.X, mean(z), rtol=1e-5)
    np.testing.assert_allclose(found.layers["upper"], back(scale(mean(z)) + half), rtol=1e-4, atol=1e-5)
    lower = back(scale(mean(z)) - half)
    np.testing.assert_allclose(
        found.layers["lower"], lower.clip(0) if kind == "counts" else lower, rtol=1e-4, atol=1e-5
    )
    pd.testing.assert_frame_equal(found.obs, obs)

"""Simulated kinetics: velocities are the derivatives of the rates, and counts follow the rates."""

import numpy as np
import pytest

from scvcell.datasets import simulate_kinetics


@pytest.mark.parametrize("topology", ["branch", "cycle"])
def test_velocity_is_the_change_of_the_rate(topology):
    adata = simulate_kinetics(4000, n_genes=20, topology=topology, seed=1)
    share = adata.layers["rate"] / adata.layers["rate"].sum(1, keepdims=True)
    part = (adata.obs["stage"] == ("A" if topology == "branch" else "quarter 2")).to_numpy()
    time = adata.obs["time"].to_numpy()
    order = np.flatnonzero(part)[np.argsort(time[part])]
    order = order[np.append(True, np.diff(time[order]) > 0)]
    change = np.gradient(share[order], time[order], axis=0)
    speed = adata.layers["velocity"] / adata.layers["rate"].sum(1, keepdims=True)
    expected = (speed - share * speed.sum(1, keepdims=True))[order]
    assert np.corrcoef(change.ravel(), expected.ravel())[0, 1] > 0.98
    np.testing.assert_allclose(change.mean(0), expected.mean(0), atol=2e-3)


def test_a_cycle_closes():
    adata = simulate_kinetics(3000, n_genes=20, topology="cycle")
    share = adata.layers["rate"] / adata.layers["rate"].sum(1, keepdims=True)
    first, last = (share[part].mean(0) for part in (adata.obs["time"] < 0.2, adata.obs["time"] > 11.8))
    np.testing.assert_allclose(first, last, atol=0.02)


def test_counts_follow_their_rates_and_repeat():
    adata = simulate_kinetics(2000, n_genes=30, unspliced=0.5, seed=3)
    s, u = (adata.layers[k].toarray() for k in ("spliced", "unspliced"))
    np.testing.assert_allclose(s.mean(0), adata.layers["rate"].mean(0), rtol=0.1)
    assert u.sum() / s.sum() == pytest.approx(0.5, rel=0.05)
    again = simulate_kinetics(2000, n_genes=30, unspliced=0.5, seed=3)
    assert abs(again.layers["unspliced"] - adata.layers["unspliced"]).max() == 0


def test_refused():
    with pytest.raises(ValueError, match="topology must be"):
        simulate_kinetics(10, topology="tree")
    with pytest.raises(ValueError, match="above 0"):
        simulate_kinetics(0)

"""The cycle P o L: planted mixtures beat all nulls, shuffled genes do not, and scores are those of loops over spots."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from scvcell._containers import Space
from scvcell.tissue import Scene, cycle_scores, summary
from scvcell.tissue._cycle import NULLS, _by_others, _correlation

KINDS, GENES, SPOTS = 3, 45, 120


@pytest.fixture(scope="module")
def scene():
    rng = np.random.default_rng(0)
    rates = rng.gamma(2.0, 0.5, (KINDS, GENES)) * np.where(np.equal.outer(range(KINDS), np.arange(GENES) % KINDS), 4, 1)
    weights = rng.dirichlet([0.5] * KINDS, SPOTS) * rng.gamma(10, 1, (SPOTS, 1))
    platform = np.exp(rng.normal(0, 0.5, GENES))
    x = sp.csr_matrix(rng.poisson(weights @ (rates * platform)).astype(float))
    xy = rng.random((SPOTS, 2))
    names = pd.Index([f"s{i}" for i in range(SPOTS)])
    return x, rates, np.full(GENES, 20.0), Space(names, xy, np.repeat([0, 1], SPOTS // 2), ["left", "right"])


def scores(scene, x=None, space=None, **given):
    own, rates, theta, there = scene
    there = there if space is None else space
    return cycle_scores(own if x is None else x, rates, theta, Scene.of(there, SPOTS, 4), names=there.sections, **given)


def test_planted_mixtures_beat_all_nulls(scene):
    found = scores(scene)
    assert len(found) == 2 * 2 * 3
    assert set(found["null"]) == set(NULLS)
    assert found["trusted"].all()
    assert (found["lower"] > 0).all()
    assert (found["lower"] <= found["gain"]).all()
    assert (found["gain"] <= found["upper"]).all()
    pd.testing.assert_frame_equal(found, scores(scene))
    told, deviance = summary(found), found[found["score"] == "deviance"]
    assert told["lower"] == deviance["lower"].min()


@pytest.mark.parametrize("seed", range(3))
def test_genes_that_go_each_their_own_way_are_flagged(scene, seed):
    apart = sp.csr_matrix(np.random.default_rng(seed).permuted(scene[0].toarray(), axis=0))
    found = scores(scene, apart, seed=seed)
    assert not found["trusted"].any()
    assert summary(found)["lower"] <= 0


def test_neighbours_that_are_all_alike_are_a_null_that_is_hard_to_beat(scene):
    """Nearest spots are copies up to noise: their mean knows genes that kinds of cells do not explain."""
    x, rates, theta, space = scene
    rng = np.random.default_rng(0)
    mean = np.repeat(x[::10].toarray(), 10, 0) * np.exp(np.repeat(rng.normal(0, 0.5, (12, GENES)), 10, 0))
    near = np.stack([np.repeat(np.arange(12) * 100.0, 10), np.tile(np.arange(10.0), 12)], 1)
    one = Space(space.names, near, np.zeros(SPOTS, int), ["all"])
    found = scores((sp.csr_matrix(rng.poisson(mean).astype(float)), rates, theta, one))
    deviance = found[found["score"] == "deviance"].set_index("null")
    assert deviance.loc["4 neighbours", "gain"] < 0
    assert not deviance["trusted"].any()


def test_factors_come_from_other_blocks():
    rng = np.random.default_rng(0)
    x, mu, block = rng.poisson(3.0, (9, 4)).astype(float), rng.random((9, 4)), np.arange(9) % 3
    found = _by_others(x, mu, block)
    for r in range(9):
        rest = block != block[r]
        np.testing.assert_allclose(found[r], mu[r] * (x[rest].sum(0) + 1) / (mu[rest].sum(0) + 1))


def test_correlation_from_sums_over_tiles():
    rng = np.random.default_rng(0)
    x, y, tile = rng.random((50, 3)), rng.random((50, 3)), np.arange(50) % 5
    of_tile = np.equal.outer(np.arange(5), tile).astype(float)
    moments = np.stack([of_tile @ each for each in (np.ones_like(x), x, y, x**2, y**2, x * y)])
    found = _correlation(np.ones((1, 5)), moments)
    assert found[0] == pytest.approx(np.mean([np.corrcoef(x[:, g], y[:, g])[0, 1] for g in range(3)]))
    some = np.array([[2.0, 0, 0, 1, 0]])
    rows = np.concatenate([np.flatnonzero(tile == 0)] * 2 + [np.flatnonzero(tile == 3)])
    wanted = np.mean([np.corrcoef(x[rows, g], y[rows, g])[0, 1] for g in range(3)])
    assert _correlation(some, moments)[0] == pytest.approx(wanted)


def test_without_places_and_with_too_few_spots(scene):
    x, rates, theta, _ = scene
    found = cycle_scores(x, rates, theta, Scene.of(None, SPOTS, 4))
    assert set(found["null"]) == set(NULLS[:2])
    assert found["trusted"].all()
    none = cycle_scores(x[:1], rates, theta, Scene.of(None, 1, 4))
    assert len(none) == 0
    assert np.isnan(summary(none)["skill"])

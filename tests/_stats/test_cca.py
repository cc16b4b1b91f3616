"""Canonical correlation against scikit-learn and by hand."""

import numpy as np
import pytest
from sklearn.cross_decomposition import CCA

from scvcell._stats import cca


def test_cca_finds_what_scikit_learn_finds():
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(500, 2))
    x = shared @ rng.normal(size=(2, 6)) + 0.2 * rng.normal(size=(500, 6))
    y = shared @ rng.normal(size=(2, 4)) + 0.2 * rng.normal(size=(500, 4))
    wx, wy = cca(x, y, n_components=2, ridge=1e-6)
    u, v = (x - x.mean(0)) @ wx, (y - y.mean(0)) @ wy
    theirs = CCA(n_components=2, scale=False, max_iter=5000, tol=1e-10).fit(x, y)
    tx, ty = theirs.transform(x, y)
    for j in range(2):
        ours = abs(np.corrcoef(u[:, j], v[:, j])[0, 1])
        assert ours == pytest.approx(abs(np.corrcoef(tx[:, j], ty[:, j])[0, 1]), abs=2e-3)
        # canonical variables of unit variance, times the canonical correlation
        assert u[:, j].std() == pytest.approx(ours, rel=1e-2)


def test_cca_ridge_shrinks_noise():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 40, 30))
    spurious = [np.abs(np.linalg.norm(cca(x, y, 1, ridge=r)[0])) for r in (1e-6, 1.0)]
    assert spurious[1] < 0.5 * spurious[0]


def test_cca_has_at_most_as_many_components_as_features():
    x, y = np.random.default_rng(0).normal(size=(2, 30, 3))
    assert cca(x, y, 10)[0].shape == (3, 3)


def test_without_weights_all_directions_have_one_variance():
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(300, 2))
    x, y = (shared @ rng.normal(size=(2, 5)) + rng.normal(size=(300, 5)) for _ in range(2))
    for v, by in zip((x, y), cca(x, y, 4, ridge=0.0, weighted=False), strict=True):
        np.testing.assert_allclose(np.cov(((v - v.mean(0)) @ by).T, bias=True), np.eye(4), atol=1e-8)

"""Members of imputation: rates of neighbours and ridge regression beside plain loops and scikit-learn."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.linear_model import Ridge as Plain
from sklearn.linear_model import RidgeCV

from scvcell.tissue._members import PENALTIES, Cells, Ridge, by_rates, components, neighbours


def cells(rng, n, features=8, latent=3):
    return Cells(rng.normal(size=(n, features)), rng.uniform(20, 300, n), rng.normal(size=(n, latent)))


def test_neighbours_are_the_nearest_in_both_spaces():
    rng = np.random.default_rng(0)
    known, asked = cells(rng, 200), cells(rng, 10)
    near = neighbours(known, asked)
    np.testing.assert_allclose(near.sum(1), 1)
    assert (np.diff(near.indptr) == 60).all()
    left, right = (
        np.hstack([known.panel / np.sqrt(known.panel.var(0).sum()), known.state / np.sqrt(known.state.var(0).sum())]),
        np.hstack([asked.panel / np.sqrt(known.panel.var(0).sum()), asked.state / np.sqrt(known.state.var(0).sum())]),
    )
    for i in range(10):
        nearest = np.argsort(((left - right[i]) ** 2).sum(1))[:60]
        assert set(near[i].indices) == set(nearest)
    alone = neighbours(known, asked.of(np.array([4])))
    assert set(alone.indices) == set(near[4].indices)


def test_neighbours_without_states():
    rng = np.random.default_rng(0)
    known, asked = cells(rng, 30, latent=0), cells(rng, 5, latent=0)
    np.testing.assert_allclose(neighbours(known, asked).toarray(), 1 / 30)


def test_rates_at_a_cells_own_depth():
    rng = np.random.default_rng(0)
    y = sp.csr_matrix(rng.poisson(0.7, (40, 6)))
    known, asked = rng.uniform(20, 300, 40), np.array([10.0, 55.0, 200.0, 1000.0])
    near = sp.csr_matrix(rng.dirichlet(np.ones(40), 4))
    found = by_rates(near, y, known, asked)
    rates = y.toarray() / known[:, None]
    expected = [near[[i]].toarray() @ np.log1p(rates * asked[i]) for i in range(4)]
    np.testing.assert_allclose(found, np.vstack(expected), atol=0.005)
    one = by_rates(near[[2]], y, known, asked[2:3])
    np.testing.assert_array_equal(one[0], found[2])


@pytest.mark.parametrize("held", [np.asarray, sp.csr_matrix])
def test_ridge_is_that_of_scikit_learn(held):
    rng = np.random.default_rng(0)
    known, asked = cells(rng, 300), cells(rng, 20)
    y = np.maximum(known.panel @ rng.normal(size=(8, 5)) + np.log(known.depth)[:, None] + rng.normal(size=(300, 5)), 0)
    (found,) = Ridge.fit(known, held(y))
    deep = np.log(known.depth)

    def inputs(c):
        return np.column_stack([c.panel, (np.log(c.depth) - deep.mean()) / deep.std() * 5])

    scaled = (y - y.mean(0)) / y.std(0)
    best = RidgeCV(PENALTIES).fit(inputs(known), scaled).alpha_
    plain = Plain(best).fit(inputs(known), y)
    np.testing.assert_allclose(found(asked), plain.predict(inputs(asked)), rtol=1e-6, atol=1e-6)


def test_large_panels_are_read_by_components():
    rng = np.random.default_rng(0)
    low = rng.normal(size=(80, 5)) @ rng.normal(size=(5, 400))
    panel = (low - low.mean(0)) / low.std(0)
    axes = components(panel)
    assert axes.shape == (400, 80)
    np.testing.assert_allclose(panel @ axes @ axes.T, panel, atol=1e-6)
    assert components(panel[:, :300]) is None


def test_ridge_of_a_feature_that_is_always_zero():
    rng = np.random.default_rng(0)
    known = cells(rng, 50)
    one, two = Ridge.fit(known, np.zeros((50, 2)), np.ones((50, 1)))
    np.testing.assert_allclose(one(known), 0, atol=1e-9)
    np.testing.assert_allclose(two(known), 1, atol=1e-9)

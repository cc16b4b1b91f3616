"""The walk among neighbours against plain loops."""

import numpy as np
import pytest

from scvcell._stats import _walk, neighbours, walk


@pytest.fixture
def cells(monkeypatch):
    monkeypatch.setattr(_walk, "N_NEIGHBOURS", 5)
    rng = np.random.default_rng(0)
    return rng.normal(size=(40, 3)), rng.normal(size=(40, 3))


def test_neighbours_are_those_of_either_cell(cells):
    z, _ = cells
    expected = np.zeros((40, 40))
    for i in range(40):
        apart = np.linalg.norm(z - z[i], axis=1)
        for j in np.argsort(apart)[1:6]:
            expected[i, j] = expected[j, i] = 1
    np.testing.assert_array_equal(neighbours(z).toarray(), expected)
    few = neighbours(z[:4]).toarray()
    np.testing.assert_array_equal(few, 1 - np.eye(4))


def test_steps_are_the_formula(cells):
    z, velocity = cells
    graph = neighbours(z)
    near = graph.toarray() > 0
    cosine = np.zeros((40, 40))
    for i in range(40):
        for j in np.flatnonzero(near[i]):
            step = z[j] - z[i]
            cosine[i, j] = step @ velocity[i] / np.linalg.norm(step) / np.linalg.norm(velocity[i])
    weight = near * np.exp(cosine / np.median(np.abs(cosine[near])))
    expected = weight / weight.sum(1, keepdims=True)
    np.testing.assert_allclose(walk(z, velocity, graph).toarray(), expected)
    np.testing.assert_allclose(walk(z, 7 * velocity, graph).toarray(), expected)


def test_where_nothing_moves_all_neighbours_are_alike(cells):
    z, _ = cells
    graph = neighbours(z)
    found = walk(z, np.zeros_like(z), graph).toarray()
    near = graph.toarray()
    np.testing.assert_allclose(found, near / near.sum(1, keepdims=True))


def test_the_order_of_cells_does_not_matter(cells):
    z, velocity = cells
    order = np.random.default_rng(1).permutation(40)
    one = walk(z, velocity, neighbours(z)).toarray()
    other = walk(z[order], velocity[order], neighbours(z[order])).toarray()
    np.testing.assert_allclose(other, one[np.ix_(order, order)])

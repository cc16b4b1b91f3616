"""The streaming SVD is that of the centred matrix."""

import numpy as np
import pytest
import scipy.sparse as sp

from scvcell._stats import centred_svd


def problem(n=120, features=40, rank=5, seed=0):
    """A matrix of low rank with an offset per batch, and what is left without it."""
    rng = np.random.default_rng(seed)
    strength = np.linspace(10, 4, rank)
    centred = (rng.normal(size=(n, rank)) * strength) @ np.linalg.qr(rng.normal(size=(features, rank)))[0].T
    batch = rng.integers(3, size=n)
    x = (centred + rng.normal(size=(3, features))[batch] * 5).astype(np.float32)
    mean = np.array([x[batch == b].mean(0) for b in range(3)])
    return x, batch, mean


def in_blocks(x, size=17):
    def blocks():
        for start in range(0, x.shape[0], size):
            yield x[start : start + size], slice(start, start + size)

    return blocks


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix])
def test_it_spans_what_a_dense_svd_does(form):
    x, batch, mean = problem()
    found = centred_svd(in_blocks(form(x)), mean, batch, 5, np.random.default_rng(0))
    _, _, right = np.linalg.svd(x - mean[batch], full_matrices=False)
    np.testing.assert_allclose(found @ found.T, right[:5].T @ right[:5], atol=2e-3)
    np.testing.assert_allclose(np.abs((found * right[:5].T).sum(0)), 1, atol=2e-3)


def test_blocks_do_not_matter():
    x, batch, mean = problem()
    one, many = (centred_svd(in_blocks(x, size), mean, batch, 4, np.random.default_rng(0)) for size in (1000, 7))
    np.testing.assert_allclose(one, many, atol=1e-4)


def test_components_beyond_the_rank_are_silent():
    x, batch, mean = problem(rank=2)
    found = centred_svd(in_blocks(x), mean, batch, 4, np.random.default_rng(0))
    assert (np.linalg.norm(found, axis=0) > 0.5).tolist() == [True, True, False, False]


def test_they_are_orthogonal_to_a_direction_that_is_not_wanted():
    x, batch, mean = problem()
    direction = np.random.default_rng(1).normal(size=x.shape[1]).astype(np.float32)
    found = centred_svd(in_blocks(x), mean, batch, 3, np.random.default_rng(0), direction)
    np.testing.assert_allclose(direction @ found, 0, atol=1e-4)


def test_the_largest_entry_is_positive():
    x, batch, mean = problem()
    found = centred_svd(in_blocks(x), mean, batch, 3, np.random.default_rng(0))
    assert (found[np.abs(found).argmax(0), np.arange(3)] > 0).all()

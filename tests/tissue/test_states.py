"""States within a kind: planted substates are told apart, and counts that say nothing give the mean."""

import numpy as np
import pytest
import scipy.sparse as sp

from scvcell.tissue import Composition, Reference, states

GENES = 60


@pytest.fixture(scope="module")
def scene():
    """Two kinds; the first has two substates that lie at -1 and 1 and have marker genes. Spots hold one of them."""
    rng = np.random.default_rng(0)
    rates = rng.gamma(2.0, 1.0, (3, GENES)) * np.where(np.equal.outer(np.arange(3), np.arange(GENES) % 3), 4, 1)
    sub = rng.integers(3, size=900)
    kind, z = np.array([0, 0, 1])[sub], np.array([[-1.0, 0], [1.0, 0], [0, 1.0]])[sub] + rng.normal(0, 0.1, (900, 2))
    reference = Reference(sp.csr_matrix(rng.poisson(rates[sub]).astype(float)), kind, ["a", "b"])
    held = np.arange(80) % 2
    x = sp.csr_matrix(rng.poisson(4 * rates[held] + 2 * rates[2]).astype(float))
    cells = np.tile([4.0, 2.0], (80, 1))
    found = Composition(
        cells / 6, None, None, cells, reference.rates(), np.full(GENES, 50.0), np.ones(GENES), 0.0, None
    )
    return x, found, reference, z, held


def test_substates_are_told_apart(scene):
    x, found, reference, z, held = scene
    out = states(x, found, reference, z, 0)
    assert out.shape == (80, 2, 2)
    assert out[held == 0, 0, 0].max() < -0.5
    assert out[held == 1, 0, 0].min() > 0.5
    np.testing.assert_allclose(out[:, 1].mean(0), z[reference.kind == 1].mean(0), atol=0.1)


def test_what_counts_do_not_say_is_the_mean_of_the_kind(scene):
    x, found, reference, z, _ = scene
    mean = np.array([z[reference.kind == k].mean(0) for k in (0, 1)])
    empty = states(sp.csr_matrix(x.shape), found, reference, z, 0)
    assert np.abs(empty - mean).max() < 0.25
    none = Composition(*(found.__dict__ | {"cells": np.tile([0.0, 6.0], (80, 1))}).values())
    np.testing.assert_allclose(states(x, none, reference, z, 0)[:, 0], np.tile(mean[0], (80, 1)), atol=0.05)


def test_spots_are_alone_and_a_seed_is_one_answer(scene):
    x, found, reference, z, _ = scene
    whole = states(x, found, reference, z, 0)
    np.testing.assert_array_equal(states(x, found, reference, z, 0), whole)
    some = Composition(*(found.__dict__ | {"cells": found.cells[[7]]}).values())
    np.testing.assert_allclose(states(x[[7]], some, reference, z, 0), whole[[7]], atol=1e-5)

"""Cells by lifted spots: Bayes by hand, kinds by their neighbours."""

import numpy as np
import pytest

from scvcell.tissue import Kinds, Spots

PLACES = np.array([[0.0, 0], [1, 0], [2, 0], [3, 0]])


def test_bayes_by_hand():
    cells = np.array([[8.0, 0], [2, 0], [0, 5], [0, 5]])
    spots = Spots.of(PLACES, cells)
    found, radius = spots.locate(np.array([[1.0, 0], [0, 1], [0.5, 0.5]]), 0.9)
    np.testing.assert_allclose(
        found.position.toarray(), [[0.8, 0.2, 0, 0], [0, 0, 0.5, 0.5], [0.4, 0.1, 0.25, 0.25]], atol=1e-6
    )
    np.testing.assert_allclose(found.point[0], [0, 0], atol=0.1)
    np.testing.assert_allclose(found.point[1], [2.5, 0], atol=0.1)
    for each, point, p in zip(radius, found.point, found.position.toarray(), strict=True):
        apart = np.linalg.norm(PLACES - point, axis=1)
        assert p[apart <= each + 1e-3].sum() >= 0.9 > p[apart < each - 0.01].sum()
    assert spots.bins.width == 1


def test_a_kind_that_no_spot_holds_may_be_in_any():
    spots = Spots.of(PLACES, np.array([[3.0, 0], [1, 0], [0, 0], [0, 0]]))
    np.testing.assert_allclose(spots.share[1], [0.75, 0.25, 0, 0])


def test_whole_cells_fill_spots():
    spots = Spots.of(PLACES, np.array([[8.0, 0], [2, 0], [0, 5], [0, 5]]))
    kinds = np.repeat(np.eye(2), [5, 3], 0)
    found = spots.assign(kinds, np.array([4.0, 1, 2, 1]))
    assert np.bincount(found).tolist() == [4, 1, 2, 1]
    assert (found[:5] < 2).all()
    assert np.bincount(spots.assign(kinds, np.array([8.0, 2, 4, 2]))).tolist() == [4, 1, 2, 1], "in proportion"


@pytest.fixture
def clouds():
    rng = np.random.default_rng(0)
    kind = rng.integers(3, size=300)
    return (rng.normal(size=(300, 5)) + 6 * np.eye(5)[kind]).astype(np.float32), kind


def test_kinds_by_neighbours(clouds):
    features, kind = clouds
    known = Kinds.of(features[:200], kind[:200], 4)
    p, inside = known.probabilities(features[200:])
    np.testing.assert_allclose(p.sum(1), 1)
    assert (p.argmax(1) == kind[200:]).mean() > 0.98
    assert (p[:, 3] == 0).all(), "a kind without cells"
    assert inside.mean() > 0.9
    far, outside = known.probabilities(features[200:] + 30)
    assert not outside.any()
    assert np.isfinite(far).all()

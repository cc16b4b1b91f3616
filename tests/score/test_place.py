"""Places by hand."""

import numpy as np

from scvcell.score import map_nll, map_rank, mean_of, place_error


def test_distances():
    predicted, true = np.array([[0.0, 0], [3, 4]]), np.array([[0.0, 2], [0, 0]])
    assert place_error(predicted, true).tolist() == [2, 5]
    assert mean_of("place_error", (predicted, true)) == 3.5
    assert place_error(np.zeros((1, 3)), np.ones((1, 3))) == np.sqrt(3)


def test_maps():
    p, place = np.array([[0.5, 0.3, 0.2, 0], [0.25, 0.25, 0.25, 0.25]]), np.array([1, 3])
    np.testing.assert_allclose(map_nll(p, place), -np.log([0.3, 0.25]))
    np.testing.assert_allclose(map_rank(p, place), [0.25, 0])
    assert np.isfinite(map_nll(p, np.array([3, 3]))).all(), "what was held for impossible is finite"

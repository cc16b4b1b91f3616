"""Activities of sources against a line that is fitted."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.stats import linregress

from scvcell.score import ulm


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    weights = rng.choice([-1.0, 0.0, 0.0, 0.5, 1.0], (40, 4))
    return rng.normal(size=(6, 40)) + 2 * weights[:, :1].T, weights


def test_is_the_statistic_of_a_slope(data):
    values, weights = data
    lines = [[linregress(w, x) for w in weights.T] for x in values]
    expected = [[line.slope / line.stderr for line in row] for row in lines]
    np.testing.assert_allclose(ulm(values, weights), expected, rtol=1e-10)
    assert (ulm(values, weights)[:, 0] > 2).all(), "the source that is at work is found"


def test_order_scale_sparseness_and_company_do_not_matter(data):
    values, weights = data
    found = ulm(values, weights)
    order = np.random.default_rng(1).permutation(40)
    np.testing.assert_allclose(ulm(values[:, order], weights[order]), found)
    np.testing.assert_allclose(ulm(7 * values[2:3] + 3, 0.1 * weights[:, 1:2]), found[2:3, 1:2])
    np.testing.assert_allclose(ulm(sp.csr_matrix(values), sp.csc_matrix(weights)), found)


def test_nothing_to_be_seen_and_nothing_to_be_asked(data):
    values, weights = data
    values[1], weights[:, 2] = 0.3, 0.1
    found = ulm(values, weights)
    assert (found[1, [0, 1, 3]] == 0).all()
    assert np.isnan(found[:, 2]).all()
    assert np.isfinite(np.delete(found, 2, 1)).all()
    assert np.isfinite(ulm(weights[:, :1].T, weights[:, :1])).all(), "a perfect line"


def test_shapes_that_do_not_fit_are_refused(data):
    values, weights = data
    with pytest.raises(ValueError, match=r"not \(6, 40\) and \(4, 40\)"):
        ulm(values, weights.T)

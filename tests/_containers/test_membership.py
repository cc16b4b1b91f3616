"""Membership: sums against plain loops, exact to the last count; groups, products, and what is refused."""

import logging

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from scvcell._containers import Membership


def names(stem, n):
    return pd.Index([f"{stem}{i}" for i in range(n)], dtype=object)


def made(matrix, unit="spot"):
    matrix = np.asarray(matrix)
    return Membership(sp.csr_array(matrix), names("r", len(matrix)), names("c", matrix.shape[1]), unit)


@pytest.fixture
def weights():
    """Weights of 5 units of 40 cells, a third of them not 0; the fourth unit is empty."""
    rng = np.random.default_rng(0)
    found = rng.random((5, 40)) * (rng.random((5, 40)) < 0.3)
    found[3] = 0
    return found


def looped(weights, x):
    out = np.zeros((len(weights), x.shape[1]))
    for r, row in enumerate(weights):
        for c, weight in enumerate(row):
            out[r] += weight * x[c]
    return out


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix, sp.csc_matrix, sp.csr_array, sp.coo_array])
def test_sums_are_those_of_a_loop(weights, form):
    x = np.random.default_rng(1).poisson(1.0, (40, 7)).astype(np.float32)
    found = made(weights).sum(form(x))
    assert sp.issparse(found) == (form is not np.asarray)
    np.testing.assert_allclose(found.toarray() if sp.issparse(found) else found, looped(weights, x), rtol=1e-12)


@pytest.mark.parametrize("held", ["bool", "uint8", "int8", "int32", "float32"])
@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix])
def test_counts_are_exact_whatever_type_holds_the_weights(held, form):
    x = np.full((300, 2), 100, np.uint8)
    x[7, 1] = 101
    member = made(np.ones((1, 300), held))
    found = member.sum(form(x))
    assert (found.toarray() if sp.issparse(found) else found).tolist() == [[30_000, 30_001]]
    large = np.array([[2.0**24], [1.0], [1.0]], np.float32)
    assert made(np.ones((1, 3), held)).sum(form(large))[0, 0] == 2**24 + 2
    assert (member @ member.T).matrix[0, 0] == 300


def test_totals_are_kept_where_each_cell_counts_once():
    rng = np.random.default_rng(0)
    one = np.eye(4)[rng.integers(4, size=50)].T
    x = sp.csr_matrix(rng.poisson(3.0, (50, 6)))
    assert made(one).keeps_totals
    assert made(one).sum(x).sum(0).tolist() == x.sum(0).tolist()
    halved = made(np.concatenate([one, one]) / 2)
    assert halved.keeps_totals
    np.testing.assert_allclose(np.asarray(halved.sum(x).sum(0)), x.sum(0))
    one[:, 3] *= 1 + 5e-6
    assert not made(one).keeps_totals
    assert not made(np.concatenate([one, one])).keeps_totals


def test_the_order_of_cells_does_not_matter(weights):
    x = np.random.default_rng(1).poisson(2.0, (40, 3))
    order = np.random.default_rng(2).permutation(40)
    np.testing.assert_allclose(made(weights[:, order]).sum(x[order]), made(weights).sum(x))


def test_means_and_empty_units(weights, caplog):
    x = np.random.default_rng(1).normal(size=(40, 3))
    member = made(weights)
    with caplog.at_level(logging.WARNING, logger="scvcell"):
        found = member.mean(x)
    assert "1 of 5 units of kind 'spot' are empty." in caplog.text
    assert member.empty.tolist() == [False, False, False, True, False]
    assert np.isnan(found[3]).all()
    for r in (0, 1, 2, 4):
        np.testing.assert_allclose(found[r], np.average(x, axis=0, weights=weights[r]))
    share = member.shares()
    np.testing.assert_allclose(share.weight, [1, 1, 1, 0, 1])
    np.testing.assert_allclose(share.sum(x)[0], found[0])
    caplog.clear()
    made(weights[:3]).mean(x)
    assert not caplog.text


def test_a_product_is_sums_of_sums(weights):
    fine = np.random.default_rng(3).random((40, 90)) * (np.random.default_rng(4).random((40, 90)) < 0.1)
    x = np.random.default_rng(1).poisson(2.0, (90, 3))
    first = Membership(sp.csr_array(weights), names("r", 5), names("c", 40), "niche")
    second = Membership(sp.csr_array(fine), names("c", 40), names("m", 90), "spot")
    both = first @ second
    assert (both.unit, both.matrix.shape) == ("niche", (5, 90))
    np.testing.assert_allclose(both.sum(x), first.sum(second.sum(x)))
    assert both.coarse.equals(first.coarse)
    assert both.fine.equals(second.fine)
    with pytest.raises(ValueError, match=r"40 fine units of the first .* not the 40 coarse units .* same order"):
        first @ Membership(sp.csr_array(fine), names("c", 40)[::-1], names("m", 90))
    np.testing.assert_array_equal(first.T.matrix.toarray(), weights.T)
    assert first.T.coarse.equals(first.fine)


LABELS = {
    "text": (["b", "a", None, "b", "a", " "], ["a", "b"], [1, 0, None, 1, 0, None]),
    "integers": (pd.array([2, 10, None, 2, 10, 2], dtype="Int64"), ["10", "2"], [1, 0, None, 1, 0, 1]),
    "floats": ([2.0, 10.0, np.nan, 2.0, 10.0, 2.0], ["10", "2"], [1, 0, None, 1, 0, 1]),
    "categories": (pd.Categorical([*"xy", None, *"xyx"], [*"yux"]), ["x", "y"], [0, 1, None, 0, 1, 0]),
    "categories of floats": (pd.Categorical([2.0, 1.0, np.nan, 2.0, 1.0, 2.0]), ["1", "2"], [1, 0, None, 1, 0, 1]),
    "truth values": ([True, False, False, True, False, True], ["False", "True"], [1, 0, 0, 1, 0, 1]),
    "plain integers": ([3, 1, 1, 3, 1, 3], ["1", "3"], [1, 0, 0, 1, 0, 1]),
    "none at all": ([None] * 6, [], [None] * 6),
}
"""Values, the groups of them, and the group of each cell."""


@pytest.mark.parametrize("kind", LABELS)
def test_groups_are_those_of_the_labels(kind):
    values, wanted, of = LABELS[kind]
    cells = names("c", 6)
    member = Membership.groups(pd.Series(values, cells), "donor")
    assert (list(member.coarse), member.unit) == (wanted, "donor")
    assert member.matrix.toarray().tolist() == [[float(each == r) for each in of] for r in range(len(wanted))]
    assert member.fine.equals(cells)


def test_what_is_refused():
    one = names("a", 2)
    with pytest.raises(ValueError, match=r"2 x 3 units needs a matrix of that shape, not of \(2, 2\)"):
        Membership(sp.csr_array(np.eye(2)), one, names("b", 3))
    for bad in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="finite and at least 0"):
            made([[1.0, bad], [0.0, 1.0]])
    with pytest.raises(ValueError, match="Names of fine units must be unique; 'x' comes twice"):
        Membership(sp.csr_array(np.eye(2)), one, pd.Index(["x", "x"]))
    with pytest.raises(ValueError, match="Names of coarse units must be unique; 'x' comes twice"):
        Membership(sp.csr_array(np.eye(2)), pd.Index(["x", "x"]), one)


def test_the_given_matrix_stays_as_it_is_and_says_what_it_is():
    given = sp.csr_array((np.array([1.0, 2.0, 0.0]), np.array([1, 1, 0]), np.array([0, 2, 3])), shape=(2, 2))
    member = Membership(given, names("r", 2), names("c", 2), "spot")
    assert given.data.tolist() == [1, 2, 0]
    assert given.indptr.tolist() == [0, 2, 3]
    assert member.matrix.toarray().tolist() == [[0, 3], [0, 0]]
    assert repr(member) == "Membership of 2 units in 2 of kind 'spot', 1 of them not empty."

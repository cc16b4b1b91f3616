"""Copies of cells are told from neighbours, whatever the storage."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.neighbors import NearestNeighbors

from scvcell._containers import Matrix, view
from scvcell.risk.leakage import Case, copies
from scvcell.risk.leakage._copies import CANDIDATES, FEWEST_VALUES, NEAR, _hash, _prepared, nearness


@pytest.fixture(scope="module")
def cells(make):
    return make(1).X.toarray()


def test_hashes_tell_rows_by_their_values(cells):
    every = _hash(cells)
    assert len(set(every.tolist())) == len(cells)
    zeros = sp.csr_matrix(cells + (cells == 0))
    zeros.data[(cells == 0)[zeros.nonzero()]] = 0
    for same in (zeros, sp.csc_matrix(cells), cells.astype(np.int32), sp.csr_matrix(cells.astype(np.float64))):
        np.testing.assert_array_equal(_hash(same), every)
    assert zeros.nnz == cells.size, "the matrix that is read stays as it is"
    order = np.random.default_rng(0).permutation(len(cells))
    np.testing.assert_array_equal(_hash(cells[order]), every[order])
    moved = cells.copy()
    moved[:, [0, 1]] = moved[:, [1, 0]]
    changed = (moved != cells).any(1)
    np.testing.assert_array_equal(_hash(moved) != every, changed)
    few = np.zeros((2, 50), np.float32)
    few[:, : FEWEST_VALUES - 1] = 1
    assert not _hash(few).any(), "cells with so few values are alike by chance"


def test_nearness_is_that_of_an_exact_search(cells):
    test, train = np.arange(40), np.arange(40, len(cells))
    found = nearness(Matrix(sp.csr_matrix(cells)), train, test, np.random.default_rng(0))
    x = _prepared(cells, True).toarray()
    gap, _ = NearestNeighbors(n_neighbors=10, algorithm="brute").fit(x[train]).kneighbors(x[test])
    exact = gap[:, 0] / gap[:, 9]
    assert len(train) / 5 > CANDIDATES
    assert np.corrcoef(found, exact)[0, 1] > 0.9
    assert (found >= exact - 1e-5).mean() > 0.5
    np.testing.assert_allclose(found, exact, atol=0.06)


@pytest.mark.parametrize("how", ["poisson", "thinned", "some swapped"])
def test_noisy_copies_are_near_and_other_cells_are_not(cells, how):
    rng, x = np.random.default_rng(2), cells.copy()
    copied = x[40:60]
    x[:20] = {
        "poisson": lambda: rng.poisson(copied),
        "thinned": lambda: rng.binomial(copied.astype(int), 0.7),
        "some swapped": lambda: np.where(rng.random(copied.shape) < 0.1, rng.permutation(copied), copied),
    }[how]()
    ratio = nearness(Matrix(x), np.arange(40, len(x)), np.arange(40), rng)
    assert (ratio[:20] < NEAR).mean() >= 0.6, "a hundred genes; more tell more"
    assert not (ratio[20:] < NEAR).any()


def test_values_that_are_no_counts_are_taken_as_they_are(cells):
    scaled = np.log1p(cells) - np.log1p(cells).mean(0)
    scaled[:10] = scaled[50:60] + 0.01
    ratio = nearness(Matrix(scaled), np.arange(40, len(cells)), np.arange(40), np.random.default_rng(0))
    assert (ratio[:10] < 0.2).all()
    assert (ratio[10:] > NEAR).all()


def test_a_few_proteins_tell_no_neighbours(donors):
    small = donors.adata[:, :30].copy()
    found = [finding.check for finding in copies(Case(small, view(small), donors.split))]
    assert found == ["identical cells"]


def test_cells_of_another_batch_are_no_copies(donors):
    x = donors.adata.X.toarray()
    test = donors.adata.obs_names.isin(donors.split.test)
    x[test] = np.random.default_rng(0).poisson(x[test] * np.random.default_rng(1).gamma(2, 0.5, x.shape[1]))
    donors.adata.X = sp.csr_matrix(x.astype(np.float32))
    found = {f.check: f.value for f in copies(Case(donors.adata, view(donors.adata), donors.split))}
    assert found == {"identical cells": 0, "near-duplicate cells": 0}

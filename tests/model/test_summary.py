"""Feature statistics against pandas, in chunks, with panels and batches that lack the assay."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from scvcell._containers import Matrix
from scvcell.measure import Counts, Profile
from scvcell.model._summary import summarise

N, FEATURES = 40, 6


@pytest.fixture
def counts():
    rng = np.random.default_rng(0)
    return rng.poisson(rng.gamma(2, 1, FEATURES), (N, FEATURES)).astype(np.float32), rng.integers(3, size=N)


@pytest.mark.parametrize("fmt", [np.asarray, sp.csr_matrix, sp.csc_matrix])
@pytest.mark.parametrize("chunk", [7, 1000])
def test_means_and_depths_of_each_batch_are_pandas(counts, monkeypatch, fmt, chunk):
    monkeypatch.setattr(Matrix.chunks, "__defaults__", (chunk,))
    x, batch = counts
    found = summarise(Matrix(fmt(x)), np.arange(N), batch, 3, 5, Counts)
    logged = pd.DataFrame(np.log1p(x)).groupby(batch)
    np.testing.assert_allclose(found.mean_log, logged.mean(), rtol=1e-5)
    np.testing.assert_allclose(found.sd_log, np.maximum(logged.std(ddof=0), 1e-3), rtol=1e-3)
    np.testing.assert_allclose(found.depth, pd.Series(x.sum(1)).groupby(batch).median(), rtol=1e-6)
    np.testing.assert_allclose(found.mean, x.mean(0), rtol=1e-6)
    assert found.cells.tolist() == np.bincount(batch).tolist()
    assert (found.n_features, found.n_context, found.n_batches, found.rest) == (FEATURES, 5, 3, None)


def test_values_that_are_no_counts_are_taken_as_they_are(counts):
    x, batch = counts
    found = summarise(Matrix(x - 2), np.arange(N), batch, 3, 3, Profile)
    np.testing.assert_allclose(found.mean_log, pd.DataFrame(x - 2).groupby(batch).mean(), rtol=1e-4, atol=1e-6)


def test_only_the_rows_that_are_asked_for(counts):
    x, batch = counts
    some = np.flatnonzero(batch == 1)
    found = summarise(Matrix(x), some, batch[some], 3, 3, Counts)
    np.testing.assert_allclose(found.mean, x[some].mean(0), rtol=1e-6)
    assert (found.mean_log == found.mean_log[1]).all(), "batches without a cell get the mean of the others"
    np.testing.assert_allclose(found.depth, np.median(x[some].sum(1)))


def test_a_batch_that_did_not_measure_a_feature_gets_the_mean_of_those_that_did(counts):
    x, batch = counts
    x[batch == 0, 2] = 0
    panel = np.ones((3, FEATURES), bool)
    panel[0, 2] = False
    found = summarise(Matrix(x), np.arange(N), batch, 3, 3, Counts, panel)
    here = batch != 0
    assert found.mean[2] == pytest.approx(x[here, 2].mean())
    assert found.mean_log[0, 2] == pytest.approx(np.log1p(x[here, 2]).mean(), rel=1e-5)
    assert found.panel is panel


def test_what_a_given_depth_holds_beyond_the_features(counts):
    x, batch = counts
    given = x.sum(1) + np.arange(N)
    found = summarise(Matrix(x, depth=given.astype(np.float32)), np.arange(N), batch, 3, 3, Counts)
    assert found.rest == pytest.approx(np.arange(N).mean())
    np.testing.assert_allclose(found.depth, pd.Series(given).groupby(batch).median(), rtol=1e-6)

"""Rows are made when they are asked for, and are what a whole table would have."""

import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp

from scvcell.risk._log_counts import LogCounts, column_means
from scvcell.score import log_cp10k


@pytest.fixture
def counts():
    rng = np.random.default_rng(0)
    return rng.poisson(rng.gamma(0.3, 1, (700, 9))).astype(np.float32)


KINDS = {
    "dense": np.asarray,
    "dense, by columns": np.asfortranarray,
    "integers": lambda x: x.astype(np.uint16),
    "csr": sp.csr_matrix,
    "csc": sp.csc_matrix,
    "array": sp.csr_array,
}


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_read_as_the_array_that_it_stands_for(kind, counts):
    values, whole = LogCounts(KINDS[kind](counts)), log_cp10k(KINDS[kind](counts)).astype(np.float64)
    rows, mask = np.array([5, 3, 5, 699]), whole[:, 0] > 1
    assert (values.shape, len(values), values[rows].dtype) == (whole.shape, 700, np.float64)
    for at in (rows, mask, slice(3, 20), 7, -1, (rows, 2), (slice(None), [1, 4]), (3, 2), (mask, slice(2, 5))):
        np.testing.assert_array_equal(values[at], whole[at])
    np.testing.assert_array_equal(np.asarray(values), whole)
    assert np.asarray(values, np.float32).dtype == np.float32
    np.testing.assert_array_equal(values.depth(rows), np.maximum(counts[rows].sum(1), 1))


@pytest.mark.parametrize("kind", KINDS)
def test_means_go_by_blocks(kind, counts, monkeypatch):
    monkeypatch.setattr("scvcell._containers._blocks.MAX_BLOCK_VALUES", 64 * 9)
    table, rows = KINDS[kind](counts), np.array([1, 1, 650, *range(300)])
    whole = log_cp10k(counts).astype(float)
    np.testing.assert_allclose(column_means(LogCounts(table), rows), whole[rows].mean(0), rtol=1e-6)
    np.testing.assert_allclose(column_means(LogCounts(table), whole[:, 1] > 0), whole[whole[:, 1] > 0].mean(0), 1e-6)
    np.testing.assert_allclose(column_means(table), counts.mean(0), rtol=1e-6)
    np.testing.assert_allclose(column_means(table, of=np.sqrt), np.sqrt(counts).mean(0), rtol=1e-6)


def test_no_more_than_a_block_is_in_memory():
    counts = sp.random(200_000, 500, 0.01, "csr", np.float32, rng=np.random.default_rng(0))
    tracemalloc.start()
    column_means(LogCounts(counts), np.arange(200_000))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < counts.shape[0] * counts.shape[1] * 8 / 8

"""Rows that come in any order are read in theirs."""

import gc

import numpy as np
import pytest

from scvcell._containers import Spool


def test_rows_come_in_any_order(tmp_path):
    rng = np.random.default_rng(0)
    truth = rng.random((50, 7)).astype(np.float32)
    spool = Spool(truth.shape, tmp_path)
    order = rng.permutation(48)
    for rows in (order[:20], order[20:21], order[21:21], np.sort(order[21:])):
        spool[rows] = truth[rows].astype(np.float64)
    truth[48:] = 0
    np.testing.assert_array_equal(spool[:], truth)
    np.testing.assert_array_equal(spool[11:13], truth[11:13])
    assert spool[3:3].shape == (0, 7)
    spool[np.array([4])] = truth[5:6]
    np.testing.assert_array_equal(spool[4:5], truth[5:6])


@pytest.mark.parametrize("shape", [(0, 4), (3, 0)])
def test_nothing_is_an_array_too(tmp_path, shape):
    spool = Spool(shape, tmp_path)
    spool[np.arange(shape[0])] = np.zeros(shape)
    assert spool[:].shape == shape


def test_nothing_stays_in_the_folder(tmp_path):
    spool = Spool((4, 4), tmp_path)
    spool[np.arange(4)] = np.eye(4)
    assert list(tmp_path.iterdir()) == []
    del spool
    gc.collect()
    assert list(tmp_path.iterdir()) == []

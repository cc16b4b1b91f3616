"""Products on a device are those of scipy; the CPU stands for the device."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from scvcell.state import _product
from scvcell.state._product import Product, on


@pytest.mark.parametrize("form", [sp.csr_matrix, sp.csr_array, sp.csc_matrix, lambda x: x.toarray()])
@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64])
def test_rows_and_columns_times_a_matrix(form, kind):
    rng = np.random.default_rng(0)
    rows = form(sp.random(30, 12, 0.3, "csr", np.float64, rng).multiply(9).ceil().astype(kind))
    dense = (rows.toarray() if sp.issparse(rows) else rows).astype(np.float32)
    right, left = rng.normal(size=(5, 12)).astype(np.float32).T, rng.normal(size=(30, 4)).astype(np.float32)
    there = Product.of(rows, torch.device("cpu"))
    np.testing.assert_allclose(there @ right, dense @ right, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(there.T @ left, dense.T @ left, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(there.T.T @ right, dense @ right, rtol=1e-5, atol=1e-5)
    empty = Product.of(rows[:0], torch.device("cpu"))
    assert (empty @ right).shape == (0, 5)
    np.testing.assert_array_equal(empty.T @ left[:0], np.zeros((12, 4)))


def test_the_host_keeps_its_rows(monkeypatch):
    rows = sp.eye(3, format="csr", dtype=np.float32)
    assert on(rows, torch.device("cpu")) is rows
    monkeypatch.setattr(_product, "MULTIPLYING", ("cpu",))
    assert isinstance(on(rows, torch.device("cpu")), Product)

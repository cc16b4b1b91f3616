"""Spots that no mixture explains stand out by their deviance; Poisson noise alone does not make one."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from scvcell.objective import nb_deviance
from scvcell.tissue import Composition, misfit, unexplained


@pytest.fixture(scope="module")
def scene():
    rng = np.random.default_rng(0)
    rates, factor = rng.gamma(1.0, 2.0, (3, 50)), np.exp(rng.normal(0, 0.3, 50))
    cells = rng.dirichlet([1.0] * 3, 200) * 8
    x = rng.poisson(cells @ (rates * factor))
    x[:5] = rng.poisson(8 * rng.gamma(1.0, 2.0, 50), (5, 50))
    share = cells / cells.sum(1, keepdims=True)
    found = Composition(share, share, share, cells, rates, np.full(50, 1e3), factor, 0.0, None)
    return sp.csr_matrix(x.astype(float)), found


def test_spots_of_no_known_kind_stand_out(scene):
    x, found = scene
    deviance = misfit(x, found)
    wanted = nb_deviance(
        torch.from_numpy(x.toarray()),
        torch.from_numpy(found.cells @ (found.rates * found.factor)),
        torch.from_numpy(found.theta),
    )
    np.testing.assert_allclose(deviance, wanted.mean(1))
    odd = unexplained(deviance)
    assert odd[:5].all()
    assert not odd[5:].any()


def test_spots_that_are_alike_are_explained():
    assert not unexplained(np.ones(5)).any()
    assert not unexplained(np.array([2.0])).any()

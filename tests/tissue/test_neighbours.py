"""Expected neighbours: counted by loops, co-located cells, a null that finds planted neighbours and none by chance."""

import numpy as np
import pandas as pd
import scipy.sparse as sp

from scvcell._containers import Membership
from scvcell.tissue import neighbours


def line(n, width):
    """Neighbours on a line, up to a distance."""
    apart = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    names = pd.Index([f"u{i}" for i in range(n)])
    return Membership(sp.csr_array((apart <= width).astype(float)), names, names, "niche"), names


def told(cells, width=1, section=None):
    near, names = line(len(cells), width)
    section = np.zeros(len(cells), int) if section is None else section
    composition = Membership(sp.csr_array(cells), names, pd.Index([f"k{i}" for i in range(cells.shape[1])]))
    return neighbours(near, composition, section, np.arange(len(cells)), 0)


def test_pairs_are_those_that_loops_count():
    cells = np.array([[2, 1], [0, 3], [1, 0], [0, 0]], float)
    wanted = np.zeros((2, 2))
    single = [(unit, kind) for unit in range(4) for kind in range(2) for _ in range(int(cells[unit, kind]))]
    for i, (unit, kind) in enumerate(single):
        for j, (other, its) in enumerate(single):
            if i != j and unit != other and abs(unit - other) <= 1:
                wanted[kind, its] += 1
    for row in cells[:3]:  # n (n - 1) pairs within a unit, by the shares of its kinds
        wanted += np.outer(row, row) * (1 - 1 / row.sum())
    found = told(cells)
    np.testing.assert_allclose(found.observed, wanted)
    np.testing.assert_allclose(found.around[1], [3 / 4, 1 / 4])
    assert np.isnan(told(np.array([[1.0, 0], [0, 0]])).around[0]).all(), "nothing is known of what surrounds it"


def test_one_cell_in_a_unit_is_no_pair():
    found = told(np.eye(2)[[0, 1, 0]])
    np.testing.assert_array_equal(found.observed, [[0, 2], [2, 0]])


def test_the_null():
    rng = np.random.default_rng(0)
    alternating = told(np.eye(2)[np.arange(60) % 2])
    assert alternating.z[0, 1] > 4
    assert alternating.z[0, 0] < -4
    random = told(np.eye(3)[rng.integers(3, size=300)])
    assert np.abs(random.z).max() < 3.5
    halves = np.repeat([0, 1], 40)
    apart = told(np.eye(2)[halves], section=halves)
    np.testing.assert_array_equal(apart.z, 0, "sections of one kind have no other order")
    np.testing.assert_allclose(apart.expected, apart.observed)

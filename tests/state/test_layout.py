"""Positions in a mini-batch against plain loops over its cells."""

from itertools import combinations

import numpy as np
import pytest

from scvcell.state._layout import layout

CELLS = 25
ASSAYS = ["rna", "adt", "atac"]


@pytest.fixture(params=range(3))
def cells(request):
    """Which cells have which modality (``"age"`` does not tell of the state), and their batches."""
    rng = np.random.default_rng(request.param)
    rows = {name: np.flatnonzero(rng.random(CELLS) < 0.5) for name in (*ASSAYS, "age")}
    return rows, rng.integers(3, size=CELLS)


def test_cells_with_several_assays(cells):
    rows, batch = cells
    found = layout(CELLS, rows, ASSAYS, batch, "cpu")
    count = [sum(cell in rows[name] for name in ASSAYS) for cell in range(CELLS)]
    assert found.counts.tolist() == count
    for name in ASSAYS:
        expected = [(at, cell) for at, cell in enumerate(rows[name].tolist()) if count[cell] > 1]
        at, several = found.several[name]
        assert list(zip(at.tolist(), several.tolist(), strict=True)) == expected


def test_a_view_meets_every_modality_in_the_cells_of_both(cells):
    rows, batch = cells
    found = layout(CELLS, rows, ASSAYS, batch, "cpu")
    views = {"": np.arange(CELLS), **{name: found.several[name][1].numpy() for name in ASSAYS}}
    assert {view for view, _ in found.overlaps} == set(views)
    for view, seen in views.items():
        for name, own in rows.items():
            expected = [(i, k) for k, cell in enumerate(seen) for i, other in enumerate(own) if cell == other]
            keep, at = found.overlaps[view, name]
            assert list(zip(keep.tolist(), at.tolist(), strict=True)) == expected


def test_pairs_and_groups(cells):
    rows, batch = cells
    found = layout(CELLS, rows, ASSAYS, batch, "cpu")
    assert [(a, b) for a, b, *_ in found.pairs] == list(combinations(ASSAYS, 2))
    for a, b, in_a, in_b, both in found.pairs:
        assert set(both.tolist()) == set(rows[a]) & set(rows[b])
        np.testing.assert_array_equal(rows[a][in_a], both)
        np.testing.assert_array_equal(rows[b][in_b], both)
        expected = [
            ([i for i, c in enumerate(rows[a]) if batch[c] == v], [i for i, c in enumerate(rows[b]) if batch[c] == v])
            for v in range(3)
        ]
        kept = [(one, other) for one, other in expected if one and other]
        assert [(one.tolist(), other.tolist()) for one, other in found.groups[a, b]] == kept


def test_assays_that_share_no_cell_make_no_pair():
    rows = {"rna": np.array([0, 1]), "adt": np.array([2, 3])}
    found = layout(4, rows, ["rna", "adt"], np.array([0, 1, 1, 2]), "cpu")
    assert found.pairs == []
    assert found.several == {}
    assert set(found.overlaps) == {("", "rna"), ("", "adt")}
    assert [(a.tolist(), b.tolist()) for a, b in found.groups["rna", "adt"]] == [([1], [0])]

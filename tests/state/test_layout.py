"""Positions in a mini-batch against plain loops over its cells."""

from itertools import combinations

import numpy as np
import pytest
import torch

from scvcell.state._layout import layout, single_views

CELLS = 25
ASSAYS = ["rna", "adt", "atac"]


@pytest.fixture(params=range(3))
def cells(request):
    """Which cells have which modality (``"age"`` does not tell of the state), and their batches."""
    rng = np.random.default_rng(request.param)
    rows = {name: np.flatnonzero(rng.random(CELLS) < 0.5) for name in (*ASSAYS, "age")}
    return rows, rng.integers(3, size=CELLS)


def listed(places):
    return list(zip(*(p.tolist() for p in places), strict=True))


def meets(cells, own):
    """Positions of the same cells among the rows of a modality and in a view."""
    return [(i, k) for k, cell in enumerate(cells) for i, other in enumerate(own) if cell == other]


def test_the_view_of_all_cells_meets_every_modality(cells):
    rows, batch = cells
    found = layout(CELLS, rows, ASSAYS, batch, "cpu")
    assert found.counts.tolist() == [sum(cell in rows[name] for name in ASSAYS) for cell in range(CELLS)]
    assert found.whole.name == ""
    assert found.whole.cells.tolist() == list(range(CELLS))
    assert {m: listed(met[:2]) for m, met in found.whole.meets.items()} == {
        m: meets(range(CELLS), rows[m]) for m in rows
    }


def test_every_assay_is_a_view_of_the_cells_that_have_another_one(cells):
    rows, _ = cells
    found = single_views(CELLS, rows, ASSAYS, "cpu")
    assert [sight.name for sight in found] == ASSAYS
    for sight in found:
        several = [c for c in rows[sight.name] if sum(c in rows[name] for name in ASSAYS) > 1]
        assert sight.cells.tolist() == several
        assert rows[sight.name][sight.keep].tolist() == several
        assert {m: listed(met[:2]) for m, met in sight.meets.items()} == {m: meets(several, rows[m]) for m in rows}
        assert all(met.stands_for is None for met in sight.meets.values())


def test_a_drawn_modality_meets_each_cell_in_one_view_all_as_often(cells):
    rows, _ = cells
    has = {c: [m for m in ASSAYS if c in rows[m]] for c in range(CELLS)}
    asked = [c for c in rows["rna"] if len(has[c]) > 1]
    drawn = {c: [] for c in asked}
    whole = {sight.name: sight for sight in single_views(CELLS, rows, ASSAYS, "cpu")}
    torch.manual_seed(0)
    for _ in range(300):
        views = single_views(CELLS, rows, ASSAYS, "cpu", ["rna"])
        for sight in views:
            assert sight.cells.tolist() == whole[sight.name].cells.tolist()
            for name in ("adt", "atac", "age"):
                assert listed(sight.meets[name][:2]) == listed(whole[sight.name].meets[name][:2])
            if "rna" in sight.meets:
                met = sight.meets["rna"]
                chosen = sight.cells[met.at].tolist()
                assert [int(rows["rna"][at]) for at in met.rows] == chosen
                assert met.stands_for.tolist() == [len(has[c]) for c in chosen]
                for cell in chosen:
                    drawn[cell].append(sight.name)
    for cell in asked:
        assert len(drawn[cell]) == 300
        share = np.array([drawn[cell].count(m) for m in has[cell]]) / 300
        assert np.abs(share - 1 / len(share)).max() < 0.12  # over four standard errors


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
    assert set(found.whole.meets) == {"rna", "adt"}
    assert [single_views(4, rows, ["rna", "adt"], "cpu", drawn) for drawn in ((), ["rna"])] == [[], []]
    assert [(a.tolist(), b.tolist()) for a, b in found.groups["rna", "adt"]] == [([1], [0])]

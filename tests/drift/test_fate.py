"""Fates on walks whose ends are known in closed form."""

import numpy as np
import pytest
import scipy.sparse as sp

from scvcell.drift import absorbed, fates_differ, terminal_groups


def line(n, ahead):
    """Steps along a line of cells: ahead with a probability, else back; the first and the last cell stay."""
    steps = np.zeros((n, n))
    for i in range(1, n - 1):
        steps[i, i + 1], steps[i, i - 1] = ahead, 1 - ahead
    steps[0, 0] = steps[-1, -1] = 1
    return steps


@pytest.mark.parametrize("ahead", [0.5, 0.6])
def test_absorption_is_the_ruin_of_a_gambler(ahead):
    n = 12
    label = np.array(["poor", *[""] * (n - 2), "rich"])
    found = absorbed(sp.csr_array(line(n, ahead)), label, ["poor", "rich"])
    i, ratio = np.arange(n), (1 - ahead) / ahead
    rich = i / (n - 1) if ahead == 0.5 else (1 - ratio**i) / (1 - ratio ** (n - 1))
    np.testing.assert_allclose(found, np.stack([1 - rich, rich], 1), atol=1e-12)


def test_the_order_of_cells_does_not_matter():
    rng = np.random.default_rng(0)
    steps = rng.random((30, 30)) * (rng.random((30, 30)) < 0.3) + np.eye(30)
    steps /= steps.sum(1, keepdims=True)
    label = np.where(np.arange(30) < 3, "A", np.where(np.arange(30) < 6, "B", ""))
    one, order = absorbed(sp.csr_array(steps), label, ["A", "B"]), rng.permutation(30)
    other = absorbed(sp.csr_array(steps[np.ix_(order, order)]), label[order], ["A", "B"])
    np.testing.assert_allclose(other, one[order])
    np.testing.assert_allclose(one[6:], steps[6:] @ one)


def test_cells_from_which_no_end_is_reached_have_no_fate():
    half = line(5, 0.5)
    half[4] = [0, 0, 0, 1, 0]
    found = absorbed(sp.csr_array(np.kron(np.eye(2), half)), np.array(["end", *[""] * 9]), ["end"])
    assert np.isnan(found[5:]).all()
    np.testing.assert_allclose(found[:5], 1)


def stages(ahead, n=40):
    """Three groups of cells in a row, each cell beside the ten before and after it, and their steps."""
    place = np.arange(3 * n)
    near = (np.abs(place[:, None] - place) <= 10) & (place[:, None] != place)
    weight = near * np.where(place > place[:, None], ahead, 1.0)
    return sp.csr_array(weight / weight.sum(1, keepdims=True)), np.repeat(["a", "b", "c"], n)


def test_a_group_that_is_entered_and_not_left_is_an_end():
    for ahead, ends, left in ((5.0, ["c"], {"a", "b"}), (0.2, ["a"], {"b", "c"}), (1.0, [], set())):
        steps, label = stages(ahead)
        assert terminal_groups(steps, label, ["a", "b", "c"], np.ones(120, bool)) == (ends, left)


def test_a_walk_without_direction_has_no_end_however_dense_cells_are():
    rng = np.random.default_rng(1)
    place = np.sort(np.r_[rng.uniform(0, 1, 60), rng.uniform(1, 2, 20), rng.uniform(2, 3, 40)])
    near = (np.abs(place[:, None] - place) < 0.5) & ~np.eye(120, dtype=bool)
    label = np.array(["a", "b", "c"])[place.astype(int)]
    for ahead, ends in ((1.0, []), (1.03, []), (4.0, ["c"])):
        weight = near * np.where(place > place[:, None], ahead, 1.0)
        steps = sp.csr_array(weight / weight.sum(1, keepdims=True))
        assert terminal_groups(steps, label, ["a", "b", "c"], np.ones(120, bool))[0] == ends


def test_only_trusted_cells_at_a_border_name_an_end():
    steps, label = stages(5.0)
    for start, stop, found in ((70, 90, (["c"], {"b"})), (30, 50, (["b"], {"a"})), (76, 84, ([], set()))):
        trusted = np.zeros(120, bool)
        trusted[start:stop] = True
        assert terminal_groups(steps, label, ["a", "b", "c"], trusted) == found
    some = np.ones(120, bool)
    some[40:80] = False
    assert terminal_groups(steps, label, ["a", "b", "c"], some)[0] == []


def test_fates_that_are_all_the_same_are_said(caplog):
    label = np.array(["", "", "", "A", "B"])
    same, other = (np.array([[p, 1 - p] for p in (*first, 1, 0)]) for first in ((0.4, 0.41, 0.4), (0.1, 0.9, 0.5)))
    assert not fates_differ(np.ones((5, 1)), label, ["A"])
    assert not fates_differ(same, label, ["A", "B"])
    assert "Fates hardly differ between the 3 trusted cells" in caplog.text
    assert fates_differ(other, label, ["A", "B"])

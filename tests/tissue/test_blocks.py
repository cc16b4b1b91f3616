"""Blocks of units: of alike size, each in one place, whatever the order of units."""

import numpy as np
import pandas as pd
import pytest

from scvcell._containers import Space
from scvcell.tissue import apart, blocks
from scvcell.tissue._blocks import resampled


def space(xy, section=None):
    names = pd.Index([f"u{i}" for i in range(len(xy))])
    section = np.zeros(len(xy), int) if section is None else section
    return Space(names, np.asarray(xy, float), section, [*map(str, range(section.max() + 1))])


@pytest.mark.parametrize("n", [1, 3, 5, 8])
def test_blocks_are_alike_and_apart(n):
    xy = np.random.default_rng(0).random((97, 2)) * (1, 3)
    found = blocks(space(xy), n)
    size = np.bincount(found)
    assert len(size) == n
    assert size.max() - size.min() <= 2
    boxes = [(xy[found == b].min(0), xy[found == b].max(0)) for b in range(n)]
    for b, (low, high) in enumerate(boxes):
        inside = ((xy >= low) & (xy <= high)).all(1)
        assert (found[inside] == b).all(), "no unit of another block lies in its box"


def test_the_order_of_units_does_not_matter():
    rng = np.random.default_rng(0)
    xy = rng.integers(4, size=(60, 2)) + np.linspace(0, 1e-3, 60)[:, None]
    order = rng.permutation(60)
    np.testing.assert_array_equal(blocks(space(xy[order]), 5), blocks(space(xy), 5)[order])


def test_sections_are_cut_apart_and_units_without_a_place_are_in_none():
    xy = np.random.default_rng(0).random((40, 2))
    xy[0] = np.nan
    section = np.repeat([0, 1], 20)
    found = blocks(space(xy, section), 5)
    assert found[0] == -1
    for code in (0, 1):
        assert set(found[(section == code) & (found >= 0)]) == set(range(5))
    assert set(blocks(space(xy[:3]), 5)) == {-1, 0, 1}, "two units are two blocks"


def test_draws_are_of_as_many_tiles():
    found = resampled(np.array([0, 0, 1, 3]), 50, np.random.default_rng(0))
    assert found.shape == (50, 4)
    assert (found.sum(1) == 4).all()
    assert found.std() > 0


def test_blocks_of_sections_have_numbers_of_their_own():
    xy = np.random.default_rng(0).random((60, 2))
    xy[7] = np.nan
    code = apart(space(xy, np.repeat([0, 1], 30)), 4)
    assert code[7] == -1
    assert len(np.unique(code)) == 9
    assert not set(code[:30]) & set(code[30:])

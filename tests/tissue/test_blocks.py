"""Blocks of tissue: even, in one piece, whatever the order of the units."""

import numpy as np

from scvcell.tissue import blocks


def test_blocks_are_even_and_in_one_piece():
    rng = np.random.default_rng(0)
    xy, section = rng.random((400, 2)) * [4, 1], np.repeat([0, 1], 200)
    xy[5] = np.nan
    code = blocks(xy, section)
    assert code[5] == -1
    rest = np.delete(np.arange(400), 5)
    size = np.unique(code[rest], return_counts=True)[1]
    assert len(size) == 16
    assert set(size) <= {24, 25, 26}
    for block in np.unique(code[rest]):
        here = code == block
        assert len(np.unique(section[here])) == 1
        assert np.ptp(xy[here], axis=0).prod() < 1.0, "an eighth of the area of 4 and some"
    order = rng.permutation(400)
    np.testing.assert_array_equal(blocks(xy[order], section[order]), code[order])


def test_units_at_one_place():
    assert (blocks(np.zeros((10, 2)), np.zeros(10, int)) >= 0).all()

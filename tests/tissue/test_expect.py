"""Niches of dissociated cells: what a state tells of them, how much of it, and which cells are far."""

import numpy as np

from scvcell.tissue import expected_niche


def test_what_states_tell():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(400, 4))
    niche = np.concatenate([2 * z[:, :2] + 0.3 * rng.normal(size=(400, 2)), rng.normal(size=(400, 3))], 1)
    asked = np.concatenate([rng.normal(size=(20, 4)), np.full((1, 4), 30.0)])
    columns = {"told": slice(0, 2), "noise": slice(2, 5)}
    levels = [np.zeros(400, int), np.arange(400) // 50]
    found = expected_niche(asked, z, niche, columns, levels, np.arange(400))
    np.testing.assert_allclose(found.value[:20, :2], 2 * asked[:20, :2], atol=0.3)
    assert found.r2["told"] > 0.9
    assert -0.1 < found.r2["noise"] < 0.05
    assert found.near[:20].mean() > 0.8
    assert not found.near[20]


def test_units_that_are_not_known_do_not_count():
    rng = np.random.default_rng(0)
    z, known = rng.normal(size=(60, 2)), np.arange(50)
    niche = z @ rng.normal(size=(2, 3))
    levels = [np.arange(60) % 4]
    first = expected_niche(z, z, niche, {"all": slice(0, 3)}, levels, known)
    niche[50:], other = np.nan, z.copy()
    other[50:] = np.nan
    again = expected_niche(z, other, niche, {"all": slice(0, 3)}, levels, known)
    np.testing.assert_array_equal(again.value, first.value)
    assert again.r2 == first.r2

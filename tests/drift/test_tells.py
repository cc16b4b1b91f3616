"""What splicing tells, on arrays: genes whose ratio varies, nascent counts that follow, directions found again."""

import numpy as np
import pytest

import scvcell
from scvcell.drift import _tells


@pytest.fixture
def turning():
    """Cells on a circle; half of the genes swing with their angle, nascent counts ahead of mature ones."""
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, 2 * np.pi, 500)
    phase = rng.uniform(0, 2 * np.pi, 40)
    size = np.r_[np.ones(20), np.zeros(20)]
    level = size * np.sin(angle[:, None] - phase)
    slope = (size * np.cos(angle[:, None] - phase))[..., None]
    made = 1 + 0.6 * slope[..., 0]
    z = np.stack([np.cos(angle), np.sin(angle)], 1)
    return rng, z, level, slope, made


def way(z, slope):
    """Least squares of what is made on the slopes, as velocity along the circle."""

    def field(asked, made):
        excess = made[:, asked] / np.median(made[:, asked], 0) - 1
        here = slope[:, asked]
        steps = (here[..., 0] * excess).sum(1, keepdims=True) / ((here[..., 0] ** 2).sum(1, keepdims=True) + 1e-6)
        return steps * np.stack([-z[:, 1], z[:, 0]], 1), steps

    return field


def test_genes_that_tell(turning):
    rng, z, level, _, made = turning
    expected = 20 * np.exp(level)
    theta = np.full(40, 20.0)
    varies = rng.poisson(expected * made)
    found = _tells.informative(z, varies, expected, theta)
    assert found[:20].mean() > 0.8
    assert found[20:].mean() < 0.2
    order = rng.permutation(500)
    np.testing.assert_array_equal(_tells.informative(z[order], varies[order], expected[order], theta), found)
    assert _tells.informative(z, rng.poisson(expected), expected, theta).mean() < 0.2


def test_directions_are_found_again_by_other_genes(turning):
    rng, z, level, slope, made = turning
    told = _tells.told(way(z, slope), slope, made, level, True, rng)
    assert told.shape == (500,)
    assert np.median(told) > 0.5
    noise = rng.lognormal(0, 0.3, made.shape)
    nothing = _tells.told(way(z, slope), slope, noise, level, True, rng)
    assert (nothing >= 0.5).mean() < 0.05


def test_nascent_counts_of_other_cells_do_not_go_together_with_mature_ones():
    adata = scvcell.datasets.simulate_kinetics(300, n_genes=60, seed=0)
    mature, nascent = (adata.layers[name].toarray() for name in ("spliced", "unspliced"))
    assert _tells.together(mature, nascent) > 2 * _tells.MIN_COUPLING
    others = nascent[np.random.default_rng(0).permutation(300)]
    assert abs(_tells.together(mature, others)) < _tells.MIN_COUPLING / 2
    assert _tells.together(mature, nascent * np.arange(1, 4).repeat(100)[:, None]) > 2 * _tells.MIN_COUPLING


def test_proportion():
    level = np.random.default_rng(0).normal(size=(100, 20))
    for exponent in (0.0, 0.6, 1.2):
        assert _tells.in_proportion(level, np.exp((exponent - 1) * level)) == pytest.approx(exponent)


def test_a_background_that_turns_the_direction_is_not_trusted():
    """Cells on a line, all at steady state: nascent counts with a background point to its middle, from both ends."""
    rng = np.random.default_rng(1)
    place = rng.uniform(-1, 1, 500)
    weight = rng.normal(0, 1, 40)
    level = place[:, None] * weight
    slope = np.broadcast_to(weight, level.shape)[..., None]
    made = np.exp(-0.4 * level)

    def field(asked, made):
        excess = made[:, asked] / np.median(made[:, asked], 0) - 1
        steps = (excess @ weight[asked] / (weight[asked] ** 2).sum())[:, None]
        return steps, steps

    assert np.corrcoef(field(np.arange(40), made)[0][:, 0], place)[0, 1] < -0.9
    assert (_tells.told(field, slope, made, level, True, rng) >= 0.5).mean() < 0.05

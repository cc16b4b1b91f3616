"""Bins of a section: they cover its cells, the point is the best one by search, and regions hold what they say."""

import numpy as np
import pytest
from scipy.optimize import minimize

from scvcell.scale import Bins, _bins, bins, geometric_median, mass_needed, radius_of, region_share


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("n", [20, 150])
def test_bins_cover_the_cells(dimensions, n):
    xy = np.random.default_rng(0).uniform(0, [1000, 500, 200][:dimensions], (600, dimensions)) + 1e5
    found = bins(xy, n)
    assert 0.7 * n <= len(found.places) <= 1.3 * n
    assert found.places.shape[1] == dimensions
    apart = np.linalg.norm(found.places[found.nearest(xy)] - xy, axis=1)
    assert apart.max() <= found.width * np.sqrt(dimensions) / 2 + 1e-6, "each cell is in a bin of the lattice"
    steps = (found.places[1:] - found.places[0]) / found.width
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-6)


def test_bins_move_and_scale_with_the_section():
    xy = np.random.default_rng(0).normal(0, 100, (300, 2))
    one, other = bins(xy, 60), bins(0.01 * xy[::-1] + 7, 60)
    np.testing.assert_allclose(other.places, 0.01 * one.places + 7, rtol=1e-9)
    assert other.width == pytest.approx(0.01 * one.width)


def test_one_stray_cell_does_not_take_the_bins():
    xy = np.concatenate([np.random.default_rng(0).uniform(0, 100, (400, 2)), [[1e5, 1e5]]])
    found = bins(xy, 100)
    assert (found.places < 200).all(1).mean() > 0.8
    assert len(found.places) < 200


def test_small_holes_are_of_the_section_and_large_ones_are_not():
    rng = np.random.default_rng(0)
    xy = rng.uniform(0, 100, (5000, 2))
    for size, held in ((8, True), (50, False)):
        found = bins(xy[(np.abs(xy - 50) > size / 2).any(1)], 400)
        assert (np.abs(found.places - 50) < 3).all(1).any() == held


def test_a_line_and_a_point():
    line = np.stack([np.linspace(0, 10, 50), np.full(50, 3.0)], 1)
    found = bins(line, 10)
    assert 8 <= len(found.places) <= 12
    assert (found.places[:, 1] == 3).all()
    assert bins(line[:1].repeat(4, 0), 10).places.tolist() == [[0, 3]]


def test_spread_is_a_kernel():
    found = bins(np.random.default_rng(0).uniform(0, 10, (100, 2)), 25)
    weight = found.spread(found.places[:3], 2.0)
    np.testing.assert_allclose(weight.sum(1), 1, rtol=1e-5)
    squared = ((found.places[:3, None] - found.places) ** 2).sum(-1)
    np.testing.assert_allclose(np.log(weight / weight[:, :1]), -(squared - squared[:, :1]) / 8, atol=1e-3)


@pytest.mark.parametrize("n", [50, 900])
def test_the_point_is_the_best_one(n):
    """Against a search by scipy; above `N_COARSE` bins a lattice comes first."""
    rng = np.random.default_rng(0)
    found = bins(rng.uniform(0, 100, (4000, 2)), n)
    assert (len(found.places) > _bins.N_COARSE) == (n > _bins.N_COARSE)
    p = rng.dirichlet(np.full(len(found.places), 0.05), 6)
    p[0] = 0
    p[0, 7] = 1
    points, apart = geometric_median(p, found)
    for row, point, distance in zip(p, points, apart, strict=True):

        def cost(q, row=row):
            return row @ np.sqrt(((q - found.places) ** 2).sum(1) + (found.width / 4) ** 2)

        best = minimize(cost, row @ found.places, method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-6})
        assert cost(point) <= best.fun * 1.002
        assert distance == pytest.approx(cost(point), rel=1e-3)
    np.testing.assert_allclose(points[0], found.places[7], atol=1e-3)


def test_points_do_not_see_each_other(monkeypatch):
    rng = np.random.default_rng(0)
    found = bins(rng.uniform(0, 100, (4000, 2)) + 1e6, 100)
    p = rng.dirichlet(np.full(len(found.places), 0.1), 30)
    points, apart = geometric_median(p, found)
    monkeypatch.setattr(_bins, "CELLS_PER_BLOCK", 7)
    again, far = geometric_median(p[::-1], found)
    np.testing.assert_allclose(again[::-1], points, atol=1e-2)
    np.testing.assert_allclose(far[::-1], apart, rtol=1e-4)


def test_regions_by_hand():
    p = np.array([[0.5, 0.3, 0.15, 0.05], [0.25, 0.25, 0.25, 0.25]])
    np.testing.assert_allclose(mass_needed(p, np.array([1, 2])), [0.8, 1])
    np.testing.assert_allclose(mass_needed(p, np.array([3, 0])), 1)
    np.testing.assert_allclose(region_share(p, 0.8), [0.5, 0.75])
    np.testing.assert_allclose(region_share(p, 0.3), [0.25, 0.25], err_msg="one bin is always in it")
    np.testing.assert_allclose(region_share(p, 1.0), 1)


def test_a_bin_is_in_the_region_if_it_needs_no_more_mass():
    p = np.random.default_rng(0).dirichlet(np.full(40, 0.3), 25)
    for level in (0.4, 0.9):
        needed = np.stack([mass_needed(p, np.full(25, b)) for b in range(40)], 1)
        held = np.maximum((needed <= level).sum(1), 1)
        np.testing.assert_allclose(region_share(p, level), held / 40)


def test_radius_by_hand():
    found = Bins(np.array([[0.0, 0], [1, 0], [3, 0], [0, 10]]), 1.0)
    p = np.array([[0.4, 0.3, 0.2, 0.1]] * 2)
    point = np.zeros((2, 2))
    np.testing.assert_allclose(radius_of(p, point, found, 0.65), 1, atol=0.01)
    np.testing.assert_allclose(radius_of(p, point, found, 0.85), 3, atol=0.01)
    np.testing.assert_allclose(radius_of(p, point, found, 0.95), 10, atol=0.01)

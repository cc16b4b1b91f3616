"""Shapes that hold points, and shares of area, on squares and circles whose answer is known."""

import geopandas
import numpy as np
import pytest
from shapely import Point, box

from scvcell._containers._shapes import covered, held


def discs(xy, radius):
    return geopandas.GeoDataFrame({"radius": radius}, geometry=[Point(each) for each in xy])


def pairs(found):
    row, column, weight = found
    return {(int(r), int(c)): float(w) for r, c, w in zip(row, column, weight, strict=True)}


@pytest.mark.parametrize("shapes", ["discs", "boxes"])
def test_points_without_a_place_are_in_none(shapes):
    xy = np.array([[0.0, 0.0], [np.nan, 0.0], [3.0, 0.0], [0.9, 0.0]])
    made = discs([(0, 0), (9, 9)], [1.0, 1.0])
    if shapes == "boxes":
        made = geopandas.GeoDataFrame(geometry=[box(-1, -1, 1, 1), box(8, 8, 10, 10)])
    assert pairs(held(made, xy)) == {(0, 0): 1.0, (0, 3): 1.0}
    assert pairs(held(made.iloc[1:], xy)) == {}


def test_a_point_may_be_in_several():
    assert pairs(held(discs([(0, 0), (1, 0)], [1.0, 1.0]), np.array([[0.5, 0.0]]))) == {(0, 0): 1.0, (1, 0): 1.0}


def test_shares_of_area():
    coarse = geopandas.GeoDataFrame(geometry=[box(0, 0, 2, 2), box(2, 0, 4, 2)])
    fine = geopandas.GeoDataFrame(geometry=[box(1, 0, 3, 1), box(0, 0, 1, 1), box(3.5, 0, 5.5, 1), box(9, 9, 10, 10)])
    found = pairs(covered(coarse, fine))
    assert found == pytest.approx({(0, 0): 0.5, (1, 0): 0.5, (0, 1): 1.0, (1, 2): 0.25})

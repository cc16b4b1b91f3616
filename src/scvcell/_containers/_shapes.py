"""Which circles and polygons hold which points, and how much of which areas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.spatial import KDTree

if TYPE_CHECKING:
    from scvcell._types import Array, Rows


def held(shapes: Any, xy: Array) -> tuple[Rows, Rows, Array]:
    """Pairs of a shape and a point that is in it, and weights of 1.

    Parameters
    ----------
    shapes
        GeoDataFrame of circles (points and a radius) or polygons.
    xy
        Points, ``(points, 2 or 3)``; those without a place are in none.
    """
    known = np.flatnonzero(np.isfinite(xy).all(1))
    geometry = shapes.geometry.to_numpy()
    if "radius" in shapes:
        centre = np.stack([shapes.geometry.x, shapes.geometry.y], 1)
        held = KDTree(xy[known][:, :2]).query_ball_point(centre, shapes["radius"].to_numpy())
        row = np.repeat(np.arange(len(held)), [len(each) for each in held])
        column = np.concatenate([np.asarray(each, np.int64) for each in held]) if len(row) else row
    else:
        from shapely import STRtree, points

        column, row = STRtree(geometry).query(points(xy[known][:, :2]), predicate="intersects")
    return row.astype(np.int64), known[column.astype(np.int64)], np.ones(len(row))


def covered(coarse: Any, fine: Any) -> tuple[Rows, Rows, Array]:
    """Pairs of shapes that overlap, and the share of the finer one's area that the coarser one covers.

    Parameters
    ----------
    coarse, fine
        GeoDataFrames of circles or polygons.
    """
    from shapely import STRtree, area, intersection

    one, other = (s.geometry.buffer(s["radius"]) if "radius" in s else s.geometry for s in (coarse, fine))
    one, other = one.to_numpy(), other.to_numpy()
    column, row = STRtree(one).query(other, predicate="intersects")
    return row, column, area(intersection(one[row], other[column])) / area(other[column])

"""Tables with coordinates to a SpatialData: one circle for each unit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from anndata import AnnData

    from scvcell._types import Array

REGION, INSTANCE = "region", "instance"
"""Columns of obs by which a table annotates circles."""


def circles(tables: Mapping[str, AnnData], regions: Mapping[str, Sequence[str]], radius: Mapping[str, Array]) -> Any:
    """Tables, and the circles that they annotate.

    Parameters
    ----------
    tables
        Units with ``obsm["spatial"]``, by name; they stay as they are.
    regions
        Of each table the element of every unit.
    radius
        Of each table the radius of every unit, in the unit of the coordinates.

    Raises
    ------
    ImportError
        If spatialdata is not installed.
    """
    try:
        from spatialdata import SpatialData
        from spatialdata.models import ShapesModel, TableModel
    except ImportError as error:
        raise ImportError(
            "A SpatialData needs the package spatialdata: `pip install 'scvcell[spatial]'`, or give as_anndata=True."
        ) from error
    shapes, parsed = {}, {}
    for name, table in tables.items():
        table, region = table.copy(), np.asarray(regions[name])
        xy = np.asarray(table.obsm["spatial"], dtype=float)
        for element in dict.fromkeys(region):
            here = region == element
            index = table.obs_names[here].astype(str)
            shapes[str(element)] = ShapesModel.parse(xy[here], geometry=0, radius=radius[name][here], index=index)
        table.obs[REGION] = pd.Categorical(region)
        table.obs[INSTANCE] = table.obs_names.astype(str).to_numpy(object)
        parsed[name] = TableModel.parse(
            table, region=[str(each) for each in dict.fromkeys(region)], region_key=REGION, instance_key=INSTANCE
        )
    return SpatialData(shapes=shapes, tables=parsed)

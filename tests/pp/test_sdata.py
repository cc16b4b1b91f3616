"""Tables with places as a SpatialData of circles, which opens and says where its units are."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from spatialdata.models import TableModel

import scvcell
from scvcell._containers import Space, view


def table(n=20, features=3, seed=0, prefix="c"):
    rng = np.random.default_rng(seed)
    obs = pd.DataFrame(
        {"slide": ["s1", "s2"] * (n // 2), "wide": rng.random(n) + 1}, [f"{prefix}{i}" for i in range(n)]
    )
    return AnnData(np.ones((n, features), np.float32), obs=obs, obsm={"spatial": rng.random((n, 2)) * 50})


@pytest.mark.parametrize("section_key", [None, "slide"])
@pytest.mark.parametrize("features", [3, 0])
def test_units_are_where_they_were(section_key, features, fingerprint):
    cells, mapped = table(), table(8, features, seed=1, prefix="m")
    before = fingerprint(mapped)
    sdata = scvcell.pp.to_spatialdata({"cells": cells, "mapped": mapped}, section_key=section_key)
    assert fingerprint(mapped) == before
    for name, given in (("cells", cells), ("mapped", mapped)):
        TableModel().validate(sdata[name])
        if given.n_vars:
            space = Space.of(view(sdata, table_key=name))
            np.testing.assert_allclose(space.xy, given.obsm["spatial"])
            assert len(space.sections) == (1 if section_key is None else 2)
    assert set(sdata.coordinate_systems) == ({"global"} if section_key is None else {"s1", "s2"})


def test_radius():
    cells = table()
    assert set(scvcell.pp.to_spatialdata(cells, radius=2.5)["table_circles"]["radius"]) == {2.5}
    own = scvcell.pp.to_spatialdata(cells, radius="wide")["table_circles"]["radius"]
    np.testing.assert_allclose(own.loc[cells.obs_names], cells.obs["wide"])
    cells.obsm["spatial"] = np.stack([np.arange(20) * 4.0, np.zeros(20)], 1)
    assert set(scvcell.pp.to_spatialdata(cells)["table_circles"]["radius"]) == {2.0}
    assert set(scvcell.pp.to_spatialdata(cells[:1].copy())["table_circles"]["radius"]) == {1.0}


def lost(cells):
    cells.obsm["spatial"][3] = np.nan
    return cells


@pytest.mark.parametrize(
    ("ask", "error", "said"),
    [
        (lambda: scvcell.pp.to_spatialdata(lost(table())), ValueError, "1 units of 'table' have no place.*'c3'"),
        (lambda: scvcell.pp.to_spatialdata(table(), section_key="slid"), KeyError, "Did you mean 'slide'"),
        (lambda: scvcell.pp.to_spatialdata(table(), radius=0), ValueError, "radius must be above 0"),
        (lambda: scvcell.pp.to_spatialdata(table(), radius=[1]), TypeError, "a number or a column"),
        (lambda: scvcell.pp.to_spatialdata({"a": 3}), TypeError, "takes AnnData, not int"),
    ],
)
def test_what_is_refused(ask, error, said):
    with pytest.raises(error, match=said):
        ask()

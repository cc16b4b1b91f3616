"""Units by a column, neighbours, shapes or a membership; tests/tl/test_project.py asks what becomes of them."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import scvcell
from scvcell._containers import Membership, units_of, view


@pytest.fixture
def cells():
    rng = np.random.default_rng(0)
    adata = AnnData(np.ones((30, 2), np.float32), obs=pd.DataFrame({"donor": list("ab") * 15}))
    adata.obs_names = [f"c{i}" for i in range(30)]
    adata.obs.iloc[4, 0] = None
    adata.obsm["spatial"] = rng.random((30, 2))
    return adata


def test_a_column(cells, caplog):
    found, place = units_of(view(cells), "donor", None)
    assert place is None
    assert list(found.coarse) == ["a", "b"]
    assert found.weight.tolist() == [14, 15]
    assert "1 of 30 cells have no label" in caplog.text


def test_neighbours_and_a_membership(cells):
    found, _ = units_of(view(cells), 5, None)
    assert (found.weight == 5).all()
    assert (found.matrix.diagonal() == 1).all(), "each cell is in its own niche"
    assert units_of(view(cells), found, None)[0] is found
    with pytest.raises(ValueError, match="not the 29 cells"):
        units_of(view(cells[1:]), found, None)
    assert units_of(view(cells), np.int64(5), None)[0].weight.tolist() == found.weight.tolist()


def test_shapes_where_no_column_has_the_name():
    sdata = scvcell.datasets.simulate_tissue(300, n_donors=1, n_genes=20, as_anndata=False, seed=1)
    found, place = units_of(view(sdata, table_key="cells"), "donor1_spots", None)
    assert isinstance(found, Membership)
    assert list(place.instance) == list(found.coarse)
    sdata["cells"].obs["donor1_spots"] = "one"
    assert list(units_of(view(sdata, table_key="cells"), "donor1_spots", None)[0].coarse) == ["one"]


@pytest.mark.parametrize("by", [True, 1.5, None, ["donor"]])
def test_what_is_no_unit(cells, by):
    with pytest.raises(TypeError, match="by= takes"):
        units_of(view(cells), by, None)

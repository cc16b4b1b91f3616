import os

import numpy as np
import pytest
from scipy.spatial import KDTree

from scvcell import datasets
from scvcell.datasets._registry import entries


def local(name):
    if "SCVCELL_DATA_DIR" not in os.environ or not entries()[name].available():
        pytest.skip(f"{name} is not on this machine")
    return getattr(datasets, name)


def spacing(adata):
    xy = adata.obsm["spatial"]
    return np.median(KDTree(xy).query(xy, k=2)[0][:, 1])


def test_breast_is_two_tables_in_one_frame_in_micrometres():
    tables = local("breast")(as_anndata=True)
    cells, spots = tables["xenium"], tables["visium"]
    assert (cells.shape, spots.shape) == ((17136, 313), (709, 4136))
    assert len(cells.var_names.intersection(spots.var_names)) == 307
    assert spacing(spots) == pytest.approx(100, abs=0.1)
    for end in (np.min, np.max):
        assert np.abs(end(cells.obsm["spatial"], 0) - end(spots.obsm["spatial"], 0)).max() < 50, "of one field"
    assert cells.obs["cell_type"].isna().sum() == 268
    assert cells.obs["cell_type"].nunique() == 11
    # cells fill at most the tissue
    width, height = np.ptp(cells.obsm["spatial"], axis=0)
    assert 0.3 < cells.obs["cell_area"].sum() / (width * height) < 1
    for table in (cells, spots):
        assert (table.X.data == table.X.data.round()).all()


def test_breast_as_spatialdata_holds_the_same():
    pytest.importorskip("spatialdata")
    load = local("breast")
    sdata, tables = load(), load(as_anndata=True)
    for name, element in (("xenium", "xenium_cells"), ("visium", "visium_spots")):
        table = sdata.tables[name]
        assert abs(table.X - tables[name].X).max() == 0
        circles = sdata.shapes[element].loc[table.obs["instance"]]
        np.testing.assert_allclose(np.stack([circles.geometry.x, circles.geometry.y], 1), tables[name].obsm["spatial"])
    area = np.pi * sdata.shapes["xenium_cells"]["radius"].to_numpy() ** 2
    np.testing.assert_allclose(area, tables["xenium"].obs["cell_area"])


def test_dlpfc_is_two_sections_over_shared_genes():
    adata = local("dlpfc")()
    assert adata.shape == (7312, 3837)
    assert adata.obs["section"].value_counts().to_dict() == {"151674": 3673, "151673": 3639}
    assert adata.obs["layer"].isna().sum() == 66
    assert set(adata.obs["layer"].cat.categories) == {"L1", "L2", "L3", "L4", "L5", "L6", "WM"}
    for section in ("151673", "151674"):
        assert spacing(adata[adata.obs["section"] == section]) == pytest.approx(100, abs=1)


def test_starmap_is_three_sections():
    adata = local("starmap")()
    assert adata.shape == (3190, 166)
    assert adata.obs["section"].nunique() == 3
    assert adata.obs["cell_type"].nunique() == 15
    assert adata.obs["domain"].nunique() == 4
    assert adata.obsm["spatial"].shape == (3190, 2)


def test_lymph_node_is_spots_and_a_reference():
    tables = local("lymph_node")()
    assert {name: table.shape for name, table in tables.items()} == {"visium": (1000, 2000), "reference": (330, 10237)}
    assert tables["reference"].obs["cell_type"].value_counts().unique().tolist() == [30]
    assert "spatial" in tables["visium"].obsm

import sys

import numpy as np
import pytest

from scvcell.datasets import simulate_tissue


def test_tables_annotate_circles_and_stay_as_they_are(tmp_path):
    spatialdata = pytest.importorskip("spatialdata")
    tables = simulate_tissue(300, n_genes=20, seed=1)
    sdata = simulate_tissue(300, n_genes=20, as_anndata=False, seed=1)
    assert "region" not in tables["cells"].obs
    assert set(sdata.shapes) == {f"donor{k}_{name}" for k in (1, 2) for name in ("cells", "spots")}
    sdata.write(tmp_path / "tissue.zarr")
    back = spatialdata.read_zarr(tmp_path / "tissue.zarr")
    for name, radius in (("cells", 6.0), ("spots", 27.5)):
        table = back.tables[name]
        assert abs(table.X - tables[name].X).max() == 0
        for region, own in table.obs.groupby("region", observed=True):
            circles = back.shapes[region].loc[own["instance"]]
            xy = np.stack([circles.geometry.x, circles.geometry.y], 1)
            np.testing.assert_allclose(xy, table[own.index].obsm["spatial"])
            assert (circles["radius"] == radius).all()
            assert region == f"{own['section'].iloc[0]}_{name}"


def test_without_spatialdata_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "spatialdata", None)
    with pytest.raises(ImportError, match=r"scvcell\[spatial\].*as_anndata=True"):
        simulate_tissue(300, n_genes=20, as_anndata=False)

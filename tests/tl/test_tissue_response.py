"""What an action would do to cells in place: they stay where they are, and are pooled to spots, niches and sections."""

from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp

import scvcell
from scvcell.scale import Membership


@pytest.fixture(scope="module")
def tissue(quick):
    """Sections of two donors, each also treated, as a SpatialData; rows of the table in an order of their own."""
    tables = scvcell.datasets.simulate_tissue(200, n_genes=40, action=True, seed=1)
    sdata = scvcell.datasets.simulate_tissue(200, n_genes=40, action=True, as_anndata=False, seed=1)
    order = np.random.default_rng(0).permutation(800)
    sdata.tables["cells"] = sdata.tables["cells"][order].copy()
    keys = scvcell.PerturbationKeys("action", control="control")
    model = scvcell.tl.fit(sdata, table_key="cells", batch_key="donor", perturbation=keys, train=quick)
    after = scvcell.tl.perturb(sdata, model, "A1")
    return SimpleNamespace(sdata=sdata, tables=tables, model=model, after=after)


def test_cells_stay_in_their_places(tissue):
    cells, after = tissue.tables["cells"], tissue.after
    assert after.n_obs == 400
    of = after.obs["source_cell"]
    np.testing.assert_allclose(after.obsm["spatial"], cells[of].obsm["spatial"])
    assert after.obs["section"].tolist() == cells.obs["section"][of].tolist()
    assert set(after.obs["action"]) == {"A1"}


def test_they_are_a_table_of_the_same_elements(tissue, tmp_path):
    import spatialdata

    sdata = spatialdata.SpatialData(shapes=dict(tissue.sdata.shapes), tables=dict(tissue.sdata.tables))
    sdata["after"] = tissue.after.copy()
    sdata.write(tmp_path / "a.zarr")
    back = spatialdata.read_zarr(tmp_path / "a.zarr")["after"]
    assert back.obs["instance"].tolist() == tissue.after.obs["source_cell"].tolist()
    assert set(back.obs["region"]) == {"donor1_control_cells", "donor2_control_cells"}
    several = scvcell.tl.perturb(tissue.sdata, tissue.model, "A1", n_samples=2)
    assert several.n_obs == 800
    np.testing.assert_array_equal(several.obsm["spatial"], np.tile(tissue.after.obsm["spatial"], (2, 1)))
    assert "spatialdata_attrs" not in several.uns, "no units of an element, as each comes twice"


def test_cells_without_places_have_none(tissue):
    cells = tissue.tables["cells"].copy()
    plain = scvcell.tl.perturb(cells, tissue.model, "A1")
    np.testing.assert_allclose(plain.obsm["spatial"], cells[plain.obs["source_cell"]].obsm["spatial"])
    del cells.obsm["spatial"]
    bare = scvcell.tl.perturb(cells, tissue.model, "A1")
    assert "spatial" not in bare.obsm
    np.testing.assert_array_equal(bare.X.toarray(), plain.X.toarray())


@pytest.mark.parametrize("by", ["section", "donor", 6])
def test_they_are_projected(tissue, by):
    after, section = tissue.after, tissue.after.obs["section"].astype(str).to_numpy()
    found = scvcell.tl.project(after, tissue.model, by=by, section_key="section" if by == 6 else None)
    if by == 6:
        space = scvcell.scale.Space.of(scvcell._containers.view(after), "section")
        wanted = space.nearest(6).sum(after.X)
        assert found.n_obs == after.n_obs
    else:
        wanted = sp.csr_matrix(
            np.array([np.asarray(after.X[section == s].sum(0)).ravel() for s in sorted(set(section))])
        )
        assert set(found.obs["action"]) == {"A1"}
    assert abs(found.X - wanted).max() == 0
    assert np.isfinite(found.obsm["X_csl"]).all()


def test_pooling_to_spots_is_tested_against_the_action(tissue):
    cells, spots = tissue.tables["cells"], tissue.tables["spots"]
    units = Membership(sp.csr_array(spots.obsm["membership"]), spots.obs_names, cells.obs_names, "spot")

    def ask(data, by):
        return scvcell.tl.order_effect(data, tissue.model, "A1", "aggregate", by=by, n_null=1)

    found = [ask(cells, by) for by in (units, "niche")]
    assert [table["kappa"].gt(0).all() for table in found] == [True, True]
    # a spot is of one section, which is treated or not; niches are of both, where measured pools are compared
    assert [table["compared"].item() for table in found] == ["operator", "pools"]
    assert found[0]["n_cells"].item() == 400
    assert found[1]["n_cells"].item() > 700
    assert found[0]["kappa"].item() != found[1]["kappa"].item()
    assert np.isfinite(ask(tissue.sdata, 4)["kappa"]).all()

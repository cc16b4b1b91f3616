"""tl.niche: planted niches and neighbours are found, places and orders are respected, what cannot be is refused."""

from types import SimpleNamespace

import anndata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from sklearn.metrics import adjusted_rand_score

import scvcell


@pytest.fixture(scope="module")
def scene(quick):
    """Two sections of cells of known niches, a model of them."""
    from dataclasses import replace

    cells = scvcell.datasets.simulate_tissue(300, n_donors=2, n_genes=80, n_niches=2, seed=3)["cells"]
    cells.obs = cells.obs.rename(columns={"niche": "zone"})
    model = scvcell.tl.fit(cells, train=replace(quick, max_epochs=15))
    found = cells.copy()
    scvcell.tl.niche(found, model, k=(6, 18), section_key="section", n_niches=3, composition="cell_type")
    return SimpleNamespace(cells=cells, model=model, found=found)


def test_planted_niches(scene):
    found = scene.found
    zone = found.obs["zone"].astype(str).replace({"mixed": "pair", "apart": "pair"})
    assert adjusted_rand_score(zone, found.obs["niche"]) > 0.25
    assert found.obs["niche"].value_counts().loc[["0", "1", "2"]].is_monotonic_decreasing
    columns = found.uns["csl_niche"]["columns"]
    assert list(columns) == ["own", "scores 6", "pool 6", "scores 18", "pool 18"]
    assert found.obsm["X_niche"].shape == (600, columns["pool 18"][1])


def test_planted_neighbours(scene):
    told = scene.found.uns["csl_niche"]["neighbours"]
    kinds = list(told["kinds"])
    pair = [kinds.index("type1"), kinds.index("type2")]
    rest = [i for i in range(len(kinds)) if i not in pair]
    assert told["z"][pair][:, pair].min() > 3, "types of one zone are neighbours"
    assert told["z"][pair][:, rest].max() < 0
    around = scene.found.obsm["X_niche_composition"]
    np.testing.assert_allclose(around.sum(1), 1, rtol=1e-5)


def test_a_lifted_table_tells_the_same_as_its_labels(scene):
    """One cell in each unit, the rows in another order."""
    kinds = pd.get_dummies(scene.cells.obs["cell_type"]).astype(float)
    table = AnnData(kinds.to_numpy(), obs=scene.cells.obs[[]], var=pd.DataFrame(index=kinds.columns.astype(str)))
    data = scene.cells.copy()
    scvcell.tl.niche(
        data, scene.model, k=(6, 18), section_key="section", composition=table[::-1].copy(), key_added="X_other"
    )
    told, other = scene.found.uns["csl_niche"]["neighbours"], data.uns["csl_niche"]["neighbours"]
    for name in ("observed", "expected", "z"):
        np.testing.assert_allclose(other[name], told[name])
    np.testing.assert_allclose(data.obsm["X_other"], scene.found.obsm["X_niche"])
    assert "niche" not in data.obs


def test_the_order_of_cells_does_not_matter_and_files_hold_it(scene, tmp_path, fingerprint):
    order = np.random.default_rng(0).permutation(600)
    data = scene.cells[order].copy()
    before = fingerprint(data)
    scvcell.tl.niche(data, scene.model, k=(6, 18), section_key="section", n_niches=3, composition="cell_type")
    again = data[scene.cells.obs_names]
    np.testing.assert_allclose(again.obsm["X_niche"], scene.found.obsm["X_niche"], atol=2e-3)
    assert (again.obs["niche"].astype(str) == scene.found.obs["niche"].astype(str)).mean() > 0.99
    np.testing.assert_allclose(
        data.uns["csl_niche"]["neighbours"]["z"], scene.found.uns["csl_niche"]["neighbours"]["z"]
    )
    data.write_h5ad(tmp_path / "a.h5ad")
    held = anndata.read_h5ad(tmp_path / "a.h5ad")
    np.testing.assert_array_equal(held.obsm["X_niche"], data.obsm["X_niche"])
    del data.obsm["X_niche"], data.obsm["X_niche_composition"], data.obs["niche"], data.uns["csl_niche"]
    assert fingerprint(data) == before


def test_units_without_a_place(scene, caplog):
    data = scene.cells.copy()
    data.obsm["spatial"][:5] = np.nan
    scvcell.tl.niche(data, scene.model, k=6, section_key="section", n_niches=2)
    assert "5 of 600 units have no place or no measurement" in caplog.text
    assert np.isnan(data.obsm["X_niche"]).all(1).tolist() == [i < 5 for i in range(600)]
    assert data.obs["niche"].isna().tolist() == [i < 5 for i in range(600)]


def test_a_section_with_few_units(scene, caplog):
    data = scene.cells[np.r_[0:300, 300:304]].copy()
    scvcell.tl.niche(data, scene.model, k=6, section_key="section")
    assert "1 sections have no more than 6 units, e.g. 'donor2'" in caplog.text
    assert np.isfinite(data.obsm["X_niche"]).all()


def test_graphs_of_the_user(scene):
    data = scene.cells.copy()
    near = scvcell.scale.Space.of(scene.model.view(data), "section").nearest(6, itself=False)
    data.obsp["spatial_connectivities"] = near.matrix.astype(np.float32)
    scvcell.tl.niche(data, scene.model, graph="spatial", section_key="section")
    wanted = scene.found.obsm["X_niche"][:, : data.obsm["X_niche"].shape[1]]
    np.testing.assert_allclose(data.obsm["X_niche"], wanted, atol=1e-3)
    assert list(data.uns["csl_niche"]["columns"]) == ["own", "scores spatial", "pool spatial"]


def test_dissociated_cells(scene, fingerprint):
    """Cells of one section, without their places, get the niche that the other section lets expect."""
    tissue, cells = scene.cells[:300].copy(), scene.cells[300:].copy()
    del cells.obsm["spatial"]
    before = fingerprint(tissue)
    scvcell.tl.niche(cells, scene.model, k=(6, 18), reference=tissue, n_niches=3)
    assert fingerprint(tissue) == before
    r2 = cells.uns["csl_niche"]["r2"]
    assert r2["own"] > 0.99
    assert 0.05 < r2["pool 18"] < 0.99
    assert cells.obs["niche_trusted"].mean() > 0.8
    zone = cells.obs["zone"].astype(str).replace({"mixed": "pair", "apart": "pair"})
    assert adjusted_rand_score(zone, cells.obs["niche"]) > 0.1
    tissue.obsm["spatial"] = np.random.default_rng(0).permutation(tissue.obsm["spatial"])
    scvcell.tl.niche(cells, scene.model, k=(6, 18), reference=tissue, n_niches=3)
    assert cells.uns["csl_niche"]["r2"]["pool 18"] < r2["pool 18"] / 2, "places that say nothing of states"


def test_what_is_refused(scene, fingerprint):
    niche, data = scvcell.tl.niche, scene.cells.copy()
    data.obs["none"], bare = None, scene.cells.copy()
    del bare.obsm["spatial"]
    taken = scene.cells.copy()
    taken.obs["niche"] = "mine"
    before = [fingerprint(each) for each in (data, bare, taken)]
    table = AnnData(np.ones((2, 2)), obs=pd.DataFrame(index=["x", "y"]))
    for call, error, message in (
        (lambda: niche(bare, scene.model), ValueError, r"no obsm\['spatial'\]"),
        (lambda: niche(data, scene.model, k=0), ValueError, "k must be"),
        (lambda: niche(data, scene.model, k=()), ValueError, "k= is empty"),
        (lambda: niche(data, scene.model, k="6"), TypeError, "k must be a whole number"),
        (lambda: niche(data, scene.model, n_niches=1), ValueError, "n_niches must be"),
        (lambda: niche(data, scene.model, n_niches=601), ValueError, "600 units have a place .* 601 are needed"),
        (lambda: niche(data, scene.model, graph="spatial"), KeyError, "No graph"),
        (lambda: niche(data, scene.model, section_key="slide"), KeyError, "No obs column 'slide'"),
        (lambda: niche(data, scene.model, composition="none"), ValueError, "No unit has a kind"),
        (lambda: niche(data, scene.model, composition=table), ValueError, "of other units"),
        (lambda: niche(data, scene.model, composition=3), TypeError, "composition= takes"),
        (lambda: niche(taken, scene.model, n_niches=3), ValueError, r"would write over obs\['niche'\]"),
        (lambda: niche(data, scene.model, key_added="a/b"), ValueError, "without '/'"),
        (lambda: niche(scene.model, data), TypeError, "data come first"),
    ):
        with pytest.raises(error, match=message):
            call()
    assert [fingerprint(each) for each in (data, bare, taken)] == before

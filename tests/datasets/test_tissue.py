import numpy as np
import pytest
import scipy.sparse as sp
from scipy.spatial import KDTree

from scvcell.datasets import simulate_tissue


@pytest.fixture(scope="module")
def tissue():
    return simulate_tissue(800, n_donors=4, n_genes=60, action=True, niche_effect=0.5, seed=1)


def test_spots_sum_the_cells_under_them_on_another_platform(tissue):
    cells, spots = tissue["cells"], tissue["spots"]
    member = spots.obsm["membership"]
    assert sp.issparse(member)
    assert member.shape == (spots.n_obs, cells.n_obs)
    np.testing.assert_array_equal(np.asarray(member.sum(1)).ravel(), spots.obs["n_cells"])
    spot, cell = member.nonzero()
    assert (spots.obs["section"].to_numpy()[spot] == cells.obs["section"].to_numpy()[cell]).all()
    apart = np.linalg.norm(spots.obsm["spatial"][spot] - cells.obsm["spatial"][cell], axis=1)
    assert apart.max() <= 27.5
    for section in spots.obs["section"].cat.categories:
        xy = spots.obsm["spatial"][spots.obs["section"] == section]
        assert KDTree(xy).query(xy, k=2)[0][:, 1].min() == pytest.approx(100)
        here = (cells.obs["section"] == section).to_numpy()
        under = KDTree(cells.obsm["spatial"][here]).query_ball_point(xy, 27.5, return_length=True)
        np.testing.assert_array_equal(under[under > 0], spots.obs["n_cells"][spots.obs["section"] == section])
    rate = (member @ cells.layers["rate"]) * spots.var["platform"].to_numpy()
    np.testing.assert_allclose(spots.layers["rate"], rate, rtol=1e-4)
    np.testing.assert_allclose(spots.X.sum(0), rate.sum(0)[None], rtol=0.25)
    share = np.asarray([(cells.obs["cell_type"] == t).to_numpy()[member[3].indices].mean() for t in ("type1", "type5")])
    np.testing.assert_allclose(spots.obsm["composition"].iloc[3][["type1", "type5"]], share)
    np.testing.assert_allclose(spots.obsm["niche"].sum(axis=1), 1)


def test_the_action_moves_states_by_what_is_said_of_each_niche(tissue):
    cells, said = tissue["cells"], tissue["cells"].uns["simulation"]
    moved = cells.obsm["z"] - cells.obsm["z0"]
    treated = (cells.obs["action"] == "A1").to_numpy()
    assert np.abs(moved[~treated]).max() == 0
    for niche, strength in said["strength"].items():
        here = treated & (cells.obs["niche"] == niche).to_numpy()
        assert here.any()
        np.testing.assert_allclose(moved[here], np.tile(strength * said["direction"], (here.sum(), 1)), atol=1e-5)
    assert set(said["strength"].values()) == {0.5, 1.5}
    same = simulate_tissue(300, n_genes=20, action=True, effect=0.7, seed=2)["cells"].uns["simulation"]
    assert set(same["strength"].values()) == {1.0}
    assert np.linalg.norm(same["direction"]) == pytest.approx(0.7 * np.sqrt(5) / 2)


def test_the_outcome_is_in_the_neighbours_and_not_in_the_composition():
    cells = simulate_tissue(800, n_donors=12, n_genes=20, seed=3)["cells"]
    pair = cells.obs["cell_type"].isin(["type1", "type2"]).to_numpy()
    niche = cells.obs["niche"].astype(str)
    np.testing.assert_array_equal(pair, niche.isin(["mixed", "apart"]))
    other, outcome = {}, {}
    for donor, own in cells.obs.groupby("donor", observed=True):
        counts = own["cell_type"].value_counts()
        assert abs(counts["type1"] - counts["type2"]) <= 2, "half of each, whatever the outcome"
        inside = cells[own.index][pair[cells.obs_names.get_indexer(own.index)]]
        near = KDTree(inside.obsm["spatial"]).query(inside.obsm["spatial"], k=7)[1][:, 1:]
        kind = inside.obs["cell_type"].astype(str).to_numpy()
        other[donor] = (kind[near] != kind[:, None]).mean()
        assert own["outcome"].nunique() == own["time"].nunique() == 1
        outcome[donor] = own["outcome"].iloc[0]
        zone = own["niche"].astype(str)
        share = (zone == "mixed").sum() / zone.isin(["mixed", "apart"]).sum()
        assert share == pytest.approx(cells.uns["simulation"]["mixed"][donor], abs=0.02)
    mixed = [other[donor] for donor in other if outcome[donor] == "mixed"]
    apart = [other[donor] for donor in other if outcome[donor] == "apart"]
    assert len(mixed) == len(apart) == 6
    assert min(mixed) > max(apart)


def test_seeds_repeat_and_sections_differ():
    one, two = (simulate_tissue(300, n_genes=20, seed=4) for _ in range(2))
    for name in ("cells", "spots"):
        assert abs(one[name].X - two[name].X).max() == 0
        assert one[name].obs.equals(two[name].obs)
        assert one[name].obs_names.is_unique
    assert abs(one["cells"].X - simulate_tissue(300, n_genes=20, seed=5)["cells"].X).max() > 0
    first, second = (one["cells"][one["cells"].obs["donor"] == f"donor{k}"] for k in (1, 2))
    assert abs(first.X - second.X).max() > 0
    assert "action" not in one["cells"].obs
    assert "z0" not in one["cells"].obsm


def test_written_and_read(tissue, tmp_path):
    import anndata as ad

    for name, table in tissue.items():
        table.write_h5ad(tmp_path / f"{name}.h5ad")
        back = ad.read_h5ad(tmp_path / f"{name}.h5ad")
        assert back.obs.astype(str).equals(table.obs.astype(str))
        np.testing.assert_array_equal(back.uns["simulation"]["direction"], table.uns["simulation"]["direction"])


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"n_cells": 10}, "n_cells must be at least 200"),
        ({"n_types": 2}, "n_types must be at least 3"),
        ({"n_donors": 0}, "n_donors must be at least 1"),
        ({"niche_effect": 2.0}, "niche_effect from 0 to 1"),
        ({"platform": -1.0}, "platform is from 0 on"),
    ],
)
def test_arguments_out_of_range(given, match):
    with pytest.raises(ValueError, match=match):
        simulate_tissue(**given)

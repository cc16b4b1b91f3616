"""Niche states: pools are the posterior of sums, scores are means, scales are those of sections, in any order."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from mudata import MuData

from scvcell._containers import Membership, Space
from scvcell.tissue import _niche, cluster, niche_states, standardised, surroundings


@pytest.fixture(scope="module")
def placed(small):
    """The mosaic with places in two sections."""
    data = small.mdata.copy()
    rng = np.random.default_rng(0)
    data.obsm["spatial"] = rng.random((data.n_obs, 2))
    data.obs["slide"] = np.where(rng.random(data.n_obs) < 0.5, "s1", "s2")
    seen = small.model.view(data)
    space = Space.of(seen, "slide")
    around = surroundings(seen, space, [2, 6])
    states = niche_states(small.model, seen, around)
    return SimpleNamespace(data=data, seen=seen, space=space, around=around, states=states)


def test_surroundings(placed, caplog):
    assert list(placed.around) == ["2", "6"]
    assert (placed.around["6"].weight == 7).all(), "itself and six"
    assert (placed.around["6"].matrix.diagonal() == 1).all()
    surroundings(placed.seen, placed.space, [1000])
    assert "2 sections have no more than 1000 units, e.g. 's1'" in caplog.text


def test_graphs_join_no_sections(placed, caplog):
    data = placed.data.copy()
    data.obsp["mine_connectivities"] = sp.csr_matrix(np.ones((data.n_obs, data.n_obs)))
    seen = placed.seen.__class__(data, data.obs_names, dict(data.mod), placed.seen.rows)
    (found,) = surroundings(seen, placed.space, [5], "mine").values()
    own = np.equal.outer(placed.space.section, placed.space.section)
    np.testing.assert_array_equal(found.matrix.toarray() > 0, own)
    assert "join sections; they are left out" in caplog.text


def test_states_are_those_of_sums_and_means(small, placed):
    states, seen, model = placed.states, placed.seen, small.model
    assert set(states) == {"own", "scores 2", "pool 2", "scores 6", "pool 6"}
    np.testing.assert_allclose(states["own"], model.posterior(seen).mean, atol=1e-5)
    unit = 7
    cells = placed.around["6"].matrix[[unit]].indices
    source = model.source(seen)
    for start, name in ((0, next(iter(source.scores))),):
        rows = source.rows[name][cells]
        wanted = source.scores[name][rows[rows >= 0], :-1].mean(0)
        np.testing.assert_allclose(states["scores 6"][unit, start : start + len(wanted)], wanted, rtol=1e-4)
    tables = {}
    for name, adata in placed.data.mod.items():
        own = adata[adata.obs_names.isin(placed.data.obs_names[cells])]
        table = own[:1].copy()
        table.X = sp.csr_matrix(own.X.sum(0))
        table.obs_names = ["pool"]
        tables[name] = table
    pool = MuData(tables)
    batch = placed.data.obs["batch"].iloc[cells].mode()
    pool.obs["batch"] = batch.iloc[0]
    if len(batch) == 1:
        np.testing.assert_allclose(states["pool 6"][unit], model.posterior(pool).mean[0], atol=1e-3)


def test_blocks_of_units_do_not_matter(small, placed, monkeypatch):
    monkeypatch.setattr(_niche, "UNITS_PER_BLOCK", 37)
    again = niche_states(small.model, placed.seen, placed.around)
    for name, values in placed.states.items():
        np.testing.assert_allclose(again[name], values, atol=1e-4)


def test_units_without_measurement_or_niche(small, placed):
    none = placed.around["2"].matrix.tolil()
    none[3] = 0
    niche = Membership(sp.csr_array(none), placed.seen.obs_names, placed.seen.obs_names)
    states = niche_states(small.model, placed.seen, {"2": niche})
    assert np.isnan(states["scores 2"][3]).all()
    assert np.isnan(states["pool 2"][3]).all()
    assert placed.seen.measured().all()
    lost = placed.seen.subset(np.arange(5))
    lost = lost.__class__(lost.source, lost.obs_names, lost.modalities, {m: np.full(5, -1) for m in lost.rows})
    assert not lost.measured().any()


def test_scales(placed):
    section = placed.space.section
    values, where = standardised(placed.states, section)
    assert where["own"] == slice(0, 32)
    for code in (0, 1):
        here = values[section == code]
        np.testing.assert_allclose(here.mean(0), 0, atol=1e-4)
        for at in (where["own"], where["pool 2"]):  # scores of an assay that no cell of a pool has are at the mean
            assert here[:, at].std(0).max() == pytest.approx(1, abs=1e-3)
    own, raw = values[section == 0][:, where["own"]], placed.states["own"][section == 0]
    np.testing.assert_allclose(own.std(0) / own.std(0).max(), raw.std(0) / raw.std(0).max(), rtol=1e-3)
    lost = {name: block.copy() for name, block in placed.states.items()}
    lost["pool 2"][4] = np.nan
    assert np.isnan(standardised(lost, section)[0]).all(1).tolist() == [i == 4 for i in range(len(section))]


def test_a_small_section_is_put_on_the_scale_of_all():
    rng = np.random.default_rng(0)
    block = rng.normal(5, 2, (103, 3))
    section = np.r_[np.zeros(100, int), np.ones(3, int)]
    values, _ = standardised({"own": block}, section)
    scale = block.std(0).max()
    np.testing.assert_allclose(values[100:], (block[100:] - block.mean(0)) / scale, rtol=1e-4)
    np.testing.assert_allclose(standardised({"own": np.ones((20, 2))}, np.zeros(20, int))[0], 0)


def test_clusters():
    rng = np.random.default_rng(0)
    true = np.repeat([0, 1, 2], [30, 50, 20])
    values = 10 * np.eye(3)[true] + rng.normal(size=(100, 3))
    values[0] = np.nan
    found = cluster(values, np.arange(100), 3, 0)
    assert pd.crosstab(true[1:], found[1:]).to_numpy().astype(bool).sum() == 3
    assert found[0] == -1
    assert [int((found == i).sum()) for i in range(3)] == [50, 29, 20]
    order = rng.permutation(100)
    np.testing.assert_array_equal(cluster(values[order], np.argsort(order), 3, 0), found[order])

"""tl.predict_endpoint: zones of another section, outcomes that follow from neighbours, and honest answers elsewhere."""

from dataclasses import replace
from types import SimpleNamespace

import anndata
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

import scvcell

NAMES = ["zone_predicted", *(f"zone_predicted_{name}" for name in ("probability", "set", "trusted"))]


@pytest.fixture(scope="module")
def scene(quick):
    """Three sections of cells of known zones, of which the last one's are not told; a model of them."""
    cells = scvcell.datasets.simulate_tissue(250, n_donors=3, n_genes=80, n_niches=2, seed=3)["cells"]
    zone = cells.obs["niche"].astype(str).replace({"mixed": "pair", "apart": "pair"})
    cells.obs = cells.obs[["section", "donor", "cell_type"]].copy()
    cells.obs["zone"] = zone.where(cells.obs["section"].astype(str) != "donor3").astype("category")
    model = scvcell.tl.fit(cells, train=replace(quick, max_epochs=15))
    found = cells.copy()
    assert scvcell.tl.predict_endpoint(found, model, key="zone", section_key="section") is None
    return SimpleNamespace(cells=cells, model=model, found=found, zone=zone, new=(cells.obs["section"] == "donor3"))


@pytest.fixture(scope="module")
def cohort(quick):
    """24 donors whose outcome follows from which cells are neighbours; a model of the cells."""
    cells = scvcell.datasets.simulate_tissue(250, n_donors=24, n_genes=80, n_niches=2, seed=1)["cells"]
    model = scvcell.tl.fit(cells, train=replace(quick, max_epochs=4))
    return SimpleNamespace(cells=cells, model=model)


def of_donors(cohort, data=None, **given):
    data = cohort.cells if data is None else data
    return scvcell.tl.predict_endpoint(
        data, cohort.model, **({"key": "outcome", "by": "donor", "section_key": "section"} | given)
    )


def chance(donors, outcome="mixed"):
    obs = donors.obs
    return obs["outcome_predicted_probability"].where(obs["outcome_predicted"] == outcome, 1 - obs.iloc[:, 3])


def test_zones_of_another_section(scene):
    obs, new = scene.found.obs, scene.new
    right = obs["zone_predicted"].astype(str) == scene.zone
    assert right[new].mean() > 0.75
    told = scene.found.uns["csl_endpoint"]["zone_predicted"]
    assert told["kind"] == "classes"
    assert 0.2 < told["lower"] <= told["skill"] <= told["upper"] < 1
    assert list(told["classes"]) == ["niche1", "niche2", "pair"]
    assert obs["zone_predicted_trusted"][new].mean() > 0.8
    sets = obs["zone_predicted_set"].astype(str).str.split(" | ", regex=False)
    held = np.array([one in some for one, some in zip(scene.zone, sets, strict=True)])
    assert held[new].mean() > 0.8
    assert 1 <= sets.str.len().mean() < 2.2
    assert all(one in some for one, some in zip(obs["zone_predicted"].astype(str), sets, strict=True))


def test_it_is_more_than_what_the_cells_themselves_tell(scene):
    data = scene.cells.copy()
    scvcell.tl.predict_endpoint(data, scene.model, key="zone", section_key="section", use_rep="X_csl")
    own = (data.obs["zone_predicted"].astype(str) == scene.zone)[scene.new].mean()
    assert (scene.found.obs["zone_predicted"].astype(str) == scene.zone)[scene.new].mean() > own + 0.02


def test_the_order_of_cells_does_not_matter_and_files_hold_it(scene, fingerprint, tmp_path):
    data = scene.cells[np.random.default_rng(0).permutation(750)].copy()
    before = fingerprint(data)
    scvcell.tl.predict_endpoint(data, scene.model, key="zone", section_key="section")
    again = data.obs.loc[scene.cells.obs_names]
    assert (again["zone_predicted"].astype(str) == scene.found.obs["zone_predicted"].astype(str)).mean() > 0.99
    difference = again["zone_predicted_probability"] - scene.found.obs["zone_predicted_probability"]
    assert np.abs(difference).max() < 0.05
    data.write_h5ad(tmp_path / "a.h5ad")
    held = anndata.read_h5ad(tmp_path / "a.h5ad").obs[NAMES]
    assert (held["zone_predicted_set"].astype(str) == data.obs["zone_predicted_set"].astype(str)).all()
    data.obs = data.obs.drop(columns=NAMES)
    del data.uns["csl_endpoint"]
    assert fingerprint(data) == before


def test_a_reference_is_what_heads_see(scene):
    """One section: blocks of it are left out. Labels of other cells do not count."""
    data = scene.cells.copy()
    data.obs["zone"] = scene.zone.astype("category")
    data.obs.loc[scene.new, "zone"] = "pair"
    scvcell.tl.predict_endpoint(data, scene.model, key="zone", section_key="section", reference="section == 'donor1'")
    rest = (data.obs["section"] != "donor1").to_numpy()
    assert (data.obs["zone_predicted"].astype(str) == scene.zone)[rest].mean() > 0.65
    assert data.uns["csl_endpoint"]["zone_predicted"]["lower"] > 0


def test_a_class_that_the_reference_lacks_and_other_shares(scene):
    """Without one zone in the reference its cells get another one; the others are as before."""
    data = scene.cells.copy()
    data.obs["zone"] = scene.zone.where(~scene.new & (scene.zone != "pair")).astype("category")
    scvcell.tl.predict_endpoint(data, scene.model, key="zone", section_key="section")
    obs = data.obs[scene.new.to_numpy()]
    there = (scene.zone[scene.new] != "pair").to_numpy()
    assert set(obs["zone_predicted"].astype(str)) == {"niche1", "niche2"}
    assert (obs["zone_predicted"].astype(str) == scene.zone[scene.new])[there].mean() > 0.75
    assert obs["zone_predicted_trusted"][~there].mean() < obs["zone_predicted_trusted"][there].mean()


def test_cells_without_a_place_get_nothing(scene, caplog):
    data = scene.cells.copy()
    data.obsm["spatial"][-4:] = np.nan
    scvcell.tl.predict_endpoint(data, scene.model, key="zone", section_key="section")
    assert "4 of 750 cells have no place or no measurement" in caplog.text
    last = data.obs.iloc[-4:]
    assert last[["zone_predicted", "zone_predicted_probability", "zone_predicted_set"]].isna().all(axis=None)
    assert not last["zone_predicted_trusted"].any()
    del data.obsm["spatial"]
    scvcell.tl.predict_endpoint(data, scene.model, key="zone", section_key="section")
    assert data.obs["zone_predicted"].notna().all(), "states of the cells themselves"


def test_numbers_have_intervals(scene):
    data = scene.cells.copy()
    places = data.obsm["spatial"][:, 0]
    pair = (scene.zone == "pair").to_numpy().astype(float)
    data.obs["score"] = np.where(scene.new, np.nan, 5 + 3 * pair)
    data.obs["place"] = np.random.default_rng(0).permutation(places)
    scvcell.tl.predict_endpoint(data, scene.model, key="score", section_key="section")
    new = data.obs[scene.new.to_numpy()]
    assert np.corrcoef(new["score_predicted"], pair[scene.new])[0, 1] > 0.7
    inside = (new["score_predicted_lower"] <= 5 + 3 * pair[scene.new]) & (
        5 + 3 * pair[scene.new] <= new["score_predicted_upper"]
    )
    assert inside.mean() > 0.8
    scvcell.tl.predict_endpoint(data, scene.model, key="place", section_key="section")
    assert not data.obs["place_predicted_trusted"].any(), "nothing tells of it"
    assert set(data.uns["csl_endpoint"]) == {"score_predicted", "place_predicted"}


def test_outcomes_that_follow_from_neighbours(cohort):
    found = of_donors(cohort)
    truth = cohort.cells.obs.groupby("donor", observed=True)["outcome"].first().astype(str).loc[found.obs_names]
    assert (found.obs["outcome"].astype(str) == truth).all()
    assert roc_auc_score(truth == "mixed", chance(found)) > 0.8
    assert found.uns["csl_endpoint"]["outcome_predicted"]["lower"] > 0
    assert found.obs["outcome_predicted_trusted"].mean() > 0.8
    assert (found.obs["n_cells"] == 250).all()
    assert {name.split()[0] for name in found.var_names} == {"state", "score", "niche"}


def test_permuted_outcomes_are_not_predicted(cohort):
    auc = []
    for seed in range(2):
        data = cohort.cells.copy()
        donors = sorted(set(data.obs["donor"]))
        value = np.random.default_rng(seed).permutation(["mixed", "apart"] * 12)
        data.obs["outcome"] = data.obs["donor"].map(dict(zip(donors, value, strict=True))).astype("category")
        found = of_donors(cohort, data)
        auc.append(roc_auc_score(found.obs["outcome"] == "mixed", chance(found)))
    assert 0.2 < np.mean(auc) < 0.7


def test_times_to_an_event(cohort):
    found = of_donors(cohort, key="time", event="event")
    told = found.uns["csl_endpoint"]["time_predicted"]
    assert told["kind"] == "times"
    risk, probability = found.obs["time_predicted"], found.obs["time_predicted_probability"]
    assert probability.between(0, 1).all()
    assert (probability.rank() == risk.rank()).all()


def test_donors_with_few_cells_and_without_an_outcome(cohort, caplog):
    data = cohort.cells[25 * 9 + 5 :].copy()
    donors = sorted(set(data.obs["donor"].astype(str)))
    data.obs["outcome"] = data.obs["outcome"].astype(object)
    data.obs.loc[data.obs["donor"] == donors[-1], "outcome"] = None
    found = of_donors(cohort, data)
    few = found.obs["n_cells"] < 20
    if few.any():
        assert "have fewer than 20 cells and are not trusted" in caplog.text
        assert not found.obs["outcome_predicted_trusted"][few].any()
    last = found.obs.loc[donors[-1]]
    assert pd.isna(last["outcome"])
    assert last["outcome_predicted"] in ("mixed", "apart")


def test_what_is_refused(scene, cohort, fingerprint):
    def predict(data=scene.cells, model=scene.model, **given):
        return scvcell.tl.predict_endpoint(data, model, **({"key": "zone", "section_key": "section"} | given))

    data = scene.cells.copy()
    data.obs["one"], data.obs["none"], data.obs["zone_predicted"] = "x", None, "mine"
    data.obs["time"], data.obs["event"] = np.arange(750.0) - 5, True
    before = [fingerprint(each) for each in (data, cohort.cells)]
    for call, error, message in (
        (lambda: predict(key="zon"), KeyError, "Did you mean 'zone'"),
        (lambda: predict(data), ValueError, r"would write over obs\['zone_predicted'\]"),
        (lambda: predict(data, key="one"), ValueError, "All 750 cells have the same outcome"),
        (lambda: predict(data, key="none"), ValueError, "0 cells have an outcome"),
        (lambda: predict(data, key="one", by="donor"), ValueError, "3 donor have an outcome"),
        (lambda: predict(data, key="cell_type", by="donor"), ValueError, "differ in obs\\['cell_type'\\]"),
        (lambda: predict(by="donor", use_rep="X_csl"), ValueError, "use_rep='X_csl' is of cells"),
        (lambda: predict(use_rep="X_pca"), KeyError, r"No obsm\['X_pca'\]"),
        (lambda: predict(data, key="time", event="event"), ValueError, "times below 0"),
        (lambda: predict(data, key="time", event="one"), ValueError, "must be true or false"),
        (lambda: predict(reference="section == 'nowhere'"), ValueError, "0 cells have an outcome"),
        (lambda: predict(level=90), ValueError, "level must lie"),
        (lambda: predict(seed="a"), TypeError, "seed must be"),
        (lambda: predict(section_key="slide"), KeyError, "No obs column 'slide'"),
        (lambda: scvcell.tl.predict_endpoint(scene.model, data, key="zone"), TypeError, "data come first"),
    ):
        with pytest.raises(error, match=message):
            call()
    assert [fingerprint(each) for each in (data, cohort.cells)] == before

"""tl.map_to_space: planted places are found, whole cells fill spots, and what cannot be told is not trusted."""

from dataclasses import replace
from types import SimpleNamespace

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData

import scvcell
from scvcell.scale import _amortise
from scvcell.tissue import _composition, _map

GENES, KINDS = 40, ["a", "b", "c"]


@pytest.fixture(scope="module", autouse=True)
def fewer():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_map, "BINS", (40,))
        patch.setattr(_map, "SMOOTHING", (1.5,))
        patch.setattr(_map, "EPOCHS", (4, 8))
        patch.setattr(_map, "N_NETWORKS", 1)
        patch.setattr(_amortise, "N_STEPS", 100)
        patch.setattr(_composition, "N_CHECKED", 100)
        yield


def section(n, rng, rates):
    """Cells whose kinds lie in thirds of a section from left to right, with a gradient from bottom to top."""
    xy = rng.uniform(0, 900, (n, 2))
    kind = np.minimum(xy[:, 0] // 300, 2).astype(int)
    up = np.where(np.arange(GENES) % 3 == 0, 1.5, -1.5) * (xy[:, 1:] / 900 - 0.5)
    x = rng.poisson(rates[kind] * np.exp(up)).astype(np.float32)
    obs = pd.DataFrame({"kind": np.array(KINDS)[kind], "batch": "b0"}, index=[f"c{i}" for i in range(n)])
    genes = pd.DataFrame(index=[f"gene{i:02d}" for i in range(GENES)])
    return AnnData(sp.csr_matrix(x), obs=obs, var=genes, obsm={"spatial": xy})


@pytest.fixture(scope="module")
def scene(quick, fewer):
    """300 located cells and 100 others, the true places of these, and a model of the located ones."""
    rng = np.random.default_rng(0)
    rates = rng.gamma(2.0, 1.0, GENES) * np.where(np.equal.outer(np.arange(3), np.arange(GENES) % 3), 4, 1)
    every = section(400, rng, rates)
    located, cells = every[:300].copy(), every[300:].copy()
    xy = cells.obsm.pop("spatial")
    model = scvcell.tl.fit(located, batch_key="batch", train=replace(quick, max_epochs=5))
    found = scvcell.tl.map_to_space(cells, model, spatial=located)
    return SimpleNamespace(located=located, cells=cells, xy=xy, model=model, found=found, rng=rng, rates=rates)


@pytest.fixture(scope="module")
def lifted(scene):
    """25 spots of 12 cells each, lifted."""
    xy = scene.located.obsm["spatial"]
    code = (xy // 180).astype(int) @ [5, 1]
    scene.located.obs["batch"] = "b0"
    member = sp.csr_matrix((np.ones(300), (code, np.arange(300))), (25, 300))
    spots = AnnData(
        sp.csr_matrix(member @ scene.located.X),
        obs=pd.DataFrame(
            {"batch": "b0", "nuclei": np.bincount(code, minlength=25)}, index=[f"s{i}" for i in range(25)]
        ),
        var=scene.located.var,
        obsm={"spatial": (np.stack(np.divmod(np.arange(25), 5), 1) + 0.5) * 180},
    )
    return scvcell.tl.lift(spots, scene.model, labels_key="kind", n_cells=12)


def mapped(scene, cells=None, spatial=None, **given):
    cells, spatial = (own if it is None else it for it, own in ((cells, scene.cells), (spatial, scene.located)))
    return scvcell.tl.map_to_space(cells, scene.model, spatial=spatial, **given)


def off(found, xy):
    return np.linalg.norm(found.obsm["spatial"] - xy, axis=1)


def test_planted_places_are_found(scene):
    found, error = scene.found, off(scene.found, scene.xy)
    alone = np.linalg.norm(np.median(scene.located.obsm["spatial"], 0) - scene.xy, axis=1)
    assert np.median(error) < 0.6 * np.median(alone)
    assert 0.8 <= (error <= found.obs["radius"]).mean() <= 1
    assert found.obs["area"].between(0, 0.9).all()
    assert found.obs["trusted"].mean() > 0.8
    told = found.uns["csl_map"].loc["all"]
    assert 0 < told["lower"] < told["gain"]
    assert told["median_error"] == pytest.approx(np.median(error), rel=0.4)


def test_what_comes_with_it(scene, tmp_path):
    found, places = scene.found, scene.found.uns["csl_places"]
    assert list(found.obs_names) == list(scene.cells.obs_names)
    assert found.obs["kind"].tolist() == scene.cells.obs["kind"].tolist()
    assert found.obsm["position"].shape == (100, len(places))
    np.testing.assert_allclose(found.obsm["position"].sum(1), 1, rtol=1e-4)
    xy = places[["x", "y"]].to_numpy()
    nearest = ((found.obsm["spatial"][:, None] - xy) ** 2).sum(-1).argmin(1)
    assert found.obs["spot"].tolist() == places.index[nearest].tolist()
    found.write_h5ad(tmp_path / "a.h5ad")
    again = anndata.read_h5ad(tmp_path / "a.h5ad")
    np.testing.assert_array_equal(again.obsm["position"].toarray(), found.obsm["position"].toarray())
    pd.testing.assert_frame_equal(again.uns["csl_places"], places)
    assert again.obs["spot"].tolist() == found.obs["spot"].tolist()


def test_a_seed_is_one_answer_and_nothing_is_changed(scene, fingerprint, caplog):
    before = fingerprint(scene.cells), fingerprint(scene.located)
    again = mapped(scene)
    assert (fingerprint(scene.cells), fingerprint(scene.located)) == before
    np.testing.assert_array_equal(again.obsm["spatial"], scene.found.obsm["spatial"])
    assert (mapped(scene, seed=1).obsm["spatial"] != scene.found.obsm["spatial"]).any()


def test_order_type_and_company_do_not_matter(scene):
    rng = np.random.default_rng(0)
    cells = scene.cells[rng.permutation(100), rng.permutation(GENES)].copy()
    cells.X = cells.X.toarray().astype(np.int64)
    located = scene.located[rng.permutation(300)].copy()
    found = mapped(scene, cells, located)[scene.found.obs_names]
    np.testing.assert_allclose(found.obsm["spatial"], scene.found.obsm["spatial"], atol=1)
    assert (found.obs["trusted"] == scene.found.obs["trusted"]).all()
    one = mapped(scene, scene.cells[7:8].copy())
    np.testing.assert_allclose(one.obsm["spatial"], scene.found.obsm["spatial"][7:8], atol=0.1)
    proteins = AnnData(np.ones((100, 3), np.float32), obs=scene.cells.obs, var=pd.DataFrame(index=[*"pqr"]))
    both = mapped(scene, MuData({"adt": proteins, "gex": scene.cells}))
    np.testing.assert_allclose(both[scene.found.obs_names].obsm["spatial"], scene.found.obsm["spatial"], atol=0.1)


def test_shuffled_places_are_not_trusted(scene, caplog):
    located = scene.located.copy()
    located.obsm["spatial"] = np.random.default_rng(0).permutation(located.obsm["spatial"])
    found = mapped(scene, spatial=located)
    assert not found.obs["trusted"].any()
    assert "nothing is learned of places" in caplog.text
    assert found.uns["csl_map"]["lower"].item() <= 0
    assert found.obs["area"].mean() > 0.7


def test_cells_unlike_the_section_are_not_trusted(scene, caplog):
    strange = scene.cells.copy()
    strange.X = sp.csr_matrix(np.random.default_rng(0).poisson(3.0 * scene.rates.max(0)[::-1], strange.shape) * 1.0)
    strange.X = sp.csr_matrix(strange.X.toarray()[:, ::-1])
    found = mapped(scene, anndata.concat({"cells": scene.cells, "strange": strange}, index_unique="-"))
    trusted = found.obs["trusted"].to_numpy()
    assert trusted[:100].mean() > 0.8
    assert trusted[100:].mean() < 0.1
    assert "are unlike those of the section" in caplog.text


def test_a_kind_that_was_located_nowhere(scene):
    found = mapped(scene, spatial=scene.located[scene.located.obs["kind"] != "b"].copy())
    other = (scene.cells.obs["kind"] == "b").to_numpy()
    assert found.obs["trusted"][~other].mean() > found.obs["trusted"][other].mean() + 0.3


def test_one_kind_and_few_located_cells(scene):
    """Of one kind there is the gradient alone; with 30 located cells an answer is wide, but one."""
    one = scene.located[scene.located.obs["kind"] == "a"].copy()
    mine = (scene.cells.obs["kind"] == "a").to_numpy()
    found = mapped(scene, scene.cells[mine].copy(), one)
    assert (off(found, scene.xy[mine]) <= found.obs["radius"]).mean() >= 0.75
    few = mapped(scene, spatial=scene.located[:30].copy())
    assert np.isfinite(few.obsm["spatial"]).all()
    assert few.obs["radius"].mean() > scene.found.obs["radius"].mean()


def test_fewer_genes(scene):
    found = mapped(scene, scene.cells[:, 10:].copy())
    assert np.median(off(found, scene.xy)) < 1.4 * np.median(off(scene.found, scene.xy))
    assert found.obs["trusted"].mean() > 0.6


def test_cells_without_a_place_are_no_reference(scene):
    located = scene.located.copy()
    located.obsm["spatial"][:50] = np.nan
    rest = mapped(scene, spatial=scene.located[50:].copy())
    np.testing.assert_allclose(mapped(scene, spatial=located).obsm["spatial"], rest.obsm["spatial"], atol=1e-3)


def test_three_dimensions(scene):
    located = scene.located.copy()
    located.obsm["spatial"] = np.c_[located.obsm["spatial"], np.random.default_rng(0).uniform(0, 900, 300)]
    found = mapped(scene, spatial=located)
    assert found.obsm["spatial"].shape == (100, 3)
    assert list(found.uns["csl_places"]) == ["x", "y", "z", "section"]
    np.testing.assert_array_less(np.median(off(found, np.c_[scene.xy, np.full(100, 450)])), 500)


def test_each_cell_in_its_own_section(scene):
    located, cells = scene.located.copy(), scene.cells.copy()
    located.obs["section"] = np.where(np.arange(300) < 150, "one", "two")
    located.obsm["spatial"][150:, 0] += 5000
    cells.obs["section"] = ["two", "one"] * 50
    found = mapped(scene, cells, located, section_key="section")
    two = (cells.obs["section"] == "two").to_numpy()
    assert ((found.obsm["spatial"][:, 0] > 4000) == two).all()
    section = found.uns["csl_places"].loc[found.obs["spot"].astype(str), "section"]
    assert section.tolist() == cells.obs["section"].tolist()
    assert list(found.uns["csl_map"].index) == ["one", "two"]
    alone = mapped(scene, cells[~two].copy(), located[:150].copy())
    np.testing.assert_allclose(found[~two].obsm["spatial"], alone.obsm["spatial"], atol=0.1)
    held = found.obsm["position"].tocsr()
    of = found.uns["csl_places"]["section"].to_numpy()
    np.testing.assert_allclose(held[two][:, of == "two"].sum(1), 1, rtol=1e-4)


def test_whole_groups_are_left_out(scene):
    """Of located cells of several sections in one frame, one is left out; labels of any type, in any order."""
    located = scene.located.copy()
    located.obs["slice"] = np.arange(300) % 3
    found = mapped(scene, spatial=located, groups_key="slice")
    plain = mapped(scene, spatial=located)
    for key in ("gain", "median_error"):
        assert found.uns["csl_map"][key].iloc[0] != plain.uns["csl_map"][key].iloc[0]
    assert np.median(off(found, scene.xy)) < 1.3 * np.median(off(plain, scene.xy))
    other = located[np.random.default_rng(0).permutation(300)].copy()
    other.obs["slice"] = other.obs["slice"].map({0: "a", 1: "b", 2: "c"}).astype("category")
    again = mapped(scene, spatial=other, groups_key="slice")
    np.testing.assert_allclose(again.obsm["spatial"], found.obsm["spatial"], atol=0.1)
    np.testing.assert_allclose(again.obs["radius"], found.obs["radius"], rtol=1e-3)


def test_lifted_spots_place_cells(scene, lifted):
    found = mapped(scene, spatial=lifted)
    assert found.obsm["position"].shape == (100, 25)
    right = np.abs(found.obsm["spatial"][:, 0] - scene.xy[:, 0]) < 300
    assert right.mean() > 0.7
    assert set(found.obs["spot"]) <= set(lifted.obs_names)
    assert (off(found, scene.xy) <= found.obs["radius"]).mean() > 0.75
    assert found.obs["trusted"].mean() > 0.8


def test_whole_cells_fill_spots(scene, lifted):
    for given, numbers in (
        (4, np.full(25, 4)),
        (np.arange(25) % 5 * 2, np.arange(25) % 5 * 2),
        ("nuclei", None),
        (lifted.layers["abundance"].sum(1), None),
    ):
        found = mapped(scene, spatial=lifted, n_per_spot=given)
        counts = found.obs["spot"].value_counts().reindex(lifted.obs_names).to_numpy()
        assert counts.sum() == 100
        if numbers is not None:
            np.testing.assert_array_equal(counts, numbers)
        places = found.uns["csl_places"].loc[found.obs["spot"].astype(str), ["x", "y"]]
        np.testing.assert_array_equal(found.obsm["spatial"], places)
        assert (np.abs(found.obsm["spatial"][:, 0] - scene.xy[:, 0]) < 320).mean() > 0.55


def test_spots_that_say_nothing_are_not_trusted(scene, lifted, caplog):
    nothing = lifted.copy()
    nothing.uns["csl_cycle"] = {**lifted.uns["csl_cycle"], "lower": -0.1}
    assert not mapped(scene, spatial=nothing).obs["trusted"].any()
    assert "no cell in it is trusted" in caplog.text


def test_what_is_refused(scene, lifted, fingerprint):
    located = scene.located.copy()
    located.obs["section"] = ["one", "two"] * 150
    bare, normal, other, flat, lost, few = (scene.located.copy() for _ in range(6))
    del bare.obsm["spatial"]
    normal.X = normal.X.log1p()
    other.var_names = [f"other{i}" for i in range(GENES)]
    flat.obsm["spatial"] = flat.obsm["spatial"][:, :1]
    lost.obsm["spatial"] = np.full((300, 2), np.nan)
    few.obsm["spatial"][20:] = np.nan
    cells = scene.cells.copy()
    cells.obs["section"] = "three"
    unplaced, unlabelled = lifted.copy(), lifted.copy()
    del unplaced.obsm["spatial"]
    unlabelled.uns["csl_lift"] = {"labels_key": "type"}
    before = [fingerprint(data) for data in (located, cells, lifted)]
    for call, error, message in (
        (lambda: mapped(scene, spatial=bare), ValueError, "no coordinates"),
        (lambda: mapped(scene, spatial=lost), ValueError, "No unit has coordinates"),
        (lambda: mapped(scene, spatial=flat), ValueError, "two or three dimensions"),
        (lambda: mapped(scene, spatial=few), ValueError, "has 20 located cells; at least 30"),
        (lambda: mapped(scene, spatial=normal), ValueError, "non-integer"),
        (lambda: mapped(scene, spatial=other), ValueError, "lacks 40 of the 40 features"),
        (lambda: mapped(scene, spatial=located, section_key="sectio"), KeyError, "Did you mean 'section'"),
        (lambda: mapped(scene, spatial=located, section_key="section"), ValueError, "nothing says to which of them"),
        (
            lambda: mapped(scene, cells, located, section_key="section"),
            ValueError,
            "of no located section, e.g. of 'thr",
        ),
        (lambda: mapped(scene, level=95), ValueError, "level must lie between 0 and 1"),
        (lambda: mapped(scene, seed="a"), TypeError, "seed must be a whole number"),
        (lambda: mapped(scene, n_per_spot=3), ValueError, "n_per_spot= is for spots"),
        (lambda: mapped(scene, spatial=lifted, groups_key="batch"), ValueError, "groups_key= is for located cells"),
        (lambda: mapped(scene, groups_key="batch"), ValueError, "are of one group; two are needed"),
        (lambda: mapped(scene, groups_key="slice"), KeyError, "No obs column 'slice'"),
        (lambda: mapped(scene, spatial=unplaced), ValueError, "no coordinates"),
        (lambda: mapped(scene, spatial=unlabelled), KeyError, "kinds in obs\\['type'\\]"),
        (lambda: mapped(scene, spatial=lifted, n_per_spot="nucle"), KeyError, "No obs column 'nucle'"),
        *(
            (lambda n=n: mapped(scene, spatial=lifted, n_per_spot=n), ValueError, "n_per_spot must be numbers")
            for n in (0, -1, [1, 2], np.full(25, np.nan), [*range(-1, 24)], "batch")
        ),
        (lambda: scvcell.tl.map_to_space(scene.model, scene.cells, spatial=located), TypeError, "cells come first"),
    ):
        with pytest.raises(error, match=message):
            call()
    assert [fingerprint(data) for data in (located, cells, lifted)] == before

"""tl.lift: planted compositions of spots are found, intervals are told or NaN, and what cannot be lifted is refused."""

from types import SimpleNamespace

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData

import scvcell
from scvcell.scale import mix

GENES, KINDS = 40, ["a", "b", "c"]


pytestmark = pytest.mark.usefixtures("fewer_steps")


@pytest.fixture(scope="module")
def scene(quick, fewer_steps):
    """Cells of 3 kinds in 2 batches, a model of them, 60 spots of other cells seen less well, and their shares."""
    rng = np.random.default_rng(0)
    kind, batch = rng.integers(3, size=320), np.arange(320) % 2
    rates = rng.gamma(2.0, 0.5, GENES) * np.where(np.equal.outer(kind, np.arange(GENES) % 3), 4, 1)
    rates = rates * np.exp(rng.normal(0, 0.1, (2, GENES)))[batch]
    x, genes = sp.csr_matrix(rng.poisson(rates).astype(np.float32)), [f"gene{i:02d}" for i in range(GENES)]
    obs = pd.DataFrame(
        {"kind": np.array(KINDS)[kind], "batch": [f"b{b}" for b in batch]}, index=[f"c{i}" for i in range(320)]
    )
    cells = AnnData(x[:200], obs=obs[:200], var=pd.DataFrame(index=genes))
    mixed = mix(x[200:], kind[200:], 3, 6.0, 60, rng)
    spots = AnnData(
        sp.csr_matrix(rng.binomial(mixed.counts.toarray().astype(int), rng.uniform(0.4, 1, GENES)).astype(np.float32)),
        obs=pd.DataFrame({"batch": "b0", "slide": ["s1", "s2"] * 30}, index=[f"spot{i}" for i in range(60)]),
        var=pd.DataFrame(index=genes),
    )
    model = scvcell.tl.fit(cells, batch_key="batch", train=quick)
    found = scvcell.tl.lift(spots, model, labels_key="kind", n_cells=6)
    return SimpleNamespace(cells=cells, spots=spots, model=model, shares=mixed.shares, found=found)


def lift(scene, spots=None, **given):
    spots = scene.spots if spots is None else spots
    return scvcell.tl.lift(spots, scene.model, **({"labels_key": "kind", "n_cells": 6} | given))


def off(found, true):
    return np.sqrt(((found - true) ** 2).mean())


def test_planted_compositions_are_found(scene):
    found = scene.found
    assert (list(found.obs_names), list(found.var_names)) == (list(scene.spots.obs_names), KINDS)
    np.testing.assert_allclose(found.X.sum(1), 1, rtol=1e-5)
    assert off(found.X, scene.shares) < 0.12
    assert off(found.X, scene.shares) < 0.5 * off(scene.shares.mean(0), scene.shares)
    abundance = found.layers["abundance"]
    np.testing.assert_allclose(abundance / abundance.sum(1, keepdims=True), found.X, rtol=1e-4)
    assert 3 < abundance.sum(1).mean() < 7


def test_intervals_and_skill(scene):
    found = scene.found
    lower, upper = found.layers["lower"], found.layers["upper"]
    assert ((lower >= 0) & (lower <= found.X) & (upper >= found.X) & (upper <= 1)).all()
    assert ((lower <= scene.shares) & (scene.shares <= upper)).mean() >= 0.75
    assert (upper - lower).mean() < 0.5
    told = found.uns["csl_cycle"]
    assert 0 < told["lower"] <= told["skill"] <= told["upper"]
    assert found.obs["trusted"].all()


def test_what_comes_with_it(scene, tmp_path):
    found = scene.found
    assert found.obs["slide"].tolist() == scene.spots.obs["slide"].tolist()
    np.testing.assert_allclose(found.obsm["X_csl"], scene.model.posterior(scene.spots).mean)
    found.write_h5ad(tmp_path / "a.h5ad")
    again = anndata.read_h5ad(tmp_path / "a.h5ad")
    assert again.uns["csl_cycle"]["skill"] == found.uns["csl_cycle"]["skill"]
    np.testing.assert_array_equal(again.layers["upper"], found.layers["upper"])


def test_a_seed_is_one_answer_and_nothing_is_changed(scene, fingerprint, caplog):
    before = fingerprint(scene.spots), fingerprint(scene.cells)
    again = lift(scene)
    assert not caplog.text
    assert (fingerprint(scene.spots), fingerprint(scene.cells)) == before
    np.testing.assert_array_equal(again.X, scene.found.X)
    np.testing.assert_array_equal(again.layers["lower"], scene.found.layers["lower"])
    assert again.uns["csl_cycle"] == scene.found.uns["csl_cycle"]
    assert (lift(scene, seed=1).X != scene.found.X).any()


def test_the_order_of_spots_genes_and_cells_does_not_matter(scene):
    rng = np.random.default_rng(0)
    spots = scene.spots[rng.permutation(60), rng.permutation(GENES)].copy()
    proteins = AnnData(np.ones((60, 3), np.float32), obs=spots.obs, var=pd.DataFrame(index=[*"pqr"]))
    for data in (spots, MuData({"adt": proteins, "gex": spots})):
        found = lift(scene, data)
        np.testing.assert_allclose(found[scene.found.obs_names].X, scene.found.X, atol=1e-4)
        np.testing.assert_allclose(found[scene.found.obs_names].layers["upper"], scene.found.layers["upper"], atol=1e-4)
    reference = scene.cells[rng.permutation(200)].copy()
    assert off(lift(scene, reference=reference)[scene.found.obs_names].X, scene.found.X) < 0.05


def test_a_reference_of_its_own(scene):
    """Other names of the kinds, and cells without one, which are as if they were not there."""
    reference = scene.cells.copy()
    reference.obs["type"] = pd.Series(["t" + kind for kind in reference.obs["kind"]], reference.obs_names)
    reference.obs.loc[reference.obs_names[:20], "type"] = None
    found = lift(scene, reference=reference, labels_key="type")
    assert list(found.var_names) == ["ta", "tb", "tc"]
    np.testing.assert_array_equal(found.X, lift(scene, reference=reference[20:].copy(), labels_key="type").X)
    assert off(found.X, scene.shares) < 0.15
    two = lift(scene, reference=scene.cells[scene.cells.obs["kind"] != "c"].copy())
    assert list(two.var_names) == ["a", "b"]


def test_spots_of_no_batch_of_the_model_have_shares_but_no_state(scene):
    spots = scene.spots.copy()
    for batch in ("new", None):
        spots.obs["batch"] = batch
        found = lift(scene, spots)
        assert "X_csl" not in found.obsm
        np.testing.assert_array_equal(found.X, scene.found.X)


def test_spots_without_rna_have_no_shares(scene, caplog):
    proteins = AnnData(np.ones((70, 3), np.float32), var=pd.DataFrame(index=[*"pqr"]))
    proteins.obs_names = [f"spot{i}" for i in range(69, -1, -1)]
    data = MuData({"adt": proteins, "rna": scene.spots})
    data.obs["batch"] = "b0"
    found = lift(scene, data)
    assert "10 of 70 spots have no 'rna'" in caplog.text
    lacking = ~found.obs_names.isin(scene.spots.obs_names)
    assert lacking.sum() == 10
    for values in (found.X, *(found.layers[key] for key in ("lower", "upper", "abundance"))):
        assert np.isnan(values[lacking]).all()
    assert (found.obs["trusted"] == ~lacking).all()
    np.testing.assert_allclose(found[scene.spots.obs_names].X, scene.found.X, atol=1e-4)


def test_genes_that_spots_lack_are_left_out(scene):
    found = lift(scene, scene.spots[:, 10:].copy())
    assert off(found.X, scene.shares) < 0.15
    assert off(found.X, scene.shares) > off(scene.found.X, scene.shares) - 0.02


def test_one_group_has_no_intervals(scene, caplog):
    reference = scene.cells.copy()
    reference.obs["donor"] = "d1"
    found = lift(scene, reference=reference, groups_key="donor")
    assert "The reference has one group only" in caplog.text
    assert np.isnan(found.layers["lower"]).all()
    assert np.isnan(found.layers["upper"]).all()
    np.testing.assert_array_equal(found.X, scene.found.X)


def test_spots_that_say_nothing_are_not_trusted(scene, caplog):
    apart = scene.spots.copy()
    apart.X = sp.csr_matrix(np.random.default_rng(0).permuted(apart.X.toarray(), axis=0))
    found = lift(scene, apart)
    assert "its spots are not trusted" in caplog.text
    assert not found.obs["trusted"].any()
    assert found.uns["csl_cycle"]["lower"] <= 0


def test_what_is_refused(scene, fingerprint):
    lonely = scene.cells.copy()
    lonely.obs["kind"] = ["rare", *lonely.obs["kind"][1:]]
    lonely.obs["same"], lonely.obs["nothing"] = "x", None
    normal, other = scene.spots.copy(), scene.spots.copy()
    normal.X = normal.X.log1p()
    other.var_names = [f"other{i}" for i in range(GENES)]
    proteins = MuData({"adt": AnnData(np.ones((3, 4), np.float32), var=pd.DataFrame(index=[*"pqrs"]))})
    late = scene.cells.X.copy()
    late.data[7::9] += 0.5
    floats = AnnData(late, obs=scene.cells.obs, var=scene.cells.var)
    before = [fingerprint(data) for data in (lonely, normal, other, scene.spots)]
    for call, error, message in (
        (lambda: lift(scene, labels_key="kin"), KeyError, "Did you mean 'kind'"),
        (lambda: lift(scene, groups_key="donor"), KeyError, "No obs column 'donor'"),
        (lambda: lift(scene, reference=lonely), ValueError, "the kind 'rare' has one cell"),
        (lambda: lift(scene, reference=lonely, labels_key="same"), ValueError, "all cells are of the kind 'x'"),
        (lambda: lift(scene, reference=lonely, labels_key="nothing"), ValueError, "None of the 200 cells has a label"),
        (lambda: lift(scene, reference=floats), ValueError, "non-integer"),
        (lambda: lift(scene, level=95), ValueError, "level must lie between 0 and 1"),
        (lambda: lift(scene, level="a"), TypeError, "level must be a number"),
        (lambda: lift(scene, seed="a"), TypeError, "seed must be a whole number"),
        *((lambda n=n: lift(scene, n_cells=n), ValueError, "n_cells must be") for n in (0, -1, None, np.nan, np.inf)),
        (lambda: lift(scene, n_cells="nuclei"), KeyError, "No obs column 'nuclei'"),
        (lambda: lift(scene, n_cells="slide"), ValueError, "must hold numbers of cells"),
        (lambda: lift(scene, smooth=2), ValueError, "smooth must be a number from 0 to 1"),
        (lambda: lift(scene, smooth=0.5), ValueError, "smooth= needs places"),
        (lambda: lift(scene, section_key="slide"), ValueError, "no coordinates"),
        (lambda: lift(scene, normal), ValueError, "non-integer"),
        (lambda: lift(scene, other), ValueError, "lacks 40 of the 40 features"),
        (lambda: lift(scene, scene.spots[:, :5].copy()), ValueError, "share 5 features; 10 are needed"),
        (lambda: lift(scene, proteins), ValueError, "nothing in common"),
        (lambda: lift(scene, scene.spots[:0].copy()), ValueError, r"'rna' is empty"),
        (lambda: scvcell.tl.lift(scene.model, scene.spots, labels_key="kind"), TypeError, "spots come first"),
    ):
        with pytest.raises(error, match=message):
            call()
    assert [fingerprint(data) for data in (lonely, normal, other, scene.spots)] == before


def test_a_model_of_proteins_lifts_nothing(scene, quick, mosaic):
    model = scvcell.tl.fit(mosaic(60)["adt"].copy(), measure="protein", train=quick)
    with pytest.raises(ValueError, match="one modality of RNA counts; the model has none"):
        scvcell.tl.lift(scene.spots, model, labels_key="kind")


def test_a_column_of_numbers_of_cells(scene):
    """Abundance sums to it: none where none was counted, unknown where it is not known."""
    spots = scene.spots.copy()
    spots.obs["nuclei"] = [0, np.nan, *range(1, 59)]
    found = lift(scene, spots, n_cells="nuclei")
    sums = found.layers["abundance"].sum(1)
    assert sums[0] == 0
    assert np.isnan(sums[1])
    np.testing.assert_allclose(sums[2:], range(1, 59), rtol=1e-5)
    np.testing.assert_allclose(found.X.sum(1), 1, rtol=1e-5)


def test_neighbours_that_are_alike_help(scene):
    """Thin spots, of which four neighbours each are of one composition."""
    rng = np.random.default_rng(1)
    at = np.repeat(np.argsort(scene.shares[:, 0])[::5], 5)
    x = scene.spots.X.toarray()[at].astype(int)
    spots = AnnData(sp.csr_matrix(rng.binomial(x, 0.15).astype(np.float32)), var=scene.spots.var)
    spots.obs["batch"] = "b0"
    spots.obsm["spatial"] = np.stack([np.arange(60) // 5 * 10.0, np.arange(60) % 5], 1)
    true = scene.shares[at]
    found, alone = lift(scene, spots), lift(scene, spots, smooth=0)
    assert 0.05 < found.uns["csl_lift"]["smooth"] <= 1
    assert off(found.X, true) < 0.97 * off(alone.X, true)
    np.testing.assert_allclose(found.obsm["spatial"], spots.obsm["spatial"])
    assert alone.uns["csl_lift"]["smooth"] == 0
    half = lift(scene, spots, smooth=0.5)
    assert 0 < off(half.X, alone.X) < off(lift(scene, spots, smooth=1).X, alone.X)


def test_neighbours_that_differ_are_left_alone(scene):
    spots = scene.spots.copy()
    spots.obsm["spatial"] = np.random.default_rng(0).random((60, 2))
    found = lift(scene, spots)
    assert off(found.X, scene.shares) < off(scene.found.X, scene.shares) + 0.005


def test_states_of_kinds(scene):
    """Those of the kind's own cells, of every spot."""
    found = scene.found.obsm["X_csl_by_type"]
    z = scene.model.posterior(scene.cells).mean.numpy()
    assert found.shape == (60, 3, z.shape[1])
    for k, kind in enumerate(KINDS):
        own = z[(scene.cells.obs["kind"] == kind).to_numpy()]
        assert (
            np.linalg.norm(found[:, k].mean(0) - own.mean(0)) < 0.5 * np.linalg.norm(own - own.mean(0), axis=1).mean()
        )
        assert (found[:, k] >= own.min(0) - 1e-4).all()
        assert (found[:, k] <= own.max(0) + 1e-4).all()


def test_spots_of_a_kind_that_the_reference_lacks_are_not_trusted(scene, caplog):
    """And a spot of no counts has shares that say nothing, and no cells."""
    rng = np.random.default_rng(0)
    x = scene.spots.X.toarray()
    other = rng.permutation(x[0].astype(int) * 3 + 5)
    x[:4] = rng.poisson(other, (4, GENES))
    x[4] = 0
    spots = scene.spots.copy()
    spots.X = sp.csr_matrix(x)
    found = lift(scene, spots)
    assert "4 of 60 spots are explained by no mixture" in caplog.text
    assert found.obs["trusted"].tolist() == [False] * 4 + [True] * 56
    assert found.layers["abundance"][4].sum() == pytest.approx(0, abs=1e-6)
    assert found.X[4].sum() == pytest.approx(1)
    assert off(found.X[5:], scene.shares[5:]) < 0.13

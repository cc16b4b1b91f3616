"""tl.project: units of any kind, their sums, annotation and states, and nothing of the user's changed."""

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData

import scvcell
from scvcell.scale import Membership


@pytest.fixture(scope="module")
def donors(small):
    """The mosaic with a donor of every cell but five, who has one age and one of two arms."""
    data = small.mdata.copy()
    donor = np.arange(data.n_obs) % 6
    data.obs["donor"] = [f"d{d}" if i >= 5 else None for i, d in enumerate(donor)]
    data.obs["arm"] = pd.Categorical(np.where(donor % 2 == 0, "case", "control"))
    data.obs["years"] = 40 + donor
    data.obs["case"] = donor % 2 == 0
    return data


def dense(x):
    return x.toarray() if sp.issparse(x) else np.asarray(x)


def summed(adata, groups):
    """Sums of the cells of each group, by pandas."""
    groups = groups[adata.obs_names]
    return adata.to_df().astype(float)[groups.notna()].groupby(groups[groups.notna()].astype(str)).sum()


@pytest.mark.parametrize("with_model", [False, True])
def test_donors_of_a_mosaic(small, donors, fingerprint, caplog, with_model):
    before = fingerprint(donors)
    found = scvcell.tl.project(donors, small.model if with_model else None, by="donor")
    assert fingerprint(donors) == before
    assert "5 of 300 cells have no label in obs['donor']" in caplog.text
    assert list(found.obs_names) == [f"d{d}" for d in range(6)]
    for name in ("rna", "adt"):
        wanted = summed(donors[name], donors.obs["donor"])
        assert list(found[name].var_names) == list(donors[name].var_names)
        np.testing.assert_array_equal(dense(found[name].X), wanted.loc[found.obs_names].to_numpy())
    for obs in (found.obs, found["rna"].obs):
        assert obs["n_cells"].tolist() == donors.obs["donor"].value_counts().sort_index().tolist()
        assert obs["years"].tolist() == list(range(40, 46))
        assert obs["arm"].tolist() == ["case", "control"] * 3
        assert obs["case"].tolist() == [True, False] * 3
        assert obs["arm"].dtype == donors.obs["arm"].dtype
        assert "celltype" not in obs
        assert ("batch" in obs) == with_model
    assert ("X_csl" in found.obsm) == with_model
    if with_model:
        assert found.obsm["X_csl"].shape == (6, small.model.n_latent)
        np.testing.assert_allclose(small.model.posterior(found).mean, found.obsm["X_csl"], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("form", ["dense", "csc_array", "h5ad csr"])
def test_donors_of_one_table(small, donors, stored, form, tmp_path):
    rna = donors["rna"].copy()
    rna.obs = donors.obs.loc[rna.obs_names]
    given = stored(rna, form)
    for model in (None, small.model):
        found = scvcell.tl.project(given, model, by="donor")
        assert isinstance(found, AnnData)
        np.testing.assert_array_equal(dense(found.X), summed(rna, rna.obs["donor"]).to_numpy())
        found.write_h5ad(tmp_path / "a.h5ad")
        again = anndata.read_h5ad(tmp_path / "a.h5ad")
        assert again.obs["years"].tolist() == found.obs["years"].tolist()
    np.testing.assert_allclose(again.obsm["X_csl"], small.model.posterior(found).mean, rtol=1e-3, atol=1e-3)


def test_the_order_of_cells_and_modalities_does_not_matter(small, donors):
    rng = np.random.default_rng(0)
    other = MuData({name: donors[name][rng.permutation(donors[name].n_obs)].copy() for name in ("adt", "rna")})
    other.obs = donors.obs.loc[other.obs_names]
    one, two = (scvcell.tl.project(data, small.model, by="donor") for data in (donors, other))
    for name in ("rna", "adt"):
        np.testing.assert_array_equal(dense(one[name].X), dense(two[name].X))
    np.testing.assert_allclose(one.obsm["X_csl"], two.obsm["X_csl"], rtol=1e-4, atol=1e-4)


def test_niches(small, mosaic):
    """The nearest cells of the same section; a niche of one is the cell."""
    data = mosaic(80)["rna"].copy()
    rng = np.random.default_rng(0)
    data.obsm["spatial"] = rng.random((data.n_obs, 2))
    data.obs["slide"] = rng.integers(2, size=data.n_obs)
    found = scvcell.tl.project(data, small.model, by=5, section_key="slide")
    assert list(found.obs_names) == list(data.obs_names)
    apart = np.linalg.norm(data.obsm["spatial"][:, None] - data.obsm["spatial"][None], axis=2)
    apart[np.not_equal.outer(*[data.obs["slide"].to_numpy()] * 2)] = np.inf
    x = dense(data.X)
    np.testing.assert_array_equal(dense(found.X), [x[np.argsort(row)[:5]].sum(0) for row in apart])
    assert (found.obs["n_cells"] == 5).all()
    assert (found.obs["slide"] == data.obs["slide"]).all(), "all of a niche are of one section"
    one = scvcell.tl.project(data, small.model, by=np.int64(1))
    np.testing.assert_array_equal(dense(one.X), x)
    np.testing.assert_allclose(one.obsm["X_csl"], small.model.posterior(data).mean, rtol=1e-3, atol=1e-3)


def test_a_membership(small, mosaic):
    """Weights that are not whole, and a unit without cells."""
    data = mosaic(60)["rna"].copy()
    data.obs["number"], data.obs["text"] = 3, "x"
    weights = np.random.default_rng(0).random((3, data.n_obs))
    weights[1] = 0
    names = pd.Index(["p", "q", "r"], dtype=object)
    found = scvcell.tl.project(data, small.model, by=Membership(sp.csr_array(weights), names, data.obs_names, "spot"))
    assert list(found.obs_names) == list(names)
    np.testing.assert_allclose(dense(found.X), weights @ dense(data.X), rtol=1e-6)
    np.testing.assert_allclose(found.obs["n_cells"], weights.sum(1))
    assert np.isnan(found.obsm["X_csl"]).all(1).tolist() == [False, True, False]
    assert found.obs["text"].isna().tolist() == [False, True, False]
    assert found.obs["number"].tolist()[::2] == [3, 3]
    nobody = Membership(sp.csr_array(np.zeros((1, data.n_obs))), names[:1], data.obs_names)
    found = scvcell.tl.project(data, small.model, by=nobody)
    assert dense(found.X).sum() == 0
    assert np.isnan(found.obsm["X_csl"]).all()


def test_features_that_were_not_measured_stay_so(small, donors):
    rna = donors["rna"][:, 6:].copy()
    rna.obs = donors.obs.loc[rna.obs_names]
    found = scvcell.tl.project(rna, small.model, by="donor")
    np.testing.assert_allclose(small.model.posterior(found).mean, found.obsm["X_csl"], rtol=1e-3, atol=1e-3)


def test_what_is_refused(small, donors, fingerprint):
    project, data = scvcell.tl.project, donors.copy()
    data.obs["nothing"] = None
    placed = data["rna"].copy()
    placed.obsm["spatial"] = np.zeros((placed.n_obs, 2))
    before = fingerprint(data)
    other = Membership(sp.csr_array(np.ones((1, 2))), pd.Index(["u"]), pd.Index(["a", "b"]))
    turned = Membership.groups(pd.Series("x", data.obs_names[::-1]))
    for call, error, message in (
        (lambda: project(data, by="donr"), KeyError, "Did you mean 'donor'"),
        (lambda: project(data, by="nothing"), ValueError, "None of the 300 cells has a label"),
        (lambda: project(data, by=5), ValueError, r"no obsm\['spatial'\]"),
        (lambda: project(placed, by=0), ValueError, "k must be"),
        (lambda: project(data, by=True), TypeError, "by= takes a column of obs, .* not True"),
        (lambda: project(data, by=None), TypeError, "by= takes"),
        (lambda: project(data, by=2.5), TypeError, "by= takes"),
        (lambda: project(data, by=other), ValueError, "of 2 units that are not the 300 cells"),
        (lambda: project(data, by=turned), ValueError, "in their order"),
        (lambda: project(small.model, data, by="donor"), TypeError, "The data come first"),
        (lambda: project(data, "model", by="donor"), TypeError, "model must be a CSL"),
    ):
        with pytest.raises(error, match=message):
            call()
    assert fingerprint(data) == before


def test_an_assay_has_only_units_that_it_measured(small):
    """A unit of cells without proteins has no row of zeros there, so that its state read again is the same."""
    mdata = small.mdata.copy()
    mdata.obs["one"] = mdata.obs_names
    found = scvcell.tl.project(mdata, small.model, by="one")
    assert set(found["adt"].obs_names) == set(mdata["adt"].obs_names)
    again = small.model.get_latent_representation(found)
    np.testing.assert_allclose(again, found.obsm["X_csl"], atol=1e-4)
    own = pd.DataFrame(small.model.get_latent_representation(mdata), mdata.obs_names)
    np.testing.assert_allclose(found.obsm["X_csl"], own.loc[found.obs_names], atol=1e-4)

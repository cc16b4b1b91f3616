"""tl.project: units of any kind, their sums, annotation and states, and nothing of the user's changed."""

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData
from scipy.spatial import KDTree

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


def test_niches_in_sections_in_donors(small, donors):
    """Levels that nest, as docs/space.md has them: products of memberships keep all counts."""
    cells = donors["rna"].copy()
    cells = cells[donors.obs.loc[cells.obs_names, "donor"].notna()].copy()
    cells.obs["donor"] = donors.obs["donor"].loc[cells.obs_names]
    cells.obs["section"] = cells.obs["donor"] + np.where(np.arange(cells.n_obs) % 2, "left", "right")
    cells.obs["niche"] = np.arange(cells.n_obs) % 3
    groups = Membership.groups
    niche = groups(cells.obs["section"].astype(str) + ":" + cells.obs["niche"].astype(str), "niche")
    niches = scvcell.tl.project(cells, small.model, by=niche)
    section = groups(niches.obs["section"], "section") @ niche
    by_donor = groups(niches.obs["donor"], "donor") @ niche
    for membership, key in ((section, "section"), (by_donor, "donor")):
        found = scvcell.tl.project(cells, small.model, by=membership)
        plain = scvcell.tl.project(cells, small.model, by=key)
        assert list(found.obs_names) == list(plain.obs_names)
        np.testing.assert_array_equal(dense(found.X), dense(plain.X))
        np.testing.assert_allclose(found.obsm["X_csl"], plain.obsm["X_csl"], atol=1e-5)
        assert found.obs["n_cells"].tolist() == plain.obs["n_cells"].tolist()


def test_a_few_places_of_an_image(small):
    """Voxels with cells around them are a membership with few rows, as docs/space.md has it."""
    rng = np.random.default_rng(0)
    cells = small.mdata["rna"].copy()
    cells.obsm["spatial"] = rng.uniform(0, 1000, (cells.n_obs, 2))
    voxels = pd.DataFrame({"x": [200.0, 700.0, 5000.0], "y": [300.0, 600.0, 0.0]}, index=["v0", "v1", "far"])
    near = KDTree(cells.obsm["spatial"]).query_ball_point(voxels[["x", "y"]], 150)
    matrix = sp.vstack(
        [sp.coo_array((np.ones(len(at)), (np.zeros(len(at), int), at)), (1, cells.n_obs)) for at in near]
    )
    found = scvcell.tl.project(cells, small.model, by=Membership(matrix, voxels.index, cells.obs_names, "voxel"))
    assert list(found.obs_names) == list(voxels.index)
    assert found.obs["n_cells"].tolist() == [len(at) for at in near]
    assert min(len(at) for at in near[:2]) > 3
    for i in range(3):
        np.testing.assert_array_equal(dense(found.X)[i], dense(cells.X)[near[i]].sum(0))
    states = found.obsm["X_csl"]
    assert np.isfinite(states[:2]).all()
    assert np.isnan(states[2]).all(), "a voxel without cells"


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


@pytest.fixture(scope="module")
def section():
    """A section of 1,500 cells of 3 kinds in stripes, and 100 spots of another platform by a planted kernel."""
    rng = np.random.default_rng(0)
    xy = rng.uniform(-1, 10, (1500, 2))
    kind = np.where(rng.random(1500) < 0.9, (xy[:, 0] // 2).astype(int) % 3, rng.integers(3, size=1500))
    rates = rng.gamma(0.6, 1.5, (3, 30))
    names = [f"g{i}" for i in range(30)]
    cells = AnnData(sp.csr_matrix(rng.poisson(rates[kind]).astype(np.float32)), var=pd.DataFrame(index=names))
    cells.obs_names = [f"c{i}" for i in range(1500)]
    cells.obsm["spatial"] = xy
    place = np.stack(np.meshgrid(np.arange(10.0), np.arange(10.0)), -1).reshape(-1, 2)
    weight = np.exp(-((place[:, None] - xy[None]) ** 2).sum(2) / 2 / 0.8**2)
    mean = weight @ cells.X.toarray() * np.exp(rng.normal(0, 0.5, 30))
    x = rng.poisson(mean / mean.sum(1, keepdims=True) * 400).astype(np.float32)
    spots = AnnData(sp.csr_matrix(x), var=pd.DataFrame(index=names))
    spots.obs_names = [f"s{i}" for i in range(100)]
    spots.obsm["spatial"] = place
    return cells, spots


def test_cells_count_once_in_the_nearest_spot(section, caplog):
    cells, spots = section
    found = scvcell.tl.project(cells, by=spots)
    apart = np.linalg.norm(spots.obsm["spatial"][:, None] - cells.obsm["spatial"][None], axis=2)
    near = apart.min(0) <= 1
    wanted = np.zeros((100, 30))
    np.add.at(wanted, apart.argmin(0)[near], cells.X.toarray()[near])
    np.testing.assert_array_equal(dense(found.X), wanted)
    assert sp.issparse(found.X)
    assert list(found.obs_names) == list(spots.obs_names)
    np.testing.assert_array_equal(found.obsm["spatial"], spots.obsm["spatial"])
    assert found.obs["n_cells"].sum() == near.sum()
    far = cells.copy()
    far.obsm["spatial"][:5] = 1e6
    found = scvcell.tl.project(far, by=spots)
    wanted = wanted - 0
    np.subtract.at(wanted, apart[:, :5].argmin(0)[near[:5]], cells.X.toarray()[:5][near[:5]])
    np.testing.assert_array_equal(dense(found.X), wanted)


def test_a_kernel_of_a_given_width(section):
    cells, spots = section
    found = scvcell.tl.project(cells, by=spots, width=0.5)
    apart = np.linalg.norm(spots.obsm["spatial"][:, None] - cells.obsm["spatial"][None], axis=2)
    weight = np.where(apart <= 1.5, np.exp(-(apart**2) / 2 / 0.5**2), 0)
    np.testing.assert_allclose(dense(found.X), weight @ cells.X.toarray(), rtol=1e-6)
    np.testing.assert_allclose(found.obs["n_cells"], weight.sum(1))


def test_a_fitted_kernel(section, tmp_path, fingerprint):
    cells, spots = section
    before = fingerprint(cells), fingerprint(spots)
    found = scvcell.tl.project(cells, by=spots, width="fit")
    assert (fingerprint(cells), fingerprint(spots)) == before
    told = found.uns["csl_project"]
    assert told["width"] == pytest.approx(0.8, abs=0.16)
    np.testing.assert_allclose(told["offset"], 0, atol=0.2)
    scores = pd.DataFrame(told["scores"])
    assert scores.loc["deviance"].idxmin() == "kernel"
    assert scores.loc["pearson"].idxmax() == "kernel"
    expected = found.layers["expected"]
    np.testing.assert_allclose(expected.sum(1), spots.X.sum(1).A1, rtol=1e-5)
    assert np.corrcoef(expected.ravel(), spots.X.toarray().ravel())[0, 1] > 0.9
    assert np.log(found.var["platform_factor"]).mean() == pytest.approx(0, abs=1e-6)
    found.write_h5ad(tmp_path / "a.h5ad")
    again = anndata.read_h5ad(tmp_path / "a.h5ad")
    assert again.uns["csl_project"]["scores"]["kernel"]["deviance"] == scores.loc["deviance", "kernel"]
    # other genes, another order of cells, and counts that lie apart from the places
    rng = np.random.default_rng(0)
    places = AnnData(obs=spots.obs)
    places.obsm["spatial"] = spots.obsm["spatial"]
    measured = spots[:, ["g5", *spots.var_names[10:]]].copy()
    measured.var_names = ["g5", *spots.var_names[10:28], "other", "more"]
    turned = cells[rng.permutation(1500)].copy()
    some = scvcell.tl.project(turned, by=places, measured=measured, width="fit")
    assert some.uns["csl_project"]["width"] == pytest.approx(told["width"], abs=0.16)
    missing = ~some.var_names.isin(measured.var_names)
    assert np.isnan(some.layers["expected"][:, missing]).all()
    assert some.var["platform_factor"].isna().tolist() == missing.tolist()
    assert np.isfinite(some.layers["expected"][:, ~missing]).all()


def test_spots_that_do_not_go_with_the_cells_are_refused(section):
    project, (cells, spots) = scvcell.tl.project, section
    pixels, bare, other, few = spots.copy(), spots.copy(), spots.copy(), spots[:, :5].copy()
    pixels.obsm["spatial"] = pixels.obsm["spatial"] * 1e3 + 1e5
    del bare.obsm["spatial"]
    other.obs_names = [f"o{i}" for i in range(100)]
    spots.obs["slide"] = "s"
    slides = cells.copy()
    slides.obs["slide"] = ["a", "b"] * 750
    twice = spots.copy()
    twice.obs["slide"] = ["c", "d"] * 50
    for width in (None, 0.5, "fit"):
        with pytest.raises(ValueError, match=r"No cell lies near any of the 100 spots: .*\(micrometres, pixels\)"):
            project(cells, by=pixels, width=width)
        with pytest.raises(ValueError, match="No section is in both"):
            project(slides, by=twice, width=width, section_key="slide")
    for call, error, message in (
        (lambda: project(cells, by=bare), ValueError, "no coordinates"),
        (lambda: project(cells, by=spots, width=-1), ValueError, "width must be a number above 0"),
        (lambda: project(cells, by=spots, width="wide"), ValueError, "width must be a number above 0"),
        (lambda: project(cells, by=spots, measured=spots), TypeError, 'measured= goes with width="fit"'),
        (lambda: project(cells, by=5, width=1.0), TypeError, "width= goes with spots in by="),
        (lambda: project(cells, by=spots, width="fit", measured=other), ValueError, "the spots of by="),
        (lambda: project(cells, by=few, width="fit"), ValueError, "share 5 features; 10 are needed"),
        (lambda: project(cells, by=spots[:10].copy(), width="fit"), ValueError, "20 spots or more"),
    ):
        with pytest.raises(error, match=message):
            call()


def test_one_spot_and_spots_without_cells(section):
    cells, spots = section
    one = scvcell.tl.project(cells, by=spots[:1].copy(), width=0.5)
    np.testing.assert_allclose(dense(one.X), dense(scvcell.tl.project(cells, by=spots, width=0.5).X)[:1])
    alone = spots[:2].copy()
    alone.obsm["spatial"] = np.array([[5.0, 5.0], [1e5, 1e5]])
    found = scvcell.tl.project(cells, by=alone, width=0.5)
    assert dense(found.X)[1].sum() == 0
    assert found.obs["n_cells"].iloc[1] == 0


class TestSpatialData:
    """Cells of a SpatialData in shapes and niches of it, whatever the order of rows; results are tables of it."""

    @pytest.fixture
    def tissue(self):
        sdata = scvcell.datasets.simulate_tissue(300, n_donors=2, n_genes=20, as_anndata=False, seed=1)
        order = np.random.default_rng(0).permutation(sdata.tables["cells"].n_obs)
        sdata.tables["cells"] = sdata.tables["cells"][order].copy()
        return sdata

    def test_shapes(self, tissue):
        from spatialdata.models import TableModel

        cells = tissue.tables["cells"]
        found = scvcell.tl.project(tissue, by="donor2_spots", table_key="cells")
        spots = tissue.shapes["donor2_spots"]
        here = (cells.obs["section"] == "donor2").to_numpy()
        for spot, n in zip(found.obs_names, found.obs["n_cells"], strict=True):
            centre = np.array(spots.geometry.loc[spot].coords)[0]
            inside = here & (np.linalg.norm(cells.obsm["spatial"] - centre, axis=1) <= spots["radius"].loc[spot])
            assert n == inside.sum()
            np.testing.assert_array_equal(dense(found[spot].X)[0], dense(cells[inside].X).sum(0))
        TableModel().validate(found)
        tissue.tables["sums"] = found
        assert set(found.obs["region"]) == {"donor2_spots"}

    def test_niches_are_those_of_places_not_of_rows(self, tissue):
        from spatialdata.models import TableModel

        found = scvcell.tl.project(tissue, by=6, table_key="cells")
        plain = scvcell.tl.project(tissue.tables["cells"], by=6, section_key="section")
        np.testing.assert_array_equal(dense(found.X), dense(plain.X))
        TableModel().validate(found)
        assert list(found.obs["instance"]) == list(tissue.tables["cells"].obs["instance"])

    def test_what_is_refused(self, tissue):
        with pytest.raises(ValueError, match="give `table_key=` as one of"):
            scvcell.tl.project(tissue, by=6)
        with pytest.raises(KeyError, match="No obs column 'donor3_spots'"):
            scvcell.tl.project(tissue, by="donor3_spots", table_key="cells")

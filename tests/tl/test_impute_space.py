"""tl.impute_space: planted genes and proteins are found with intervals, what cannot be told is not trusted."""

import anndata
import numpy as np
import pytest
import scipy.sparse as sp
from mudata import MuData

import scvcell
from scvcell.score import correlation

LAYERS = ("lower", "upper", "rate")


@pytest.fixture(scope="module")
def genes(imputed):
    return scvcell.tl.impute_space(imputed.mdata, imputed.model)


@pytest.fixture(scope="module")
def known(imputed):
    """Cells of kinds that the reference has."""
    return imputed.kind < 3


def test_genes_on_disk_are_those_in_memory(imputed, genes, tmp_path, monkeypatch):
    from scvcell._containers import _blocks

    monkeypatch.setattr(_blocks, "blocks", lambda n, _: np.split(np.arange(n), range(37, n, 37)))
    found = scvcell.tl.impute_space(imputed.mdata, imputed.model, out=tmp_path / "genes.zarr")
    assert [path.name for path in tmp_path.iterdir()] == ["genes.zarr"]
    assert not isinstance(found.X, np.ndarray), "it stays on disk"
    for own in (found.to_memory(), anndata.read_zarr(tmp_path / "genes.zarr")):
        np.testing.assert_array_equal(own.X, genes.X)
        for key in LAYERS:
            np.testing.assert_array_equal(own.layers[key], genes.layers[key])
        for key in genes.obsm:
            np.testing.assert_array_equal(own.obsm[key], genes.obsm[key])
        assert own.obs["trusted"].tolist() == genes.obs["trusted"].tolist()
        np.testing.assert_array_equal(own.var["skill"], genes.var["skill"])
        assert own.uns["csl_impute"]["weights"] == genes.uns["csl_impute"]["weights"]
    with pytest.raises(FileExistsError, match=r"genes\.zarr exists already"):
        scvcell.tl.impute_space(imputed.mdata, imputed.model, out=tmp_path / "genes.zarr")


def depth_free(imputed, counts):
    deep = np.asarray(imputed.tissue.X.sum(1))
    return np.log1p(counts / deep * np.median(deep))


def test_planted_genes_are_found(imputed, genes, known):
    assert list(genes.obs_names) == list(imputed.tissue.obs_names)
    assert list(genes.var_names) == list(imputed.hidden.var_names)
    assert list(genes.obs["kind"]) == list(imputed.tissue.obs["kind"])
    np.testing.assert_array_equal(genes.obsm["spatial"], imputed.tissue.obsm["spatial"])
    true = imputed.hidden.X.toarray()[known, :-1]
    r = correlation(np.log1p(genes.X[known, :-1]), np.log1p(true)).mean()
    free = correlation(
        np.log1p(genes.layers["rate"][known, :-1]), depth_free(imputed, imputed.hidden.X.toarray())[known, :-1]
    )
    deep = np.log1p(np.asarray(imputed.tissue.X.sum(1))[known])
    by_depth = correlation(np.broadcast_to(deep, true.shape), np.log1p(true)).mean()
    assert r > 0.5
    assert r > by_depth + 0.2
    assert free.mean() > 0.4
    # counts are those of the reference's platform: right up to the factor of each gene
    ratio = np.log(genes.X[known, :-1].sum(0) / true.sum(0))
    assert np.abs(np.median(ratio)) < 0.2


def test_intervals_cover_genes_of_another_platform(imputed, genes, known):
    true = imputed.hidden.X.toarray()[known]
    lower, upper = (genes.layers[key][known] for key in ("lower", "upper"))
    covered = (true >= lower - 1e-4) & (true <= upper + 1e-4)
    assert 0.86 < covered.mean() < 0.99
    assert (lower <= genes.X[known] + 1e-4).all()
    assert (genes.X[known] <= upper + 1e-4).all()
    wide = np.log1p(upper[:, :-1]).mean(0) - np.log1p(lower[:, :-1]).mean(0)
    marginal = np.subtract(*np.quantile(np.log1p(true[:, :-1]), [0.95, 0.05], axis=0))
    assert wide.mean() < 0.95 * marginal.mean(), "narrower than not looking at a cell"


def test_a_type_that_the_reference_lacks_is_not_trusted(genes, known):
    trusted = genes.obs["trusted"].to_numpy()
    assert trusted[known].mean() > 0.85
    assert trusted[~known].mean() < 0.3


def test_a_gene_that_nobody_expresses_is_nothing_and_not_trusted(imputed, genes):
    silent = imputed.hidden.var_names[-1]
    assert np.abs(genes[:, silent].X).max() < 0.05
    assert not genes.var.loc[silent, "trusted"]
    assert genes.var["trusted"].mean() > 0.6
    info = genes.uns["csl_impute"]
    assert sum(info["weights"].values()) == pytest.approx(1)
    assert info["panel_skill"][0] > 0.2
    assert 0.9 <= info["asked_level"] < 1


def test_proteins_are_imputed_too(imputed, known):
    found = scvcell.tl.impute_space(imputed.mdata, imputed.model, to="adt")
    true = imputed.stained[known]
    assert correlation(np.log1p(found.X[known]), np.log1p(true))[:3].mean() > 0.6
    covered = (true >= found.layers["lower"][known] - 1e-3) & (true <= found.layers["upper"][known] + 1e-3)
    assert 0.8 < covered.mean() < 0.99
    assert set(found.uns["csl_impute"]["weights"]) == {"decode", "ridge"}
    assert found.var["trusted"][:3].all()


def test_answers_do_not_depend_on_other_cells_nor_on_their_order(imputed, genes):
    cells = imputed.tissue.obs_names[[200, 3, 77]]
    for asked in (cells, cells[:1]):
        few = scvcell.tl.impute_space(imputed.mdata[asked].copy(), imputed.model)
        assert sorted(few.obs_names) == sorted(asked)
        for found, whole in (
            (few[asked].X, genes[asked].X),
            *((few[asked].layers[k], genes[asked].layers[k]) for k in LAYERS),
        ):
            np.testing.assert_allclose(found, whole, rtol=2e-3, atol=2e-3)
        assert (few.obs["trusted"] == genes.obs["trusted"].loc[few.obs_names]).all()


def test_cells_of_the_fit_may_stand_in_another_order(imputed, genes, tmp_path):
    other = np.random.default_rng(0).permutation(imputed.mdata.n_obs)
    mdata = imputed.mdata[other].copy()
    imputed.model.save(tmp_path / "model")
    found = scvcell.tl.impute_space(mdata, scvcell.CSL.load(tmp_path / "model", mdata))
    np.testing.assert_allclose(found[genes.obs_names].X, genes.X, rtol=5e-3, atol=5e-3)


def test_new_cells_of_the_tissue_as_a_table_alone(imputed, genes):
    rows = np.arange(100)
    alone = imputed.tissue[rows].copy()
    alone.X = alone.X.toarray().astype(np.int64)
    alone.obs["platform"] = "spatial"
    for given in (MuData({"panel": alone}), alone):
        found = scvcell.tl.impute_space(given, imputed.model)
        np.testing.assert_allclose(found.X, genes.X[rows], rtol=2e-3, atol=2e-3)
        np.testing.assert_array_equal(found.obsm["spatial"], alone.obsm["spatial"])
    del alone.obs["platform"]
    with pytest.raises(KeyError, match="platform"):
        scvcell.tl.impute_space(alone, imputed.model)


def test_nothing_that_was_given_changes(imputed, fingerprint):
    before = fingerprint(imputed.mdata)
    first = scvcell.tl.impute_space(imputed.mdata, imputed.model)
    assert fingerprint(imputed.mdata) == before
    second = scvcell.tl.impute_space(imputed.mdata, imputed.model)
    np.testing.assert_array_equal(first.X, second.X)


def test_it_can_be_written(genes, tmp_path):
    genes.write_h5ad(tmp_path / "genes.h5ad")
    again = anndata.read_h5ad(tmp_path / "genes.h5ad")
    assert again.uns["csl_impute"]["to"] == "rest"


def test_a_reference_of_one_type_tells_no_types(panel, quick, caplog):
    scene = panel(200)
    reference = scene.reference[scene.ours == 0].copy()
    mdata = scvcell.pp.panels(reference, scene.tissue)
    model = scvcell.tl.fit(mdata, batch_key="platform", train=quick)
    found = scvcell.tl.impute_space(mdata, model)
    own = scene.kind == 0
    trusted = found.obs["trusted"].to_numpy()
    assert trusted[own].mean() > trusted[~own].mean()
    assert np.isfinite(found.X).all()
    assert found.uns["csl_impute"]["panel_skill"][0] < 0.6
    assert sp.issparse(scene.tissue.X)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"to": "atac"}, "no modality 'atac'"),
        ({"level": 1.0}, "between 0 and 1"),
        ({"to": "panel"}, "Every cell of the data has 'panel'"),
    ],
)
def test_what_cannot_be_asked(imputed, given, message):
    with pytest.raises(ValueError, match=message):
        scvcell.tl.impute_space(imputed.mdata, imputed.model, **given)


def test_a_model_without_what_is_needed(imputed, small, tmp_path):
    with pytest.raises(TypeError, match="The data come first"):
        scvcell.tl.impute_space(imputed.model, imputed.mdata)
    imputed.model.save(tmp_path / "model")
    bare = scvcell.CSL.load(tmp_path / "model")
    with pytest.raises(ValueError, match="load the model with its data"):
        scvcell.tl.impute_space(imputed.mdata, bare)
    alone = small.mdata["adt"][:20].copy()
    with pytest.raises(ValueError, match="imputing reads an assay of RNA counts"):
        scvcell.tl.impute_space(MuData({"adt": alone}), small.model, to="rna")

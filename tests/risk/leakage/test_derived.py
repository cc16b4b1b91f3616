"""On which cells steps were done is read off their results."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from mudata import MuData

from scvcell._containers import view
from scvcell.pp import Split
from scvcell.risk.leakage import Case, derived


def look(data, split, **declared):
    found = derived(Case(data, view(data), split, declared=declared))
    return {finding.check: (finding.verdict, finding.says) for finding in found}


@pytest.fixture
def steps(donors):
    """Runs scanpy on all cells or training cells, and gives what is found."""

    def run(on, step, **declared):
        adata = donors.adata.copy()
        part = adata if on == "all" else adata[adata.obs_names.isin(donors.split.train)].copy()
        step(adata, part)
        return look(adata, donors.split, **declared)

    return run


@pytest.mark.parametrize("values", ["log counts per 10,000", "counts", "counts, means of log"])
@pytest.mark.parametrize(("on", "verdict"), [("all", "amber"), ("train", "green")])
def test_features(steps, values, on, verdict):
    """Means as scanpy keeps them: of counts per 10,000 as log1p (seurat), and of counts (seurat_v3)."""

    def choose(adata, part):
        x = part.X.toarray()
        per = x / x.sum(1, keepdims=True) * 1e4
        means = {"counts": x.mean(0), "counts, means of log": np.log1p(per).mean(0)}
        adata.var["means"] = means.get(values, np.log1p(per.mean(0)))
        adata.var["highly_variable"] = adata.var["means"] > adata.var["means"].median()
        if not values.startswith("counts"):
            y = adata.X.toarray()
            adata.X = sp.csr_matrix(np.log1p(y / y.sum(1, keepdims=True) * 1e4).astype(np.float32))

    found = steps(on, choose)["features chosen on all cells"]
    assert found[0] == verdict
    assert ("computed on all cells" in found[1]) == (on == "all")


def test_features_whose_cells_are_not_known(steps):
    def mark(adata, part):
        adata.var["highly_variable"] = True

    assert "cannot be ruled out" in steps("all", mark)["features chosen on all cells"][1]
    assert steps("all", mark, **{"feature selection": "train"})["features chosen on all cells"][0] == "green"
    assert steps("all", mark, **{"feature selection": "all"})["features chosen on all cells"][0] == "red"
    assert (
        steps("all", lambda adata, part: None, **{"feature selection": "all"})["features chosen on all cells"][0]
        == "red"
    )


@pytest.mark.parametrize(("on", "verdict", "declared"), [("all", "amber", "red"), ("train", "green", "green")])
def test_components(steps, on, verdict, declared):
    def project(adata, part):
        x, fitted = (np.log1p(each.X.toarray()) for each in (adata, part))
        axes = np.linalg.svd(fitted - fitted.mean(0), full_matrices=False)[2][:5]
        adata.obsm["X_pca"] = ((x - fitted.mean(0)) @ axes.T).astype(np.float32)

    assert steps(on, project)["components of all cells"][0] == verdict
    assert steps(on, project, pca="train")["components of all cells"][0] == declared


def test_embeddings_whose_cells_are_not_known(steps):
    def embed(adata, part):
        adata.obsm["X_umap"] = np.random.default_rng(0).normal(size=(adata.n_obs, 2)) + 3
        adata.obsm["X_csl"] = adata.obsm["spatial"] = adata.obsm["X_umap"]

    verdict, says = steps("all", embed)["components of all cells"]
    assert verdict == "amber"
    assert "obsm['X_umap']: it cannot be ruled out" in says
    assert "declared={'pca': 'train'}" in says
    assert "spatial" not in says


@pytest.mark.parametrize(("on", "verdict"), [("all", "amber"), ("train", "green")])
def test_scaling(steps, on, verdict):
    def scale(adata, part):
        x, fitted = (np.log1p(each.X.toarray()) for each in (adata, part))
        adata.layers["scaled"] = (x - fitted.mean(0)) / (fitted.std(0) + 1e-9)

    assert steps(on, scale)["scaled on all cells"][0] == verdict


def test_graphs(donors):
    n = donors.adata.n_obs
    graph = sp.random(n, n, 0.02, format="csr", random_state=0)
    donors.adata.obsp["connectivities"] = graph
    assert look(donors.adata, donors.split)["graph of all cells"][0] == "amber"
    test = donors.adata.obs_names.isin(donors.split.test)
    test = test.astype(float)
    apart = sp.diags(1 - test) @ graph @ sp.diags(1 - test) + sp.diags(test) @ graph @ sp.diags(test)
    donors.adata.obsp["connectivities"] = apart.tocsr()
    assert look(donors.adata, donors.split)["graph of all cells"][0] == "green"


def test_several_assays_are_named(mosaic, donors):
    mdata = mosaic(90)
    mdata["rna"].var["highly_variable"] = True
    mdata.obsm["X_pca"] = np.random.default_rng(0).normal(size=(90, 3))
    mdata.obsm["X_pca"] -= mdata.obsm["X_pca"].mean(0)
    names = mdata.obs_names[np.random.default_rng(1).permutation(90)]
    found = look(mdata, Split(names[:60], names[:0], names[60:], "other cells"))
    assert "rna: var['highly_variable']" in found["features chosen on all cells"][1]
    assert found["components of all cells"] == (
        "amber",
        "obsm['X_pca']: computed on all cells, test cells included. A predictor that reads it has seen them.",
    )
    assert isinstance(mdata, MuData)
    pd.testing.assert_index_equal(mdata["rna"].var.columns, pd.Index(["highly_variable"]))

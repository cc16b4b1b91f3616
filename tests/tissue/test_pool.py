"""Coarse units: sums against a loop, annotation by weight, and states that are those of the sums."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

import scvcell
from scvcell._containers import Matrix, Membership, view
from scvcell.tissue import annotation, constant, encode, pooled


def member(matrix, fine, unit="spot"):
    matrix = sp.csr_array(matrix)
    return Membership(matrix, pd.Index([f"u{i}" for i in range(matrix.shape[0])], dtype=object), fine, unit)


@pytest.fixture(scope="module")
def scene(small):
    """The mosaic as its model views it, and weights of 12 units, of which the third is empty."""
    seen = small.model.view()
    rng = np.random.default_rng(0)
    weights = rng.random((12, seen.n_obs)) * (rng.random((12, seen.n_obs)) < 0.05)
    weights[2] = 0
    return SimpleNamespace(seen=seen, weights=weights, model=small.model, data=small.mdata)


def sums(model, membership, seen):
    return {name: pooled(membership, model.matrix(seen, name), seen.rows[name]) for name in seen.modalities}


@pytest.mark.parametrize("form", ["dense", "csr_matrix", "csc_array", "h5ad csr", "h5ad dense"])
def test_sums_and_means_of_a_mosaic_are_those_of_a_loop(scene, stored, form, monkeypatch):
    monkeypatch.setattr(Matrix.chunks, "__defaults__", (37,))
    data = stored(scene.data, form)
    seen = view(data)
    assert list(seen.obs_names) == list(scene.seen.obs_names)
    membership = member(scene.weights, seen.obs_names)
    for name in ("rna", "adt"):
        own = scene.data[name]
        total, weight = np.zeros((12, own.n_vars)), np.zeros(12)
        values = own.to_df()
        for c, cell in enumerate(seen.obs_names):
            if cell in values.index:
                total += np.outer(scene.weights[:, c], values.loc[cell])
                weight += scene.weights[:, c]
        found = pooled(membership, Matrix(data[name].X), seen.rows[name])
        assert sp.issparse(found) == ("dense" not in form)
        np.testing.assert_allclose(found.toarray() if sp.issparse(found) else found, total, rtol=1e-6)
        mean = pooled(membership, Matrix(data[name].X), seen.rows[name], counts=False)
        assert np.isnan(mean[2]).all()
        np.testing.assert_allclose(np.delete(mean, 2, 0), np.delete(total / np.maximum(weight, 1e-9)[:, None], 2, 0))


def test_counts_are_summed_to_the_last_one(scene):
    membership = Membership.groups(scene.seen.column("celltype"))
    for name in ("rna", "adt"):
        adata = scene.data[name]
        found = pooled(membership, Matrix(adata.X), scene.seen.rows[name])
        frame = adata.to_df().astype(int).groupby(scene.seen.column("celltype")[adata.obs_names].astype(str)).sum()
        assert found.toarray().tolist() == frame.loc[list(membership.coarse)].to_numpy().tolist()


def test_an_assay_of_no_cell():
    membership = member(np.eye(2), pd.Index(["a", "b"]))
    nobody, matrix = np.full(2, -1), Matrix(np.ones((3, 4), np.float32))
    assert pooled(membership, matrix, nobody).toarray().tolist() == [[0] * 4] * 2
    assert np.isnan(pooled(membership, matrix, nobody, counts=False)).all()


@pytest.fixture
def few():
    """Six cells in units u0 (three), u1 (two) and u2 (none); the last cell is in none."""
    obs = pd.DataFrame(
        {
            "kind": pd.Categorical(["b", "a", "a", None, None, "a"]),
            "age": [1.0, 2.0, np.nan, 4.0, 6.0, 9.0],
            "donor": ["d1", "d1", "d1", "d2", "d2", "d9"],
            "code": [7, 7, 7, 8, 8, 8],
            "some": ["x", "x", None, "y", "y", "y"],
            "flag": [True, True, True, False, True, True],
        },
        index=[f"c{i}" for i in range(6)],
    )
    weights = [[5.0, 2, 2, 0, 0, 0], [0, 0, 0, 3, 1, 0], [0] * 6]
    return member(np.array(weights), obs.index), view(AnnData(np.ones((6, 1), np.float32), obs=obs))


def test_annotation(few):
    found = annotation(*few, ["kind", "age", "donor", "code", "flag"])
    assert list(found.index) == ["u0", "u1", "u2"]
    assert found["kind"].astype(object).where(found["kind"].notna(), None).tolist() == ["b", None, None]
    np.testing.assert_allclose(found["age"], [(5 * 1 + 2 * 2) / 7, (3 * 4 + 6) / 4, np.nan])
    assert found["donor"].tolist()[:2] == ["d1", "d2"]
    np.testing.assert_allclose(found["code"], [7, 8, np.nan])
    assert found["flag"].tolist()[:2] == ["True", "False"]
    named = annotation(*few, ["code"], named=["code"])
    assert named["code"].tolist()[:2] == ["7", "8"]


def test_annotation_of_a_column_without_a_label(few):
    membership, seen = few
    seen.source.obs["none"] = pd.Series([None] * 6, seen.obs_names, dtype=object)
    assert annotation(membership, seen, ["none"])["none"].isna().all()


def test_constant_columns(few):
    assert constant(*few) == ["donor", "code"]
    _, seen = few
    assert constant(member(np.zeros((2, 6)), seen.obs_names), seen) == []


def test_the_state_of_one_cell_is_its_own(scene):
    """Of cells with RNA only, with proteins only and with both."""
    order = np.random.default_rng(0).permutation(scene.seen.n_obs)
    membership = member(np.eye(scene.seen.n_obs)[order], scene.seen.obs_names)
    found = encode(scene.model, membership, scene.seen, sums(scene.model, membership, scene.seen))
    np.testing.assert_allclose(found, scene.model.posterior(scene.seen).mean.numpy()[order], rtol=1e-4, atol=1e-4)


def test_features_that_the_data_lack_are_not_measured_in_units_either(scene):
    rna = scene.data["rna"][:40, 6:].copy()
    rna.obs = scene.data.obs.loc[rna.obs_names]
    seen = scene.model.view(rna)
    membership = member(np.eye(40), seen.obs_names)
    found = encode(scene.model, membership, seen, sums(scene.model, membership, seen))
    np.testing.assert_allclose(found, scene.model.posterior(rna).mean.numpy(), rtol=1e-4, atol=1e-4)


def test_states_of_units(scene):
    """NaN where there is no cell, whatever the order; weights need not be whole numbers."""
    membership = member(scene.weights, scene.seen.obs_names)
    found = encode(scene.model, membership, scene.seen, sums(scene.model, membership, scene.seen))
    assert np.isnan(found).all(1).tolist() == [r == 2 for r in range(12)]
    order = np.random.default_rng(0).permutation(12)
    other = member(scene.weights[order], scene.seen.obs_names)
    again = encode(scene.model, other, scene.seen, sums(scene.model, other, scene.seen))
    np.testing.assert_allclose(again, found[order], rtol=1e-4, atol=1e-4)
    nobody = member(np.zeros((2, scene.seen.n_obs)), scene.seen.obs_names)
    assert np.isnan(encode(scene.model, nobody, scene.seen, sums(scene.model, nobody, scene.seen))).all()


def test_batches_that_are_numbers_and_given_depths(quick, mosaic):
    """A batch is a label in whatever type it is held; the depth of a unit is the sum of those of its cells."""
    data = mosaic(60)["rna"].copy()
    data.obs["batch"] = (data.obs["batch"] == "b1").astype(int)
    data.obs["depth"] = 2.0 * np.asarray(data.X.sum(1)).ravel()
    model = scvcell.tl.fit(data, batch_key="batch", covariates=["age"], size_factor="depth", train=quick)
    seen = model.view(data)
    weights = 1.0 + (data.obs["batch"].to_numpy() == 0)[None]
    membership = member(weights, seen.obs_names)
    found = encode(model, membership, seen, sums(model, membership, seen))
    x = weights @ data.X.toarray()
    one = AnnData(x.astype(np.float32), var=data.var.copy(), obs=pd.DataFrame(index=["u0"]))
    one.obs["batch"] = 0
    one.obs["age"] = np.average(data.obs["age"], weights=weights[0])
    one.obs["depth"] = weights @ data.obs["depth"].to_numpy()
    np.testing.assert_allclose(found, model.posterior(one).mean.numpy(), rtol=1e-4, atol=1e-5)

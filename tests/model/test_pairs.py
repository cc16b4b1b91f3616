"""Pseudo-pairs: mutual matches against brute force, who may match whom, and what the model does with them."""

from dataclasses import replace

import anndata as ad
import mudata as md
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

import scvcell
from scvcell.model import _pairs
from scvcell.model._pairs import LowRank, Matches, graph_matches, mutual_matches
from scvcell.objective import info_nce
from scvcell.prior import Edges


def cells(n=60, seed=0):
    """The same n states seen by assay 0 and, slightly moved, by assay 1, in one batch."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 5))
    latent = np.concatenate([z, z + 0.05 * rng.normal(size=z.shape)])
    has = np.repeat([[True, False], [False, True]], n, 0)
    return latent, np.zeros(2 * n, np.int64), has


def test_the_same_state_is_found():
    latent, batch, has = cells()
    found = mutual_matches(latent, batch, has, np.random.default_rng(0))
    assert len(found.one) > 50
    assert (found.other - found.one == 60).mean() > 0.95
    assert len(np.unique(found.one)) == len(found.one) == len(np.unique(found.other))
    assert found.confidence.max() == 1
    assert found.confidence.min() > 0.5
    assert (np.diff(found.confidence) < 0).all()


def test_scaled_similarity_is_brute_force(monkeypatch):
    monkeypatch.setattr(_pairs, "N_NEIGHBOURS", 40)  # all of them: then crowding is exact
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(40, 4)), rng.normal(size=(40, 4))
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    cosine = a @ b.T
    scaled = 2 * cosine - cosine.mean(1, keepdims=True) - cosine.mean(0, keepdims=True)
    i, j, score = _pairs._mutual(a, b)
    best = [(p, q) for p, q in enumerate(scaled.argmax(1)) if scaled[:, q].argmax() == p]
    assert list(zip(i.tolist(), j.tolist(), strict=True)) == best
    np.testing.assert_allclose(score, scaled[i, j], atol=1e-6)


def test_only_cells_of_one_batch_without_a_common_assay():
    latent, batch, has = cells()
    apart = np.repeat([0, 1], 60)
    assert len(mutual_matches(latent, apart, has, np.random.default_rng(0)).one) == 0
    both = np.ones_like(has)
    assert len(mutual_matches(latent, batch, both, np.random.default_rng(0)).one) == 0
    few = np.r_[0:60, 60:70]
    assert len(mutual_matches(latent[few], batch[few], has[few], np.random.default_rng(0)).one) == 0


def test_large_batches_are_sampled(monkeypatch):
    monkeypatch.setattr(_pairs, "MAX_MATCHED_CELLS", 30)
    latent, batch, has = cells()
    found = mutual_matches(latent, batch, has, np.random.default_rng(0))
    assert 0 < len(found.one) <= 30


def test_a_matched_source_gives_both_assays_to_one_cell(small):
    model = small.model
    source = model.source(model.view())
    rna, adt = source.rows["rna"], source.rows["adt"]
    one, other = np.flatnonzero((rna >= 0) & (adt < 0))[:3], np.flatnonzero((adt >= 0) & (rna < 0))[:3]
    pairs = source.matched(Matches(one, other, np.array([1, 0.8, 0.6], np.float32)))
    np.testing.assert_array_equal(pairs.rows["adt"][one], adt[other])
    np.testing.assert_array_equal(pairs.rows["rna"][one], rna[one])
    np.testing.assert_array_equal(source.rows["adt"], adt)
    batch = pairs.cut(np.r_[one, other[0]])
    torch.testing.assert_close(batch.confidence, torch.tensor([1, 0.8, 0.6, 1]))
    assert source.cut(one).confidence is None


def linked(n=80, features=12, signs=False, seed=0):
    """The same n states in two assays; two features of the second belong to each of the first."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 4))
    first, own = rng.normal(size=(features, 4)), rng.normal(size=(5, 4))
    second = np.concatenate([np.repeat(first, 2, axis=0), own])
    sign = np.ones(2 * features)
    if signs:
        sign[::4] = -1
        second[: 2 * features] *= sign[:, None]
    views = {
        "a": LowRank(np.arange(n), z + 3, first),
        "b": LowRank(np.arange(n, 2 * n), z + 0.1 * rng.normal(size=z.shape) - 2, second),
    }
    edges = Edges(
        np.repeat(np.arange(features), 2),
        features + np.arange(2 * features),
        np.full(2 * features, 0.5, np.float32),
        sign.astype(np.float32),
    )
    return views, {"a": features, "b": 2 * features + 5}, edges, np.zeros(2 * n, np.int64)


@pytest.mark.parametrize("signs", [False, True])
@pytest.mark.parametrize("turned", [False, True])
def test_linked_features_find_the_same_state(signs, turned):
    views, sizes, edges, batch = linked(signs=signs)
    if turned:  # direction of an edge does not matter
        edges = Edges(edges.b, edges.a, edges.weight, edges.sign)
    found = graph_matches(views, sizes, edges, batch, np.random.default_rng(0))
    assert len(found.one) > 60
    assert (np.abs(found.other - found.one) == 80).mean() > 0.9
    plain = graph_matches(views, sizes, edges._replace(sign=np.ones_like(edges.sign)), batch, np.random.default_rng(0))
    right = (np.abs(plain.other - plain.one) == 80).sum()
    assert right == (np.abs(found.other - found.one) == 80).sum() if not signs else right < len(found.one)


def test_a_graph_between_other_assays_matches_nobody():
    views, sizes, edges, batch = linked()
    within = edges._replace(b=(edges.a + 1) % sizes["a"])
    assert len(graph_matches(views, sizes, within, batch, np.random.default_rng(0)).one) == 0


def test_cells_with_both_assays_are_not_matched():
    views, sizes, edges, batch = linked()
    views["b"] = views["b"]._replace(cells=np.r_[np.arange(30), np.arange(110, 160)])  # thirty have both
    found = graph_matches(views, sizes, edges, batch, np.random.default_rng(0))
    assert len(found.one) > 20
    assert min(found.one.min(), found.other.min()) >= 30


def test_of_many_linked_features_the_most_variable_count(monkeypatch):
    monkeypatch.setattr(_pairs, "MAX_LINKED_FEATURES", 6)
    views, sizes, edges, batch = linked()
    views["a"].loadings[6:] *= 1e-3
    found = graph_matches(views, sizes, edges, batch, np.random.default_rng(0))
    assert (found.other - found.one == 80).mean() > 0.8


def test_of_many_cells_some_are_compared(monkeypatch):
    monkeypatch.setattr(_pairs, "MAX_MATCHED_CELLS", 30)
    views, sizes, edges, batch = linked()
    compared = []
    monkeypatch.setattr(_pairs, "_standard", lambda x, code: compared.append(len(x)) or x)
    found = graph_matches(views, sizes, edges, batch, np.random.default_rng(0))
    assert compared == [30, 30]
    assert 0 < len(found.one) <= 30


def test_confidence_weighs_pairs():
    torch.manual_seed(0)
    a, b = torch.randn(6, 4), torch.randn(6, 4)
    tau = torch.tensor(0.1).log()
    torch.testing.assert_close(info_nce(a, b, tau, weight=torch.ones(6)), info_nce(a, b, tau))
    alone = info_nce(a, b, tau, weight=torch.eye(6)[2])
    assert alone != info_nce(a, b, tau)
    moved = a.clone()
    moved.requires_grad_()
    info_nce(moved, b, tau, weight=torch.eye(6)[2]).backward()
    assert moved.grad[2].abs().sum() > 0


@pytest.fixture
def halves(mosaic):
    """A mosaic in one batch with cells of RNA alone, of proteins alone and of both."""
    return mosaic(300, n_batches=1)


def test_a_fit_anew_counts_its_matches_and_keeps_the_front_ends(halves, quick):
    train = replace(quick, max_epochs=8)
    model = scvcell.tl.fit(halves, train=train)
    assert model.matched > 10
    assert halves.uns["csl"]["matched_pairs"] == model.matched
    once = scvcell.tl.fit(halves.copy(), train=replace(train, rematch=0))
    assert once.matched == 0
    matched = model.module
    model.train(replace(train, max_epochs=2))  # goes on; nothing is matched again
    assert model.module is matched
    assert len(model.history["loss_train"]) == 2
    kept = {name: model.module.front_ends[name].loadings for name in ("rna", "adt")}
    for name, loadings in kept.items():
        torch.testing.assert_close(loadings, once.module.front_ends[name].loadings)


def test_without_alignment_nothing_is_matched(halves, quick):
    assert scvcell.tl.fit(halves, train=quick, weights=scvcell.Weights(align=0)).matched == 0


def test_an_interrupted_round_leaves_the_fit_before_it(halves, quick, monkeypatch, caplog):
    from scvcell.model import _fit

    once = scvcell.tl.fit(halves.copy(), train=replace(quick, rematch=0))
    calls = []

    def stop(network, *args, **settings):
        calls.append(1)
        if len(calls) == 2:
            with torch.no_grad():
                next(network.parameters()).add_(1)
            return _fit.Run({}, interrupted=True, terminated=False)
        return run(network, *args, **settings)

    run = _fit.run
    monkeypatch.setattr(_fit, "run", stop)
    model = scvcell.tl.fit(halves.copy(), train=quick)
    assert len(calls) == 2
    assert model.matched == 0
    assert "the model is the one before it" in caplog.text
    np.testing.assert_array_equal(model.posterior().mean, once.posterior().mean)


def test_assays_that_nothing_holds_together_are_not_matched(mosaic, quick):
    mdata = mosaic(240, n_batches=1)
    both = (mdata.obsmap["rna"].ravel() > 0) & (mdata.obsmap["adt"].ravel() > 0)
    model = scvcell.tl.fit(mdata[~both].copy(), train=quick)
    assert model.alignment == "unpaired"
    assert model.matched == 0


def test_a_few_linked_features_align_assays_that_share_no_cell(quick):
    """Ten genes of a hundred belong to a protein; nothing else joins the two."""
    rng = np.random.default_rng(0)
    n, state = 400, rng.integers(4, size=400)
    genes = np.exp(rng.normal(0, 1, (4, 100)))
    proteins = 20 * np.exp(np.concatenate([np.log(genes[:, :10]), rng.normal(0, 1, (4, 15))], 1))
    adatas = {}
    for name, rate, stem in (("rna", genes, "g"), ("adt", proteins, "g")):
        names = [f"{name}{i}" for i in range(n)]
        features = [f"{stem}{i}" if i < 10 else f"{name}_{i}" for i in range(rate.shape[1])]
        adatas[name] = ad.AnnData(
            rng.poisson(rate[state]).astype(np.float32),
            pd.DataFrame({"kind": state.astype(str)}, index=names),
            pd.DataFrame(index=features),
        )
    adatas["adt"].var_names = [f"{name}_TotalSeqB" for name in adatas["adt"].var_names]
    mdata = md.MuData(adatas)
    graph = scvcell.pp.link_features(mdata, how="name")
    assert len(graph) == 10
    model = scvcell.tl.fit(mdata, priors=graph, train=replace(quick, max_epochs=20))
    assert model.matched > 100
    z = {name: mdata[a.obs_names].obsm["X_csl"] for name, a in adatas.items()}
    near = NearestNeighbors(n_neighbors=1).fit(z["rna"]).kneighbors(z["adt"])[1][:, 0]
    assert (state[near] == state).mean() > 0.9

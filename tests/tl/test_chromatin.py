"""Main job on RNA and chromatin: paired or not, saved and extended, with a graph of what belongs together."""

import logging
from dataclasses import replace

import anndata as ad
import mudata as md
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import scvcell
from scvcell.prior import GuidanceGraph


def chromatin(paired=0.5, n=240, genes=40, seed=0):
    """Cells of two types; three peaks per gene follow it; pairing of a share of the cells is kept."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(2, size=n)
    rate = np.where((np.arange(genes) % 2)[None] == kind[:, None], 4.0, 0.5)
    peaks = np.repeat(rate, 3, axis=1) / 6
    names = np.array([f"c{i}" for i in range(n)])
    apart = np.arange(n) >= paired * n
    obs = pd.DataFrame({"batch": rng.choice(["x", "y"], n), "kind": kind.astype(str)}, index=names)
    rna = ad.AnnData(sp.csr_matrix(rng.poisson(rate).astype(np.float32)), obs.copy())
    rna.var_names = [f"g{i}" for i in range(genes)]
    atac = ad.AnnData(sp.csr_matrix(rng.poisson(peaks).astype(np.float32)), obs.copy())
    atac.var_names = [f"p{i}" for i in range(3 * genes)]
    atac.obs_names = np.where(apart, np.char.add(names, "-atac"), names)
    mdata = md.MuData({"rna": rna, "atac": atac})
    for key in obs:
        mdata.obs[key] = obs[key].reindex([name.removesuffix("-atac") for name in mdata.obs_names]).to_numpy()
    graph = GuidanceGraph(
        pd.DataFrame(
            {
                "modality_a": "rna",
                "feature_a": [f"g{i // 3}" for i in range(3 * genes)],
                "modality_b": "atac",
                "feature_b": atac.var_names,
            }
        )
    )
    return mdata, graph


@pytest.fixture(scope="module")
def linked(quick):
    mdata, graph = chromatin()
    model = scvcell.tl.fit(mdata, batch_key="batch", priors=graph, train=replace(quick, max_epochs=50))
    return mdata, graph, model


def test_state_translation_and_information(linked):
    mdata, _, model = linked
    assert np.isfinite(mdata.obsm["X_csl"]).all()
    assert mdata.uns["csl"]["alignment"] == "partly paired"
    out = scvcell.tl.translate(mdata, model, to="atac")
    rna_only = mdata.obsmap["atac"] == 0
    kind = mdata.obs["kind"].to_numpy()[rna_only].astype(int)
    even = out.X[rna_only][:, np.arange(120) // 3 % 2 == 0].sum(1)
    assert even[kind == 0].mean() > 2 * even[kind == 1].mean()
    scvcell.tl.modality_information(mdata, model)
    assert (mdata.obs["csl_bits_atac"].dropna() > 0).all()
    table = model.differential_expression(mdata, modality="atac", groupby="kind")
    assert len(table) == 240


@pytest.mark.parametrize("form", ["dense", "csc_matrix", "int64", "h5ad csr"])
def test_forms_of_the_matrix_do_not_matter(linked, quick, stored, form):
    mdata, graph, _ = linked
    one = replace(quick, max_epochs=1)
    plain, other = mdata.copy(), stored(mdata, form)
    for data in (plain, other):
        scvcell.tl.fit(data, batch_key="batch", priors=graph, train=one)
    if form != "h5ad csr":  # which is read in another order
        np.testing.assert_allclose(plain.obsm["X_csl"], other.obsm["X_csl"], atol=2e-3)
    assert np.isfinite(other.obsm["X_csl"]).all()


def test_saved_and_loaded_with_its_graph(linked, tmp_path):
    mdata, _, model = linked
    again = scvcell.CSL.load(model.save(tmp_path / "model"), mdata)
    np.testing.assert_array_equal(again.get_latent_representation(), mdata.obsm["X_csl"])
    ours, theirs = (scvcell.tl.translate(mdata, m, to="atac").X for m in (model, again))
    np.testing.assert_array_equal(ours, theirs)


def test_query_data_keep_the_graph(linked, quick):
    _, _, model = linked
    query, _ = chromatin(n=60, seed=3)
    query.obs["batch"] = "new"
    extended = model.load_query_data(query, train=quick)
    assert extended.edges is model.edges
    assert np.isfinite(extended.get_latent_representation()).all()


def test_without_pairs_the_graph_aligns(quick, caplog):
    mdata, graph = chromatin(paired=0.0, n=400)
    with caplog.at_level(logging.INFO, "scvcell"):
        scvcell.tl.fit(mdata, priors=graph, train=replace(quick, max_epochs=30))
    assert "unpaired, guidance graph" in caplog.text
    assert mdata.uns["csl"]["alignment"] == "unpaired, guidance graph"
    kind, rna = mdata.obs["kind"].to_numpy(), mdata.obsmap["atac"] == 0
    z = mdata.obsm["X_csl"]
    centre = [z[rna & (kind == k)].mean(0) for k in "01"]
    nearer = np.linalg.norm(z[~rna] - centre[0], axis=1) > np.linalg.norm(z[~rna] - centre[1], axis=1)
    assert (nearer.astype(int).astype(str) == kind[~rna]).mean() > 0.9


def test_a_graph_that_links_few_features_is_warned_of(quick, caplog):
    mdata, graph = chromatin(paired=0.0, n=60)
    few = GuidanceGraph(graph.edges.head(9))
    with caplog.at_level(logging.WARNING, "scvcell"):
        scvcell.tl.fit(mdata, priors=few, train=replace(quick, max_epochs=1))
    assert "links 3 of 40 features of 'rna'" in caplog.text
    assert "links 9 of 120 features of 'atac'" in caplog.text


def test_without_pairs_and_graph_a_warning_says_what_is_missing(quick, caplog):
    mdata, _ = chromatin(paired=0.0, n=60)
    with caplog.at_level(logging.WARNING, "scvcell"):
        scvcell.tl.fit(mdata, train=replace(quick, max_epochs=1))
    assert "The assays rna and atac share no cell" in caplog.text
    assert mdata.uns["csl"]["alignment"] == "unpaired"


def test_a_prior_of_another_kind_is_refused(quick):
    mdata, graph = chromatin(n=30)
    with pytest.raises(TypeError, match="priors must be a GuidanceGraph, not DataFrame"):
        scvcell.tl.fit(mdata, priors=[graph.edges], train=quick)
    with pytest.raises(ValueError, match="None of the 120 edges"):
        scvcell.tl.fit(mdata, priors=GuidanceGraph(graph.edges.assign(modality_b="peaks")), train=quick)
    assert "X_csl" not in mdata.obsm


def test_edges_that_the_data_support_come_first(quick):
    mdata, graph = chromatin(n=400)
    wrong = graph.rewired(0.5, seed=1)
    model = scvcell.tl.fit(mdata, priors=wrong, train=replace(quick, max_epochs=30))
    links = scvcell.tl.feature_links(mdata, model)
    assert len(links) == len(wrong)
    assert links["score"].is_monotonic_decreasing
    gene, peak = (links[c].str[1:].astype(int) for c in ("feature_a", "feature_b"))
    agree = gene % 2 == peak // 3 % 2
    assert agree[: len(links) // 2].mean() > 0.9
    assert links["pvalue"][agree].median() < links["pvalue"][~agree].median()
    assert (links["qvalue"] >= links["pvalue"] - 1e-12).all()
    pd.testing.assert_frame_equal(links, scvcell.tl.feature_links(mdata, model))


def test_three_assays_that_no_cell_has_together(quick):
    """RNA bridges proteins and chromatin; proteins still predict chromatin, through the state."""
    rng = np.random.default_rng(0)
    mdata, _ = chromatin(paired=1.0, n=400)
    kind = mdata["rna"].obs["kind"].astype(int).to_numpy()
    proteins = rng.poisson(np.where((np.arange(8) % 2)[None] == kind[:, None], 40.0, 4.0)).astype(np.float32)
    names = mdata["rna"].obs_names
    adt = ad.AnnData(proteins, pd.DataFrame(index=names), pd.DataFrame(index=[f"t{i}" for i in range(8)]))
    cells = np.arange(400)
    parts = {
        "rna": mdata["rna"][cells < 300].copy(),
        "adt": adt[(cells < 150) | (cells >= 300)].copy(),
        "atac": mdata["atac"][(cells >= 150) & (cells < 300)].copy(),
    }
    three = md.MuData(parts)
    model = scvcell.tl.fit(three, train=replace(quick, max_epochs=40))
    assert three.uns["csl"]["alignment"] == "partly paired"
    only = names[300:]
    predicted = scvcell.tl.translate(three, model, to="atac", source=["adt"])[only].X
    hidden = mdata["atac"][only].X.toarray()
    mean = np.broadcast_to(parts["atac"].X.toarray().mean(0), hidden.shape)
    assert ((predicted - hidden) ** 2).mean() < 0.9 * ((mean - hidden) ** 2).mean()
    report = scvcell.tl.alignment_report(three, model)
    assert set(zip(report["modality_a"], report["modality_b"], strict=True)) == {("rna", "adt"), ("rna", "atac")}


def test_a_subset_without_any_cell_of_an_assay_is_translated(linked):
    mdata, _, model = linked
    only = mdata[mdata.obsmap["atac"] == 0].copy()
    assert only["atac"].n_obs == 0
    out = scvcell.tl.translate(only, model, to="atac")
    np.testing.assert_allclose(out.X, scvcell.tl.translate(mdata, model, to="atac")[only.obs_names].X, rtol=1e-4)

"""Support of edges against brute force."""

import numpy as np
import pandas as pd
import pytest

import scvcell
from scvcell.prior import GuidanceGraph
from scvcell.tl._links import _null


@pytest.fixture
def linked(small, monkeypatch):
    """The model of `small` as if some genes and proteins had been linked, some against each other."""
    rng = np.random.default_rng(0)
    edges = pd.DataFrame({"modality_a": "rna", "feature_a": [f"gene{i:03d}" for i in rng.permutation(60)[:24]]})
    edges["modality_b"], edges["feature_b"] = "adt", [f"protein{i % 6:03d}" for i in range(24)]
    edges["sign"] = np.where(np.arange(24) % 5 == 0, -1.0, 1.0)
    monkeypatch.setattr(small.model, "edges", GuidanceGraph(edges).index(small.model.linkable))
    return small, edges


def shares(mdata, name):
    table = mdata[name].to_df()
    return table.div(np.maximum(table.sum(axis=1), 1), axis=0)


def test_scores_are_correlations_of_what_the_nearest_cells_have(linked):
    small, edges = linked
    links = scvcell.tl.feature_links(small.mdata, small.model)
    latent, pooled = small.mdata.obsm["X_csl"], {}
    for name in ("rna", "adt"):
        table = shares(small.mdata, name)
        z = latent[small.mdata.obs_names.get_indexer(table.index)]
        near = np.argsort(((latent[:, None] - z[None]) ** 2).sum(-1), axis=1)[:, :50]
        pooled[name] = pd.DataFrame(table.to_numpy()[near].mean(1), columns=table.columns)
    for row in links.itertuples():
        expected = np.corrcoef(pooled["rna"][row.feature_a], pooled["adt"][row.feature_b])[0, 1] * row.sign
        assert row.score == pytest.approx(expected, abs=0.02)
    assert len(links) == len(edges)
    assert links["score"].is_monotonic_decreasing


def test_p_values_are_ranks_among_edges_with_other_ends(linked):
    small, _ = linked
    links = scvcell.tl.feature_links(small.mdata, small.model)
    assert links["pvalue"].between(0, 1, inclusive="right").all()
    assert (links["qvalue"] >= links["pvalue"] - 1e-12).all()
    assert links["pvalue"].is_monotonic_increasing, "the better an edge, the fewer others reach it"
    pd.testing.assert_frame_equal(links, scvcell.tl.feature_links(small.mdata, small.model))


def test_the_null_never_holds_a_true_edge(monkeypatch):
    monkeypatch.setattr("scvcell.tl._links.N_NULL_EDGES", 400)
    ends = np.array([0, 1, 2, 3])
    found = _null(np.eye(4), np.eye(4), ends, np.ones(4), np.random.default_rng(0))
    assert len(found)
    assert (found == 0).all(), "of unit vectors only the true edges have a score"


def test_links_need_a_graph_and_both_its_assays(linked, monkeypatch):
    small, _ = linked
    only = small.mdata["rna"].copy()
    with pytest.raises(ValueError, match=r"edges of 'adt', which the data lack; they have \['rna'\]"):
        scvcell.tl.feature_links(only, small.model)
    monkeypatch.setattr(small.model, "edges", None)
    with pytest.raises(ValueError, match="without a guidance graph"):
        scvcell.tl.feature_links(small.mdata, small.model)

"""Edges between modalities: which are joined, with what weight, and requests that lead nowhere."""

import anndata as ad
import mudata as md
import numpy as np
import pandas as pd
import pytest

import scvcell


def data(**var):
    """Two cells with a modality of each var frame."""
    cells = pd.DataFrame(index=["a", "b"])
    return md.MuData({m: ad.AnnData(np.ones((2, len(v)), np.float32), cells.copy(), v) for m, v in var.items()})


def placed():
    genes = pd.DataFrame({"chrom": ["chr1", "chr2"], "tss": [1000.0, 500.0]}, index=["g0", "g1"])
    peaks = pd.DataFrame({"chrom": ["chr1", "chr1"], "start": [900, 4000], "end": [1100, 4500]}, index=["p0", "p1"])
    return data(rna=genes, atac=peaks)


def named():
    proteins = ["CD4_TotalSeqB", "cd3e", "CD20", "IgG1"]
    return data(rna=pd.DataFrame(index=["CD3E", "Cd4", "MS4A1", "GAPDH"]), adt=pd.DataFrame(index=proteins))


def test_edges_by_hand_and_the_order_of_modalities():
    """A peak over the start is at distance 0; the other one begins 3,000 behind it."""
    for modalities in (None, ("rna", "atac"), ("atac", "rna")):
        edges = scvcell.pp.link_features(placed(), window=5000, decay=1500, modalities=modalities).edges
        found = [tuple(row) for row in edges[["modality_a", "feature_a", "modality_b", "feature_b"]].to_numpy()]
        assert found == [("rna", "g0", "atac", "p0"), ("rna", "g0", "atac", "p1")]
        assert edges["weight"].tolist() == pytest.approx([1.0, np.exp(-2)])
    assert len(scvcell.pp.link_features(placed(), window=2999)) == 1


def test_of_three_modalities_those_with_positions_are_joined():
    three = placed()
    three.mod["adt"] = named()["adt"].copy()
    three.update()
    pd.testing.assert_frame_equal(scvcell.pp.link_features(three).edges, scvcell.pp.link_features(placed()).edges)
    with pytest.raises(ValueError, match=r"say which of \['rna', 'atac', 'adt'\] by modalities="):
        scvcell.pp.link_features(three, how="name")


def test_a_table_is_the_graph():
    table = scvcell.pp.link_features(named(), how="name").edges
    again = scvcell.pp.link_features(named(), how="table", table=table)
    pd.testing.assert_frame_equal(again.edges, table)


def test_bad_requests_are_refused():
    mdata = placed()
    with pytest.raises(ValueError, match=r"'distnace'. Did you mean 'distance'"):
        scvcell.pp.link_features(mdata, how="distnace")
    with pytest.raises(ValueError, match="needs table="):
        scvcell.pp.link_features(mdata, how="table")
    with pytest.raises(ValueError, match="no modality 'adt'"):
        scvcell.pp.link_features(mdata, modalities=("rna", "adt"))
    with pytest.raises(ValueError, match="two modalities"):
        scvcell.pp.link_features(mdata, modalities=("rna",))
    with pytest.raises(ValueError, match="by name"):
        scvcell.pp.link_features(mdata, how="name")
    with pytest.raises(ValueError, match=r"\['rna'\] only. Give a MuData of both.*split_modalities"):
        scvcell.pp.link_features(named()["rna"], how="name")

"""What a guidance graph is worth, and what is no graph."""

from dataclasses import replace

import mudata as md
import pandas as pd
import pytest

import scvcell
from scvcell.tl._ablation import _scores


def test_ablation_tells_a_real_graph_from_a_rewired_one(quick):
    whole = scvcell.datasets.simulate(500, n_genes=100, n_peaks=300, n_proteins=2, paired=1.0)
    rna = list(whole["atac"].obs_names)
    mdata = md.MuData({"rna": whole["rna"][rna].copy(), "atac": whole["atac"].copy()})
    mdata["atac"].obs_names = [f"{name}-atac" for name in rna]
    mdata.update()
    graph = scvcell.pp.link_features(mdata)
    before = set(mdata.obsm)
    table = scvcell.tl.prior_ablation(
        mdata,
        graph,
        pairs=(rna, [f"{name}-atac" for name in rna]),
        seeds=(0,),
        train=replace(quick, max_epochs=30, rematch=0),
        batch_key="batch",
    )
    assert set(mdata.obsm) == before
    assert set(table["variant"]) == {"real", "corrupted", "rewired", "none"}
    mean = table.groupby(["metric", "variant"])["value"].mean()
    assert mean["foscttm", "real"] < mean["foscttm", "rewired"] - 0.1
    assert {"held-out rna", "held-out atac"} <= set(table["metric"])
    with pytest.raises(ValueError, match="between 0 and 1"):
        scvcell.tl.prior_ablation(mdata, graph, corrupted=(1.5,), train=quick)
    with pytest.raises(TypeError, match="prior must be a GuidanceGraph"):
        scvcell.tl.prior_ablation(mdata, graph.edges, train=quick)


def test_scores_are_the_last_held_out_losses_and_those_of_the_report(small, monkeypatch):
    report = pd.DataFrame({"metric": ["foscttm"], "value": [0.25], "modality_a": "rna", "modality_b": "adt"})
    monkeypatch.setattr("scvcell.tl._ablation.alignment_report", lambda *args, **options: report)
    found = {row["metric"]: row["value"] for row in _scores(small.mdata, small.model, None, None)}
    history = small.model.history
    assert found == {
        "held-out rna": history["rna_validation"].iloc[-1, 0],
        "held-out adt": history["adt_validation"].iloc[-1, 0],
        "foscttm": 0.25,
    }


def test_data_that_cannot_be_scored_have_losses_only(small, monkeypatch):
    def refuse(*args, **options):
        raise ValueError("no pairs")

    monkeypatch.setattr("scvcell.tl._ablation.alignment_report", refuse)
    assert [row["metric"] for row in _scores(small.mdata, small.model, None, None)] == ["held-out rna", "held-out adt"]
    with pytest.raises(ValueError, match="no pairs"):
        _scores(small.mdata, small.model, (["a"], ["b"]), None)

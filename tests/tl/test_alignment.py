"""tl.alignment_report: the metrics of the right cells, the null, CCA, the canary; mistakes."""

import numpy as np
import pandas as pd
import pytest
from mudata import MuData

import scvcell
from scvcell.risk import foscttm, match_recall


def table(report):
    return report.set_index("metric")


def test_labels_of_every_type_give_the_same_scores(small, caplog):
    mdata = small.mdata.copy()
    mdata.obs["kind"] = mdata.obs["celltype"]
    expected = table(scvcell.tl.alignment_report(mdata, small.model, labels_key="kind"))
    code = mdata.obs["celltype"].cat.codes
    for held in ("int64", "float32", "Int64", "object", "category"):
        mdata.obs["kind"] = code.astype(held)
        found = table(scvcell.tl.alignment_report(mdata, small.model, labels_key="kind"))
        pd.testing.assert_frame_equal(found, expected)
    mdata.obs["kind"] = code.astype("Int64").mask(np.arange(len(code)) < 7)
    with caplog.at_level("WARNING", logger="scvcell"):
        scvcell.tl.alignment_report(mdata, small.model, labels_key="kind")
    assert "7 of 300 cells have no label in obs['kind']" in caplog.text


def test_default_scores_the_paired_cells_that_training_held_out(small):
    report = table(scvcell.tl.alignment_report(small.mdata, small.model, labels_key="celltype"))
    held = [
        c
        for c in small.model.split_["validation"]
        if c in small.mdata["rna"].obs_names and c in small.mdata["adt"].obs_names
    ]
    assert (report["n"] == len(held)).all()
    at = np.sort(small.mdata.obs_names.get_indexer(held))
    a, b = (small.model.posterior(small.mdata, modalities=[m]).mean.numpy()[at] for m in ("rna", "adt"))
    assert report.loc["foscttm", "value"] == pytest.approx(np.mean(foscttm(a, b)), abs=1e-6)
    assert report.loc["recall@10", "value"] == pytest.approx(match_recall(a, b, 10))
    assert set(report.index) == {
        "foscttm",
        "recall@1",
        "recall@10",
        "mixing",
        "label_transfer",
        "overcorrection_canary",
    }
    assert report.loc["foscttm", "better"] == report.loc["overcorrection_canary", "better"] == "lower"
    assert (report.loc[["recall@1", "recall@10", "mixing", "label_transfer"], "better"] == "higher").all()


def test_null_is_chance_and_the_model_beats_it(pbmc):
    pairs = pd.DataFrame({"rna": pbmc.test, "adt": pbmc.test})
    report = table(scvcell.tl.alignment_report(pbmc.mdata, pbmc.model, labels_key="celltype", pairs=pairs))
    n = len(pairs)
    assert report.loc["foscttm", "null"] == pytest.approx(0.5, abs=0.06)
    assert report.loc["recall@10", "null"] == pytest.approx(10 / n, abs=0.04)
    assert report.loc["foscttm", "value"] < 0.25
    assert report.loc["label_transfer", "value"] > 0.6
    assert report.loc["foscttm", "cca"] < 0.3
    assert (report["n"] == n).all()
    assert report.loc["mixing", "null"] != report.loc["mixing", "null"], "shuffling pairs says nothing of mixing"


def test_pairs_whose_names_differ(small):
    """Where pairing was hidden, the same cell has two names."""
    both = small.mdata.obs_names[small.model.view().present("rna") & small.model.view().present("adt")][:40]
    rna, adt = small.mdata["rna"][both].copy(), small.mdata["adt"][both].copy()
    adt.obs_names = [f"{n}|adt" for n in both]
    hidden = MuData({"rna": rna, "adt": adt})
    hidden.obs["batch"] = pd.concat([rna.obs["batch"].astype(str), adt.obs["batch"].astype(str)]).loc[hidden.obs_names]
    given = (both.tolist(), adt.obs_names.tolist())
    report = table(scvcell.tl.alignment_report(hidden, small.model, pairs=given))
    plain = table(scvcell.tl.alignment_report(small.mdata, small.model, pairs=(both, both)))
    np.testing.assert_allclose(report["value"], plain["value"], atol=1e-6)
    wrong = table(scvcell.tl.alignment_report(hidden, small.model, pairs=(given[0], given[1][::-1])))
    assert wrong.loc["foscttm", "value"] > report.loc["foscttm", "value"]


def test_shuffled_cells_give_the_same_report(small):
    shuffled = small.mdata[np.random.default_rng(0).permutation(small.mdata.n_obs)].copy()
    one, other = (scvcell.tl.alignment_report(d, small.model, labels_key="celltype") for d in (small.mdata, shuffled))
    np.testing.assert_allclose(one["value"], other["value"], atol=1e-6)


def test_the_model_stays_on_its_device(small, monkeypatch):
    """Moving a part of the model to CPU would break it for whoever has it on a GPU."""

    def moved(*args, **kwargs):
        raise AssertionError("a part of the model was moved")

    for way in ("cpu", "to", "cuda"):
        monkeypatch.setattr(f"torch.nn.Module.{way}", moved)
    assert scvcell.tl.alignment_report(small.mdata, small.model)["cca"].notna().any()


def test_nothing_is_written(small, fingerprint):
    before = fingerprint(small.mdata)
    scvcell.tl.alignment_report(small.mdata, small.model, labels_key="celltype")
    assert fingerprint(small.mdata) == before


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ((["ghost", "cell0100"], ["cell0100", "cell0101"]), "pairs has 1 names that the data lack, e.g. 'ghost'"),
        ((["cell0100"], ["cell0100"]), "two sequences of one length of at least 2, not 1 and 1"),
        ((["cell0100", "cell0101"], ["cell0100", "cell0101", "cell0102"]), "not 2 and 3"),
        ((["cell0000", "cell0001"], ["cell0000", "cell0001"]), "cells without modality 'adt'; .* order 'rna', 'adt'"),
    ],
)
def test_mistakes_in_pairs(small, pairs, message):
    with pytest.raises(ValueError, match=message):
        scvcell.tl.alignment_report(small.mdata, small.model, pairs=pairs)


def test_one_modality_cannot_be_aligned(small):
    with pytest.raises(ValueError, match=r"needs two modalities; the data have \['rna'\]"):
        scvcell.tl.alignment_report(small.mdata["rna"], small.model)


def test_no_shared_cells(small):
    view = small.model.view()
    apart = small.mdata[~(view.present("rna") & view.present("adt"))].copy()
    with pytest.raises(ValueError, match=r"share cells to score on. Give `pairs=`"):
        scvcell.tl.alignment_report(apart, small.model)

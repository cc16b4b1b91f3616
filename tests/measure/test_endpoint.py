"""Endpoints: likelihoods against other libraries, labels of some cells, survival, and that no encoder sees them."""

from dataclasses import replace

import anndata as ad
import mudata as md
import numpy as np
import pandas as pd
import pytest
import torch

import scvcell
from scvcell.measure import Context, Endpoint
from scvcell.measure._endpoint import cox
from scvcell.testing import example_summary


def brute_cox(risk, time, event):
    out = np.zeros(len(risk))
    for i in np.flatnonzero(event):
        out[i] = risk[i] - np.log(np.exp(risk[time >= time[i]]).sum())
    return out


@pytest.mark.parametrize("ties", [False, True])
def test_cox_is_the_sum_over_risk_sets(ties):
    rng = np.random.default_rng(0)
    risk, event = rng.normal(size=30), rng.integers(2, size=30).astype(float)
    time = rng.integers(1, 5, 30).astype(float) if ties else rng.exponential(size=30)
    found = cox(*(torch.as_tensor(a) for a in (risk, time, event)))
    np.testing.assert_allclose(found, brute_cox(risk, time, event), rtol=1e-6, atol=1e-9)


def test_classes_and_values_have_their_usual_likelihood():
    torch.manual_seed(0)
    z, batch = torch.randn(6, 3), torch.arange(6) % 2
    ctx = Context(torch.eye(2)[batch], batch)
    labels = Endpoint(3, example_summary(4))
    truth = torch.arange(6) % 4
    found = labels.log_prob(torch.eye(4)[truth], z, ctx)
    torch.testing.assert_close(found, -torch.nn.functional.cross_entropy(labels.score(z), truth, reduction="none"))
    torch.testing.assert_close(labels.predict(z, ctx).sum(1), torch.ones(6))
    values = Endpoint(3, example_summary(2), kind="continuous")
    x = torch.randn(6, 2)
    law = values(z, ctx)
    torch.testing.assert_close(values.log_prob(x, z, ctx), (law.log_prob(x) + values.spread.log()).sum(1))


@pytest.fixture(scope="module")
def followed(quick, mosaic):
    """Labels of a third of the cells, an age that RNA tells, and survival that the type shortens, in a small mosaic."""
    mdata = mosaic(360)
    rng = np.random.default_rng(1)
    kind = mdata.obs["celltype"].cat.codes.to_numpy()
    mdata.obs["given"] = mdata.obs["celltype"].astype(object).where(rng.random(360) < 0.33)
    mdata.obs["score"] = 2.0 * kind + rng.normal(0, 0.3, 360)
    death, end = rng.exponential(10.0 / np.exp(1.5 * kind)), rng.exponential(10.0, 360)
    mdata.obs["months"], mdata.obs["died"] = np.minimum(death, end) + 1e-3, death <= end
    for name, args in {"label": ("given",), "score": ("score",), "outcome": ("months", "died")}.items():
        mdata.mod[name] = scvcell.pp.modality_from_obs(mdata, args[0], event=args[1] if len(args) > 1 else None)
        mdata.update()
    model = scvcell.tl.fit(mdata, batch_key="batch", train=replace(quick, max_epochs=30, validation=0.2))
    return mdata, model, kind


def test_labels_of_some_cells_tell_those_of_all(followed):
    mdata, model, _ = followed
    predicted = scvcell.tl.translate(mdata, model, to="label")
    np.testing.assert_allclose(predicted.X.sum(1), 1, rtol=1e-4)
    unknown = mdata.obs["given"].isna().to_numpy()
    right = predicted.to_df().idxmax(axis=1) == mdata.obs["celltype"].astype(str)
    assert right[unknown].mean() > 0.85


def test_a_value_comes_with_an_interval(followed):
    mdata, model, _ = followed
    predicted = scvcell.tl.translate(mdata, model, to="score", source="rna")
    has = mdata.obsmap["rna"].ravel() > 0
    assert np.corrcoef(predicted.X[has, 0], mdata.obs["score"][has])[0, 1] > 0.8
    inside = (predicted.layers["lower"] <= mdata.obs[["score"]]) & (predicted.layers["upper"] >= mdata.obs[["score"]])
    assert 0.8 < inside.to_numpy()[has].mean() <= 1


def test_survival_orders_cells_by_their_hazard(followed, caplog):
    mdata, model, kind = followed
    predicted = scvcell.tl.translate(mdata, model, to="outcome")
    assert list(predicted.var_names) == ["time", "event"]
    time, event = predicted.X.T
    assert np.median(time[kind == 2]) < np.median(time[kind == 1]) < np.median(time[kind == 0])
    assert 0 <= event.min() < event.max() <= 1
    assert np.isnan(predicted.layers["lower"]).all()
    assert "a time that may be cut short" in caplog.text


def test_an_endpoint_tells_nothing_of_the_state(followed):
    mdata, model, _ = followed
    assert model.assays == ["rna", "adt"]
    assert set(model.module.encoders) == {"rna", "adt"}
    without = md.MuData({m: mdata[m] for m in ("rna", "adt")})
    without.obs["batch"] = mdata.obs["batch"]
    np.testing.assert_array_equal(model.posterior(without).mean, model.posterior(mdata).mean)
    with pytest.raises(ValueError, match=r"'label' is an endpoint.*\['rna', 'adt'\]"):
        scvcell.tl.embed(mdata, model, modalities=["label"])
    with pytest.raises(ValueError, match="'label' is an endpoint"):
        scvcell.tl.translate(mdata, model, to="rna", source=["label"])
    scvcell.tl.modality_information(mdata, model)
    assert not [column for column in mdata.obs if column.startswith("csl_bits_label")]
    assert set(scvcell.tl.alignment_report(mdata, model)["modality_b"]) == {"adt"}


def test_saved_and_extended(followed, tmp_path, quick, mosaic):
    mdata, model, _ = followed
    model.save(tmp_path / "model")
    again = scvcell.CSL.load(tmp_path / "model")
    np.testing.assert_array_equal(
        scvcell.tl.translate(mdata, again, to="outcome").X, scvcell.tl.translate(mdata, model, to="outcome").X
    )
    query = mosaic(90, seed=0)
    query.obs["batch"] = "new"
    more = model.load_query_data(query, train=quick)
    before, after = (m.module.operators["label"].state_dict() for m in (model, more))
    for name in ("decoder.0.weight", "decoder.2.weight"):
        torch.testing.assert_close(after[name], before[name], rtol=0, atol=0)


def test_endpoints_by_hand_and_cells_with_nothing_else():
    rna = ad.AnnData(np.ones((4, 3), np.float32), pd.DataFrame(index=list("abcd")))
    label = ad.AnnData(np.eye(2, dtype=np.float32)[[0, 1, 0, 1, 0]], pd.DataFrame(index=list("abcde")))
    with pytest.raises(ValueError, match=r"1 cells have nothing but \['label'\], e.g. 'e'"):
        scvcell.tl.fit(md.MuData({"rna": rna, "label": label}))
    with pytest.raises(ValueError, match=r"columns \['time', 'event'\]"):
        scvcell.tl.fit(
            md.MuData({"rna": rna, "label": label[:4].copy()}), measure={"label": ("endpoint", {"kind": "survival"})}
        )
    with pytest.raises(ValueError, match="kind must be one of"):
        scvcell.tl.fit(
            md.MuData({"rna": rna, "label": label[:4].copy()}), measure={"label": ("endpoint", {"kind": "x"})}
        )


def test_a_modality_that_the_container_does_not_know_yet(mosaic, quick):
    mdata = mosaic(30)
    mdata.mod["label"] = scvcell.pp.modality_from_obs(mdata, "celltype")
    with pytest.raises(ValueError, match=r"modality 'label' disagree on cells. Run `mdata.update\(\)` first"):
        scvcell.tl.fit(mdata, train=quick)
